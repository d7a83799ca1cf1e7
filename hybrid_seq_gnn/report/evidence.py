"""All that a report stands on: runs put together, the baseline, the comparison, and what had to be left out."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.compare.table import GROUPS, compare, values
from hybrid_seq_gnn.evaluation.groups import OVERALL
from hybrid_seq_gnn.report.criteria import Measured, matches
from hybrid_seq_gnn.results.command import select
from hybrid_seq_gnn.results.runs import Configuration, RunData, data_of, grouped, load, named

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("NDCG@10", "HR@10", "MRR@10")
METRIC = METRICS[0]
DEFAULT_BASELINE = "model=sasrec"


@dataclass
class Evidence:
    """What was found.

    Attributes:
        sources: the paths, as the user named them.
        configurations: that ranked the same items of the same users, best on validation first, all named apart.
        baseline: one of them; None where there is none.
        why_no_baseline: a sentence, where there is none.
        untested: names of configurations that have no per-user data and why.
        notes: what was left out or chosen on the way.
        resamples, seed: of everything that is drawn.
    """

    sources: list[str]
    configurations: list[Configuration]
    baseline: Configuration | None
    why_no_baseline: str
    untested: dict[str, str]
    notes: list[str]
    resamples: int = 10_000
    seed: int = 0

    @cached_property
    def others(self) -> list[Configuration]:
        """All but the baseline, best on validation first."""
        return [one for one in self.configurations if one is not self.baseline]

    @cached_property
    def tested(self) -> list[Configuration]:
        """All but the baseline that can be compared with it user by user."""
        return [one for one in self.others if one.name not in self.untested]

    @cached_property
    def comparison(self) -> "pd.DataFrame | None":
        """`compare` over METRICS and all groups; None where there is nothing to compare."""
        if self.baseline is None or self.baseline.name in self.untested or not self.tested:
            return None
        return compare(self.baseline, self.tested, METRICS, GROUPS, resamples=self.resamples, seed=self.seed)

    @cached_property
    def users(self) -> "pd.DataFrame | None":
        """user, length and group of every test user; None without any per-user data."""
        for one in self.configurations:
            if one.name not in self.untested:
                return one.runs[0].per_user[["user", "length", "group"]]
        return None

    def per_user(self, name: str, metric: str) -> np.ndarray:
        """The metric of each user in each run of a configuration, (seeds, U), in the order of `users`."""
        runs = self.named(name).runs
        return values(runs, runs[0], [metric])[:, :, 0]

    def named(self, name: str) -> Configuration:
        """The configuration of that name."""
        return next(one for one in self.configurations if one.name == name)

    def row(self, name: str, metric: str = METRIC, group: str = OVERALL) -> dict[str, Any] | None:
        """One row of the comparison."""
        if self.comparison is None:
            return None
        frame = self.comparison
        found = frame[(frame["name"] == name) & (frame["metric"] == metric) & (frame["group"] == group)]
        return {str(k): v for k, v in found.iloc[0].items()} if len(found) else None

    def challenger(self, wanted: Mapping[str, Any] | None = None) -> Configuration | None:
        """The best on validation among all but the baseline, or among those with some settings."""
        among = self.others if wanted is None else self.configurations
        return next((one for one in among if wanted is None or matches(one.settings, wanted)), None)

    def measured(self) -> Measured:
        """What criteria may ask."""

        def challenger(wanted: Mapping[str, Any] | None) -> str | None:
            found = self.challenger(wanted)
            return found.name if found else None

        def value(name: str, metric: str, group: str) -> float | None:
            return value_on_test(self.named(name), metric, group)

        def users(group: str) -> int | None:
            first = next(iter(self.configurations), None)
            return int(first.runs[0].results["grouped_metrics"][group]["count"]) if first else None

        def difference(name: str, other: str, metric: str, group: str) -> tuple[float, float, float] | None:
            if name in self.untested or other in self.untested or name == other:
                return None
            row = self.row(name, metric, group) if self.baseline and other == self.baseline.name else None
            if row is None:
                pair = self.named(other), [self.named(name)]
                frame = compare(*pair, [metric], [group], resamples=self.resamples, seed=self.seed)
                row = {str(k): v for k, v in frame.iloc[0].items()}
            return float(row["difference"]), float(row["relative"]), float(row["p_holm"])

        settings = {one.name: one.settings for one in self.configurations}
        base = self.baseline.name if self.baseline else None
        return Measured(settings, challenger, value, users, base, difference)


def validation(one: Configuration) -> float:
    """Mean over seeds of the validation metric that chose the epoch."""
    return float(np.mean([run.results["best_val_metric"] for run in one.runs]))


def value_on_test(one: Configuration, metric: str, group: str = OVERALL) -> float | None:
    """Mean over seeds of a test metric; None for a group without users."""
    found = over_seeds(one, metric, group)
    return float(np.mean(found)) if found else None


def over_seeds(one: Configuration, metric: str, group: str = OVERALL) -> tuple[float, ...]:
    """A test metric of every seed; empty for a group without users."""
    found = [run.results["grouped_metrics"][group].get(metric) for run in one.runs]
    return () if None in found else tuple(float(value) for value in found)


def gather(sources: Sequence[str], baseline: str | None, *, resamples: int = 10_000, seed: int = 0) -> Evidence:
    """Load everything, choose the baseline, and keep what can be put beside it.

    Args:
        sources: run folders, sweep folders or globs.
        baseline: a filter KEY=VALUE, or a folder; None takes model=sasrec where there is one.

    Raises:
        ValueError: a source or the baseline leads to nothing.
    """
    found = load(sources)
    notes = list(found.left_out)
    folder = None
    if baseline is not None and os.path.exists(baseline):
        folder = load([baseline])
        notes += folder.left_out
        there = {run.folder.resolve() for run in found.runs}
        found.runs += [run for run in folder.runs if run.folder.resolve() not in there]
    wanted: list[RunData] = []
    why = ""
    if folder is not None:
        wanted = folder.runs
    elif baseline is not None:
        if "=" not in baseline:
            raise ValueError(f"--baseline {baseline}: no such folder, and no KEY=VALUE as in {DEFAULT_BASELINE}.")
        wanted = select(found.runs, [baseline], "--baseline")
    else:
        wanted = [run for run in found.runs if run.settings.get("model") == "sasrec"]
        why = "There is no baseline: none of the runs has model=sasrec. Name one with --baseline KEY=VALUE or FOLDER."
    kept = comparable(found.runs, wanted, notes)
    untested: dict[str, str] = {}
    together, more = grouped(kept)
    notes += more
    chosen = {run.folder.resolve() for run in wanted}
    all_named = [checked(one, untested, notes) for one in named(together)]
    all_named.sort(key=validation, reverse=True)
    candidates = [one for one in all_named if any(run.folder.resolve() in chosen for run in one.runs)]
    base = candidates[0] if candidates else None
    if len(candidates) > 1:
        rest = "; ".join(one.name for one in candidates[1:6])
        notes.append(f"{len(candidates)} configurations fit the baseline; the best on validation is it, not {rest}.")
    return Evidence(list(sources), all_named, base, "" if base else why, untested, notes, resamples, seed)


def comparable(runs: Sequence[RunData], wanted: Sequence[RunData], notes: list[str]) -> list[RunData]:
    """The runs of one split and one way to evaluate: that of the baseline, else that of most runs."""

    def kind(run: RunData) -> tuple[str, str]:
        keys = ("evaluation.groups.short", "evaluation.groups.long", "evaluation.mask_history")
        return run.split_hash, repr([run.settings.get(key) for key in keys])

    counts = Counter(kind(run) for run in wanted or runs)
    (ours, _), *_ = counts.most_common(1)
    left = [run for run in runs if kind(run) != ours]
    if left:
        first = next(run for run in runs if kind(run) == ours)
        others = "; ".join(dict.fromkeys(data_of(run) for run in left))
        notes.append(
            f"{len(left)} of {len(runs)} runs are left out, because they cannot be compared with {first.folder} "
            f"({data_of(first)}): they have other data, another split or other settings of the evaluation ({others}). "
            f"The first is {left[0].folder}. Give them a report of their own."
        )
    return [run for run in runs if kind(run) == ours]


def checked(one: Configuration, untested: dict[str, str], notes: list[str]) -> Configuration:
    """A configuration without the runs whose per-user data are missing or contradict their results."""
    good, bad = [], []
    for run in one.runs:
        try:
            run.per_user  # noqa: B018
            good.append(run)
        except ValueError as error:
            bad.append(str(error))
    if good and bad:
        notes.append(f"{one.name}: {len(bad)} of {len(one.runs)} seeds are left out everywhere: {' '.join(bad)}")
        return replace(one, runs=tuple(good))
    if bad:
        untested[one.name] = bad[0]
        notes.append(f"{one.name} has no place in any comparison between users: {bad[0]}")
    return one
