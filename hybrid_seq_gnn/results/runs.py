"""Run folders read back: found, checked, and put together over seeds.

A *run* is one folder with a results.json. A *configuration* is all runs that have the same settings and data but for
the seed. Two runs can be compared if they ranked the same held-out items of the same users among the same candidates:
`require_comparable` refuses anything else. What cannot be read is either an error or, where it merely lies among
others below a folder, left out and said; it never becomes a number.
"""

import glob
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.evaluation.groups import OVERALL, LengthGroups
from hybrid_seq_gnn.results.labels import short_names
from hybrid_seq_gnn.results.tables import GROUPS, HEADLINE
from hybrid_seq_gnn.run.identity import counts, flatten
from hybrid_seq_gnn.run.record import read_results

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVES = ("NDCG@10",)
VALIDATION = f"validation {OBJECTIVES[0]}"
TRACES = {"train.log", "metrics.jsonl", "checkpoint.pt"}  # of a run that has begun
COLUMNS = ("user", "target", "length", "group", "rank", "alpha")


@dataclass(frozen=True)
class RunData:
    """One finished run.

    Attributes:
        folder: the run folder, as the user named it.
        results: its results.json.
    """

    folder: Path
    results: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of the run."""
        return int(self.results["seed"])

    @property
    def split_hash(self) -> str:
        """Of data and split: runs with the same one can be compared."""
        return str(self.results["data"]["split_hash"])

    @property
    def given_name(self) -> str | None:
        """The setting `name`, which says what to call this run in tables; None if there is none."""
        name = self.results["config"].get("name")
        return str(name) if name else None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The options in use and every setting that may change a number, without the seed and the data."""
        own = settings(self.results)
        return {k: v for k, v in own.items() if k.split(".")[0] not in ("seed", "data") and counts(k)}

    @cached_property
    def per_user(self) -> "pd.DataFrame":
        """per_user.parquet, ordered by user.

        Raises:
            ValueError: it is missing, cannot be read, or says something else than results.json.
        """
        return read_per_user(self.folder, self.results)


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: short, in the words of the command line (or the setting `name`), unique among those it was made with.
        runs: one a seed, in the order of seeds.
        trials: configurations with the same `model` in the sweep that it comes from, itself included; 1 outside of a
            sweep. How often one could choose.
    """

    name: str
    runs: tuple[RunData, ...]
    trials: int = 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its runs."""
        return tuple(run.seed for run in self.runs)

    @property
    def settings(self) -> dict[str, Any]:
        """What all its runs have in common."""
        return self.runs[0].settings


@dataclass
class Loaded:
    """What was found.

    Attributes:
        runs: finished runs, each folder once.
        left_out: a sentence for everything that lay there and could not be used.
    """

    runs: list[RunData] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def load(paths: Iterable[str | Path]) -> Loaded:
    """The runs that `paths` name: run folders, sweep folders, any folder above them, or globs.

    Raises:
        ValueError: a path leads to no run, or names a run that is half written or damaged.
    """
    found, seen = Loaded(), set()
    unfinished: dict[Path, list[str]] = {}
    for path in paths:
        folders = expand(path)
        some = False
        for folder in folders:
            runs = run_folders(folder)
            if not runs:
                raise ValueError(nothing_in(folder))
            for run in runs:
                named = run == folder and len(folders) == 1
                problem = None
                try:
                    done = read_run(run)
                except ValueError as error:
                    if named:
                        raise
                    problem = str(error)
                else:
                    some = True
                key = run.resolve()
                if key in seen:
                    continue
                seen.add(key)
                if problem is None:
                    found.runs.append(done)
                else:
                    found.left_out.append(problem)
                    if not (run / "results.json").exists():
                        unfinished.setdefault(run.parent, []).append(problem)
        if not some:
            raise ValueError(f"{path}: no finished run. " + " ".join(found.left_out))
    for folder, problems in unfinished.items():
        if len(problems) > 1:  # of a sweep, whose pruned runs are many
            found.left_out = [line for line in found.left_out if line not in problems]
            found.left_out.append(
                f"{folder}: {len(problems)} runs have no results.json: they were pruned, failed or have not finished; "
                "leaderboard.md of a sweep says which."
            )
    return found


