"""One finished run, read back from its folder and checked. What cannot be read is an error and never a number."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import OVERALL, LengthGroups
from hybrid_seq_gnn.files import checksum
from hybrid_seq_gnn.run.identity import counts, flatten, identity
from hybrid_seq_gnn.run.record import read_results

if TYPE_CHECKING:
    import pandas as pd

GROUPS = (OVERALL, *LengthGroups.names)
HEADLINE = ("HR@10", "NDCG@10", "MRR@10")
VALIDATION = "validation NDCG@10"
PER_USER = ("user", "target", "length", "group", "rank", "alpha")
RANKING = ("evaluation.groups.short", "evaluation.groups.long", "evaluation.mask_history")  # what is ranked, for whom


@dataclass(frozen=True)
class Run:
    """One finished run: its folder, as the user named it, and its results.json."""

    folder: Path
    results: dict[str, Any]

    @property
    def seed(self) -> int:
        return int(self.results["seed"])

    @property
    def split_hash(self) -> str:
        """Of data and split: runs with the same one can be compared."""
        return str(self.results["data"]["split_hash"])

    @property
    def given_name(self) -> str | None:
        """The setting `name`, which says what to call this run in tables; None if there is none."""
        return self.results["config"].get("name") or None

    @property
    def validation(self) -> float:
        """The metric that chose the epoch."""
        return float(self.results["best_val_metric"])

    @property
    def alpha(self) -> float | None:
        """Mean over test users; None for a model that mixes nothing."""
        statistics = self.results.get("alpha_stats")
        return statistics[OVERALL]["mean"] if statistics else None

    @cached_property
    def every_setting(self) -> dict[str, Any]:
        """Its name if it has one, the options of the groups in use, and their settings, all but the logger's."""
        config = {key: value for key, value in self.results["config"].items() if key != "logger"}
        options = {group: option for group, option in self.results["options"].items() if config.get(group)}
        settings = {key: value for key, value in flatten(config) if "." in key or key == "seed"}
        return ({"name": self.given_name} if self.given_name else {}) | options | settings

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of `every_setting` what may change a number, without the seed and the data."""
        return {k: v for k, v in self.every_setting.items() if k.split(".")[0] not in ("seed", "data") and counts(k)}

    @cached_property
    def identity(self) -> str:
        """What all repeats of a configuration have in common."""
        return identity(self.results["config"], self.split_hash, seed=False)

    @cached_property
    def per_user(self) -> "pd.DataFrame":
        """per_user.parquet, ordered by user.

        Raises:
            ValueError: it is missing, cannot be read, or says something else than results.json.
        """
        return read_per_user(self.folder, self.results)

    def metric(self, name: str) -> float | None:
        """`NDCG@10`, `HR@10/short` of the test split, or `validation NDCG@10`; None for a group without users."""
        split, _, name = name.rpartition(" ")
        metric, _, group = name.partition("/")
        value: float | None = self.results[f"{split}{'_' if split else ''}grouped_metrics"][group or OVERALL][metric]
        return value


def read_run(folder: Path) -> Run:
    """One finished run.

    Raises:
        ValueError: it has not finished, or results.json is damaged or lacks something.
    """
    results = read_results(folder)
    if results is None:
        raise UserError(
            f"{folder} has no results.json: the run has not finished. The same command with hydra.run.dir={folder} "
            "(in a sweep, with its hydra.sweep.dir) goes on with it."
        )
    run = Run(folder, results)
    try:
        run.settings, run.seed, run.identity, run.given_name, run.alpha, results["best_epoch"]
        results["seconds"]["total"]
        for group in GROUPS:
            results["grouped_metrics"][group]["count"]
            for name in HEADLINE:
                run.metric(f"{name}/{group}")
            run.metric(f"{VALIDATION}/{group}")
        if not math.isfinite(run.validation):
            raise UserError(f"{VALIDATION} is {run.validation}.")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{folder / 'results.json'} is incomplete: {error!r}.") from error
    except ValueError as error:
        raise UserError(f"{folder / 'results.json'}: {error}") from error
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
        raise UserError(f"{folder} has no per_user.parquet, without which nothing can be tested; run it again.")
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow has many ways to say that a file is damaged
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if missing := [column for column in PER_USER if column not in frame.columns]:
        raise UserError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    other = "the two are not of the same run."
    for group in GROUPS:
        rows = frame if group == OVERALL else frame[frame["group"] == group]
        expected = results["grouped_metrics"][group]
        if len(rows) != expected["count"]:
            raise UserError(
                f"{path} has {len(rows)} users ({group}), results.json beside it says {expected['count']}: {other}"
            )
        for name, value in metrics(rows["rank"].to_numpy()).items():
            said = expected.get(name)
            if said is not None and (value is None or abs(value - said) > 1e-9):
                raise UserError(f"{path} gives {name} {value} ({group}), results.json beside it says {said}: {other}")
    if frame["user"].duplicated().any():
        raise UserError(f"{path} has a user twice: {frame['user'][frame['user'].duplicated()].iloc[0]}.")
    if (recorded := results.get("sha256", {}).get(path.name)) is not None and recorded != checksum(path):
        raise UserError(f"{path} was changed after the run: its checksum is not the one in results.json.")
    return frame.sort_values("user", ignore_index=True)


def require_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs that did not rank the same held-out items among the same candidates.

    Raises:
        ValueError: other data, another split, or other settings of the evaluation; names both folders.
    """
    first = runs[0]
    for run in runs[1:]:
        both = f"{first.folder} and {run.folder} cannot be compared:"
        if run.split_hash != first.split_hash:
            raise UserError(
                f"{both} they have other data or another split ({data_of(first)} and {data_of(run)}). Name runs of one."
            )
        for key in RANKING:
            if run.settings.get(key) != first.settings.get(key):
                raise UserError(
                    f"{both} {key} is {first.settings.get(key)} in the first and {run.settings.get(key)} in the second."
                )


def by_group(metrics: Iterable[str]) -> list[str]:
    """Metrics of all users, then of each group: `HR@10`, `HR@10/short`."""
    names = list(metrics)
    return [name if group == OVERALL else f"{name}/{group}" for group in GROUPS for name in names]


def data_of(run: Run) -> str:
    return f"data={run.results['options'].get('data')}, split {run.split_hash[:12]}"
