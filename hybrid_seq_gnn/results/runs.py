"""One finished run, read back from its folder and checked. What cannot be read is an error and never a number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.results.labels import counted
from hybrid_seq_gnn.run.identity import affects_results, flatten, identity
from hybrid_seq_gnn.run.per_user import read_per_user
from hybrid_seq_gnn.run.record import change_of, read_results

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = ("HR@10", "NDCG@10", "MRR@10")
VALIDATION = f"validation {METRIC}"
# Settings that must be equal for two runs to be compared. The value is what older runs, which lack the setting, did.
RANKING = {
    "evaluation.groups.short": None,
    "evaluation.groups.long": None,
    "evaluation.mask_history": None,
    "evaluation.refit": False,
}


@dataclass(frozen=True)
class FinishedRun:
    """One finished run: its folder, as the user named it, and its results.json."""

    folder: Path
    results: dict[str, Any]

    @property
    def seed(self) -> int:
        return int(self.results["seed"])

    @property
    def machine(self) -> str:
        """What it was trained on: `cpu, 1 thread`."""
        device, threads = self.results.get("device"), self.results.get("threads")
        return f"{device or 'unknown device'}, {counted(threads, 'thread') if threads else 'unknown threads'}"

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
        """Validation NDCG@10 of all users; training may have looked at a sample of them."""
        value = self.metric(VALIDATION)
        assert value is not None
        return value

    @property
    def seconds(self) -> float:
        """Of the run, and of the encoders that it took from other runs, each counted as the first."""
        encoder = (self.results.get("stages") or {}).get("encoder")
        members = 0 if encoder is None else 1 + len(encoder["others"])
        alone = (self.results.get("baseline") or {}).get("seconds", 0.0)
        return float(self.results["seconds"]["total"] + members * alone)

    @property
    def alpha(self) -> float | None:
        """Mean over test users; None for a model that mixes nothing."""
        statistics = self.results.get("alpha_stats")
        return statistics[OVERALL]["mean"] if statistics else None

    @property
    def trained_on(self) -> str | None:
        """The hash of data and split of the training; None where they are those of the ranking."""
        trained: str | None = (self.results.get("evaluated") or {}).get("trained_on")
        return None if trained == self.split_hash else trained

    @cached_property
    def every_setting(self) -> dict[str, Any]:
        """Its name if it has one, the options of the groups in use, and their settings, all but the logger's.

        Of what `evaluate` wrote also `trained_on`, where the model was trained on other data than it ranks.
        """
        config = {key: value for key, value in self.results["config"].items() if key != "logger"}
        options = {group: option for group, option in self.results["options"].items() if config.get(group)}
        settings = {key: value for key, value in flatten(config) if "." in key or key == "seed"}
        named = {"name": self.given_name} if self.given_name else {}
        return named | options | settings | ({"trained_on": self.trained_on[:12]} if self.trained_on else {})

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of `every_setting` what may change a number, without the seed and the data."""
        return {
            k: v
            for k, v in self.every_setting.items()
            if k.split(".")[0] not in ("seed", "data") and affects_results(k)
        }

    @property
    def ranking(self) -> tuple[Any, ...]:
        """The split and the values of `RANKING`: runs in which they are equal can be compared."""
        return self.split_hash, *(self.settings.get(key, before) for key, before in RANKING.items())

    @cached_property
    def identity(self) -> str:
        """What all repeats of a configuration have in common."""
        return identity({**self.results["config"], "trained_on": self.trained_on}, self.split_hash, seed=False)

    @cached_property
    def per_user(self) -> "pd.DataFrame":
        """per_user.parquet, ordered by user.

        Raises:
            UserError: it is missing, cannot be read, or says something else than results.json.
        """
        return read_per_user(self.folder, self.results).sort_values("user", ignore_index=True)

    @property
    def change(self) -> str | None:
        """What to say if per_user.parquet is not the one that the run wrote."""
        return change_of(self.folder / "per_user.parquet", self.results)

    def metric(self, name: str) -> float | None:
        """`NDCG@10`, `HR@10/short` of the test split, or `validation NDCG@10`; None for a group without users."""
        split, _, name = name.rpartition(" ")
        metric, _, group = name.partition("/")
        value: float | None = self.results[f"{split}{'_' if split else ''}grouped_metrics"][group or OVERALL][metric]
        return value


def read_run(folder: Path) -> FinishedRun:
    """One finished run.

    Raises:
        UserError: it has not finished, or results.json is damaged or lacks something.
    """
    results = read_results(folder)
    if results is None:
        raise UserError(
            f"{folder} has no results.json: the run has not finished. The same command with hydra.run.dir={folder} "
            "(in a sweep, with its hydra.sweep.dir) goes on with it."
        )
    run = FinishedRun(folder, results)
    if run.metric(VALIDATION) is None:
        raise UserError(
            f"{folder / 'results.json'} lacks validation_grouped_metrics.overall.NDCG@10, which every run has. Run it "
            "again."
        )
    return run


def require_comparable(runs: Sequence[FinishedRun]) -> None:
    """Refuse runs that did not rank the same held-out items among the same candidates.

    Raises:
        UserError: other data, another split, or other settings of the evaluation; names both folders.
    """
    for run in runs[1:]:
        if run.ranking != runs[0].ranking:
            raise UserError(why_not_comparable(runs[0], run))


def why_not_comparable(first: FinishedRun, run: FinishedRun) -> str:
    """In what two runs with another `ranking` differ."""
    both = f"{first.folder} and {run.folder} cannot be compared:"
    if run.split_hash != first.split_hash:
        return (
            f"{both} they have other data, another split or other candidates "
            f"({data_of(first)} and {data_of(run)}). Name runs of one."
        )
    each = zip(RANKING, first.ranking[1:], run.ranking[1:], strict=True)
    key, one, other = next((key, one, other) for key, one, other in each if one != other)
    return f"{both} {key} is {one} in the first and {other} in the second."


def by_group(metrics: Iterable[str]) -> list[str]:
    """Metrics of all users, then of each group: `HR@10`, `HR@10/short`."""
    names = list(metrics)
    return [name if group == OVERALL else f"{name}/{group}" for group in GROUPS for name in names]


def data_of(run: FinishedRun) -> str:
    return f"data={run.results['options'].get('data')}, split {run.split_hash[:12]}"
