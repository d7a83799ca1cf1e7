"""Train from Python with plain values."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.api.frames import DATA, DataLike, data_of, plain
from hybrid_seq_gnn.api.run import LoadedRun, load_run
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.results.labels import value_in_words
from hybrid_seq_gnn.run.build import checked
from hybrid_seq_gnn.run.encoders import option_of
from hybrid_seq_gnn.run.identity import flatten
from hybrid_seq_gnn.run.options import default_options, option, updated, warn_unused
from hybrid_seq_gnn.run.rehearse import rehearse
from hybrid_seq_gnn.run.run import Asked, Run


def train(
    data: DataLike = "movietweetings",
    *,
    folder: str | Path | None = None,
    seed: int = 0,
    name: str | None = None,
    **groups: str | Mapping[str, Any],
) -> LoadedRun:
    """One run, with the checks and the files of the command line.

    Args:
        data: a pandas or Polars frame with columns user, item and timestamp; the path of a table; the name of an option
            of `data`; or a dict with settings, `option` or `frame` among them: `{"frame": frame, "user": "uid"}`.
        folder: for its files; None is outputs/DATE/TIME. A finished run there is not repeated.
        seed: of initial weights, batches, dropout and negatives.
        name: of the run in tables.
        groups: an option or settings by config group: `model="sasrec"`, `fusion={"alpha": 0.6}`,
            `fusion={"option": "continuous", "midpoint": 20}`.

    Raises:
        UserError: a setting does not exist, has a wrong value, or does not go with the others.

    Example:
        >>> import tempfile
        >>> from hybrid_seq_gnn import train
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = train(
        ...         {"option": "synthetic", "users": 50, "items": 30},
        ...         model={"option": "sasrec", "embedding_dim": 8},
        ...         training={"epochs": 1},
        ...         folder=folder,
        ...     )
        ...     len(run.recommend(history=[1, 2, 3], k=5))
        5
    """
    place = Path(folder) if folder is not None else new_folder()
    if place.exists() and not place.is_dir():
        raise UserError(f"folder={place} is a file; name a folder for the run.")
    with gone_if_refused(place):
        run_in(place, data, plain(seed), name, plain(groups))
    return load_run(place)


def new_folder() -> Path:
    """outputs/DATE/TIME, with a number where a run has begun in the same second."""
    time = Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S")
    names = (time, *(time.with_name(f"{time.name}-{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists())


@contextmanager
def gone_if_refused(folder: Path) -> Iterator[None]:
    """Remove what was written inside, data or the folder, if no run has begun with it."""
    made, before = not folder.exists(), {*folder.glob(DATA)}
    try:
        yield
    finally:
        begun = [config.read_bytes() for config in folder.rglob("config.yaml")]
        for path in {*folder.glob(DATA)} - before:
            if not any(path.name.encode() in config for config in begun):
                path.unlink()
        if made and not begun:
            shutil.rmtree(folder, ignore_errors=True)


def run_in(
    place: Path, data: DataLike, seed: int, name: str | None, groups: Mapping[str, str | Mapping[str, Any]]
) -> None:
    """The run of `train`, in a folder."""
    defaults = default_options()
    chosen = dict(defaults)
    if unknown := groups.keys() - chosen.keys():
        raise UserError(f"{min(unknown)}: there is no such group. Groups: {', '.join(chosen)}.")
    chosen["data"], node = data_of(data, place)
    config: dict[str, Any] = {"data": node}
    overrides = [f"data={chosen['data']}", *said("data", node, option("data", chosen["data"]))]
    for group in [group for group in chosen if group != "data"]:
        given = groups.get(group, {})
        if not isinstance(given, str | Mapping):
            raise UserError(f"{group}={given!r}: expected the name of an option, or a dict of settings.")
        values = {"option": given} if isinstance(given, str) else dict(given)
        chosen[group] = values.pop("option", chosen[group])
        config[group] = updated(group, option(group, chosen[group]), values)
        overrides += [f"{group}={chosen[group]}"] if chosen[group] != defaults[group] else []
        overrides += [f"{group}.{key}={value_in_words(value, exact=True)}" for key, value in flatten(values)]
    config = checked({**config, "seed": seed, "name": name, "debug": False})
    warn_unused(config, overrides)
    rehearse(config)
    chosen["training"] = option_of(config["training"])
    place.mkdir(parents=True, exist_ok=True)
    Run(config, place, Asked([*overrides, f"seed={seed}"], chosen))()


def said(group: str, node: dict[str, Any], default: dict[str, Any]) -> list[str]:
    """The settings that differ from the option's, as typed on the command line."""
    before = dict(flatten(default))
    return [
        f"{group}.{key}={value_in_words(value, exact=True)}" for key, value in flatten(node) if value != before.get(key)
    ]