def expand(path: str | Path) -> list[Path]:
    """The folders that a path or a glob names, in the order of their numbers."""
    if os.path.exists(path):
        there = Path(path)
        return [there.parent if there.name == "results.json" else there]
    matches = [Path(match) for match in glob.glob(os.path.expanduser(path), recursive=True)]
    matches = [match.parent if match.name == "results.json" else match for match in matches]
    folders = sorted({match for match in matches if match.is_dir()}, key=by_number)
    if not folders:
        raise ValueError(f"{path}: there is no such folder. Expected run folders, sweep folders or a glob of them.")
    return folders


def by_number(path: Path) -> list[tuple[int, str]]:
    """A sort key by which 10_seed0 comes after 9_seed0."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def run_folders(folder: Path) -> list[Path]:
    """The folder itself if a run was begun in it, else all such folders below it, at any depth."""
    if not folder.is_dir():
        return []
    found = []
    for here, folders, files in os.walk(folder):
        if "results.json" in files or not TRACES.isdisjoint(files):
            found.append(Path(here))
            folders.clear()
        else:
            folders[:] = [name for name in folders if not name.startswith(".")]
    return sorted(found, key=by_number)


def nothing_in(folder: Path) -> str:
    """Why a folder is of no use."""
    if not folder.is_dir():
        return f"{folder} is a file; expected a run folder, a sweep folder or a glob of them."
    return f"{folder} holds no run: there is no results.json in it or below it."


def read_run(folder: Path) -> RunData:
    """One finished run.

    Raises:
        ValueError: it has not finished, or results.json is damaged or lacks something.
    """
    results = read_results(folder)
    if results is None:
        raise ValueError(
            f"{folder} has no results.json: the run has not finished. The same command with hydra.run.dir={folder} "
            "(in a sweep, with its hydra.sweep.dir) goes on with it."
        )
    run = RunData(folder, results)
    try:
        run.settings, run.seed, run.split_hash, run.given_name, numbers(results)
        for group in (*LengthGroups.names, OVERALL):
            results["grouped_metrics"][group]["count"]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{folder / 'results.json'} is incomplete: {error!r}.") from error
    except ValueError as error:
        raise ValueError(f"{folder / 'results.json'}: {error}") from error
    return run


def read_per_user(folder: Path, results: dict[str, Any]) -> "pd.DataFrame":
    """per_user.parquet of a run, ordered by user and held against results.json.

    Raises:
        ValueError: it is missing, cannot be read, or says something else than results.json.
    """
    import pandas as pd

    from hybrid_seq_gnn.evaluation.metrics import metrics

    path = folder / "per_user.parquet"
    if not path.exists():
        raise ValueError(f"{folder} has no per_user.parquet, without which nothing can be tested; run it again.")
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow has many ways to say that a file is damaged
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if missing := [column for column in COLUMNS if column not in frame.columns]:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    expected = results["grouped_metrics"]
    for group in (OVERALL, *LengthGroups.names):
        rows = frame if group == OVERALL else frame[frame["group"] == group]
        if len(rows) != expected[group]["count"]:
            raise ValueError(
                f"{path} has {len(rows)} users ({group}), results.json beside it says {expected[group]['count']}: "
                "the two are not of the same run."
            )
        for name, value in metrics(rows["rank"].to_numpy()).items():
            said = expected[group].get(name)
            if said is not None and (value is None or abs(value - said) > 1e-9):
                raise ValueError(
                    f"{path} gives {name} {value} ({group}), results.json beside it says {said}: "
                    "the two are not of the same run."
                )
    if frame["user"].duplicated().any():
        raise ValueError(f"{path} has a user twice: {frame['user'][frame['user'].duplicated()].iloc[0]}.")
    return frame.sort_values("user", ignore_index=True)


def configurations(runs: Sequence[RunData]) -> tuple[list[Configuration], list[str]]:
    """The runs by configuration, in the order in which they were found, and what is to be said about that."""
    together, notes = grouped(runs)
    return named(together), notes


def grouped(runs: Sequence[RunData]) -> tuple[list[list[RunData]], list[str]]:
    """Runs that differ in nothing but their seed, by seed; and a sentence for every run that another one replaces.

    Where a configuration has a seed twice, the run whose results.json is newest stays.
    """
    by_settings: dict[tuple[str, str], list[RunData]] = {}
    for run in runs:
        by_settings.setdefault((run.split_hash, fingerprint(run)), []).append(run)
    found, notes = [], []
    for same in by_settings.values():
        kept: dict[int, RunData] = {}
        for run in sorted(same, key=lambda run: (run.folder / "results.json").stat().st_mtime):
            if (older := kept.get(run.seed)) is not None:
                notes.append(
                    f"{older.folder} and {run.folder} are the same configuration with the same seed {run.seed}: "
                    f"the newer one, {run.folder}, is used."
                )
            kept[run.seed] = run
        found.append([kept[seed] for seed in sorted(kept)])
    return found, notes


def fingerprint(run: RunData) -> str:
    """The settings of a run as a text."""
    return repr(sorted((key, repr(value)) for key, value in run.settings.items()))


def named(together: Sequence[Sequence[RunData]]) -> list[Configuration]:
    """Configurations of what `grouped` gave, with names that tell all of them apart."""
    first = [runs[0] for runs in together]
    folders = [str(run.folder) for run in first]
    names = short_names([name_of(runs) for runs in together], [run.settings for run in first], folders)
    return [Configuration(*each) for each in zip(names, map(tuple, together), trials(first), strict=True)]


def name_of(runs: Sequence[RunData]) -> str | None:
    """The name that the user gave to all of them."""
    names = {run.given_name for run in runs}
    return names.pop() if len(names) == 1 else None


def trials(runs: Sequence[RunData]) -> list[int]:
    """How many configurations with the same model each run's sweep holds, its own included."""
    counts: dict[Path, dict[str, set[str]]] = {}
    for run in runs:
        sweep = run.folder.resolve().parent
        if sweep not in counts:
            counts[sweep] = {}
            beside = sorted(sweep.glob("*/results.json")) if (sweep / "leaderboard.csv").exists() else []
            for path in beside:
                try:
                    other = read_run(path.parent)
                except ValueError:
                    continue
                own = counts[sweep].setdefault(str(other.settings.get("model")), set())
                own.add(fingerprint(other))
    return [max(1, len(counts[r.folder.resolve().parent].get(str(r.settings.get("model")), ()))) for r in runs]


def require_comparable(runs: Sequence[RunData]) -> None:
    """Refuse runs that did not rank the same held-out items among the same candidates.

    Raises:
        ValueError: other data, another split, or other settings of the evaluation; names both folders.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.split_hash != first.split_hash:
            raise ValueError(
                f"{first.folder} and {run.folder} cannot be compared: they have other data or another split "
                f"({data_of(first)} and {data_of(run)})."
            )
        for key in ("evaluation.groups.short", "evaluation.groups.long", "evaluation.mask_history"):
            if run.settings.get(key) != first.settings.get(key):
                raise ValueError(
                    f"{first.folder} and {run.folder} cannot be compared: {key} is {first.settings.get(key)} in the "
                    f"first and {run.settings.get(key)} in the second."
                )


def data_of(run: RunData) -> str:
    """A run's data, for people."""
    return f"data={run.results['options'].get('data')}, split {run.split_hash[:12]}"


def settings(results: dict[str, Any]) -> dict[str, Any]:
    """The options of the groups in use, and their settings, but for the logger, which changes no number."""
    config = {key: value for key, value in results["config"].items() if key != "logger"}
    options = {group: option for group, option in results["options"].items() if config.get(group)}
    return {**options, **{key: value for key, value in flatten(config) if "." in key or key == "seed"}}


def numbers(results: dict[str, Any], objectives: Sequence[str] = OBJECTIVES) -> dict[str, Any]:
    """The columns of the leaderboard that a run measured.

    Raises:
        ValueError: a validation metric is not a number.
    """
    if not math.isfinite(results["best_val_metric"]):
        raise ValueError(f"validation NDCG@10 is {results['best_val_metric']}.")
    alpha = results.get("alpha_stats")
    found: dict[str, Any] = {"alpha": alpha["overall"]["mean"] if alpha else None}
    for objective in objectives:
        metric, _, group = objective.partition("/")
        grouped = results["validation_grouped_metrics"]
        found[f"validation {objective}"] = grouped[group or "overall"][metric]
        if not group:
            found |= {f"validation {objective}/{name}": grouped[name][metric] for name in GROUPS[:-1]}
    for group in ("overall", *GROUPS[:-1]):
        suffix = "" if group == "overall" else f"/{group}"
        found |= {f"{name}{suffix}": results["grouped_metrics"][group][name] for name in HEADLINE}
    return found | {"best epoch": results["best_epoch"], "seconds": results["seconds"]["total"]}
