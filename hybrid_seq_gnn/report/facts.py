"""All that a report stands on: runs put together, the baseline, the comparison, and what had to be left out."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.compare.table import compare, values
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL
from hybrid_seq_gnn.evaluation.metrics import METRIC, METRICS
from hybrid_seq_gnn.report.studies import Sweep, sweeps
from hybrid_seq_gnn.report.style import BASELINE, Look, looks
from hybrid_seq_gnn.results.command import same, select
from hybrid_seq_gnn.results.configurations import Configuration, configurations
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import FinishedRun, why_not_comparable

if TYPE_CHECKING:
    import pandas as pd

    from hybrid_seq_gnn.report.criteria import Criteria

MOST = 6  # series in one figure: as many as there are colours


@dataclass
class Facts:
    """What was found.

    Attributes:
        sources: the paths, as the user named them.
        configurations: that ranked the same items of the same users, best on validation first, all named apart.
        baseline: one of them; None where there is none.
        why_no_baseline: a sentence, where there is none.
        untested: names of configurations that have no per-user data and why.
        notes: what was left out or chosen on the way.
        criteria: to check; None checks none.
        resamples, seed: of everything that is drawn.
    """

    sources: list[str]
    configurations: list[Configuration]
    baseline: Configuration | None
    why_no_baseline: str
    untested: dict[str, str]
    notes: list[str]
    criteria: "Criteria | None" = None
    resamples: int = 10_000
    seed: int = 0
    compared: "dict[tuple[str, str | None, str], pd.DataFrame]" = field(default_factory=dict)  # filled by `difference`

    @cached_property
    def runs(self) -> list[FinishedRun]:
        return [run for one in self.configurations for run in one.runs]

    @cached_property
    def sweeps(self) -> list[Sweep]:
        return sweeps(run.folder for run in self.runs)

    @property
    def base(self) -> str | None:
        return self.baseline.name if self.baseline else None

    @cached_property
    def others(self) -> list[Configuration]:
        """All but the baseline, best on validation first."""
        return [one for one in self.configurations if one is not self.baseline]

    @cached_property
    def tested(self) -> list[Configuration]:
        """All but the baseline that can be compared with it user by user."""
        return [one for one in self.others if one.name not in self.untested]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """How each configuration is drawn in all figures: the baseline in ink, the best ones apart."""
        base = {self.base: BASELINE} if self.base is not None else {}
        return base | looks(dict.fromkeys(one.name for one in (*self.tested, *self.others)), {})

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
        return next(one for one in self.configurations if one.name == name)

    @cached_property
    def rows(self) -> dict[tuple[str, ...], dict[Any, Any]]:
        """Of the comparison, by name, metric and group."""
        rows = [] if self.comparison is None else self.comparison.to_dict("records")
        return {(row["name"], row["metric"], row["group"]): row for row in rows}

    def row(self, name: str, metric: str = METRIC, group: str = OVERALL) -> dict[Any, Any] | None:
        return self.rows.get((name, metric, group))

    def challenger(self, wanted: Mapping[str, Any] | None) -> Configuration | None:
        """The best on validation among those with some settings; None stands for all but the baseline."""
        among = self.others if wanted is None else self.configurations
        return next((one for one in among if matches(one.settings, wanted or {})), None)

    def difference(
        self, one: Configuration, other: Configuration, metric: str, group: str
    ) -> tuple[float, float, float] | None:
        """Difference, relative difference and p of one to another; None where users cannot be compared.

        p is corrected as in `compare`: for all configurations if the other is the baseline, else for this pair alone.
        """
        if one.name in self.untested or other.name in self.untested or one is other:
            return None
        row = self.row(one.name, metric, group) if other is self.baseline else None
        if row is None:
            if (key := (metric, None if other is self.baseline else one.name, other.name)) not in self.compared:
                others, metrics = (self.tested, (*METRICS, metric)) if other is self.baseline else ([one], (metric,))
                self.compared[key] = compare(other, others, metrics, GROUPS, resamples=self.resamples, seed=self.seed)
            table = self.compared[key]
            wanted = (table["name"] == one.name) & (table["metric"] == metric) & (table["group"] == group)
            row = table[wanted].iloc[0].to_dict()
        return float(row["difference"]), float(row["relative"]), float(row["p_holm"])

    def users_in(self, group: str) -> int:
        return int(self.runs[0].results["grouped_metrics"][group]["count"])

    def to_draw(self, *, per_user: bool, most: int = MOST) -> tuple[list[Configuration], str]:
        """The configurations to draw, the baseline first, and what to say about the rest."""
        others = self.tested if per_user else self.others
        base = self.baseline
        with_base = [base] if base is not None and not (per_user and base.name in self.untested) else []
        return [*with_base, *others[:most]], only_the_best(most, len(others))


def only_the_best(most: int, count: int) -> str:
    """What a caption says where not all are drawn."""
    return f" Shown: the best {most} of {count} on validation." if count > most else ""


def matches(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a configuration has all these settings, however they are written; a list means any of its values."""

    def has(key: str, value: Any) -> bool:
        return same(settings[key], str(value)) or (value is False and settings[key] == "off")  # as YAML reads off

    return all(
        key in settings and any(has(key, one) for one in (value if isinstance(value, list) else [value]))
        for key, value in wanted.items()
    )


def gather(
    sources: Sequence[str],
    baseline: str | None,
    criteria: "Criteria | None" = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Facts:
    """Load everything, choose the baseline, and keep what can be put beside it.

    Args:
        sources: run folders, sweep folders or globs.
        baseline: a filter KEY=VALUE, or a folder; None takes model=sasrec where there is one, else the encoders
            alone that the runs have recorded.

    Raises:
        UserError: a source or the baseline leads to nothing.
    """
    found, why = load(sources), ""
    notes, by_folder = list(found.left_out), {run.folder.resolve(): run for run in found.runs}
    if baseline is None:
        wanted = [run for run in found.runs if run.settings.get("model") == "sasrec"]
        if not wanted and (recorded := sorted({*filter(None, map(encoder_alone, found.runs))})):
            wanted, more = load(recorded)
            notes += more
        why = (
            "There is no baseline: none of the runs has model=sasrec, and no encoder alone is where a run has recorded "
            "it. Name a baseline with --baseline KEY=VALUE or FOLDER."
        )
    elif os.path.exists(baseline):
        wanted, more = load([baseline])
        notes += more
    elif "=" in baseline:
        wanted = select(found.runs, [baseline], "--baseline")
    else:
        raise UserError(f"--baseline {baseline}: no such folder, and no KEY=VALUE as in model=sasrec.")
    for run in wanted:
        by_folder.setdefault(run.folder.resolve(), run)
    every, more = configurations(comparable(list(by_folder.values()), wanted, notes))
    notes += more
    untested: dict[str, str] = {}
    every = sorted(
        (without_broken_runs(one, untested, notes) for one in every), key=lambda one: one.validation, reverse=True
    )
    chosen = {run.folder.resolve() for run in wanted}
    candidates = [one for one in every if any(run.folder.resolve() in chosen for run in one.runs)]
    if len(candidates) > 1:
        rest = "; ".join(one.name for one in candidates[1:6])
        notes.append(f"{len(candidates)} configurations fit the baseline; the best on validation is it, not {rest}.")
    base = candidates[0] if candidates else None
    return Facts(list(sources), every, base, "" if base else why, untested, notes, criteria, resamples, seed)


def encoder_alone(run: FinishedRun) -> str | None:
    """The folder that a run has recorded for its encoder alone, from the working folder or one above the run."""
    folder = run.results["baseline"]["folder"] if run.results.get("baseline") else None
    above = (Path(), *run.folder.resolve().parents)
    return next((str(path / folder) for path in above if folder and (path / folder).exists()), None)


def comparable(runs: Sequence[FinishedRun], wanted: Sequence[FinishedRun], notes: list[str]) -> list[FinishedRun]:
    """The runs of one split and one way to evaluate: that of the baseline, else that of most runs."""
    ours = Counter(run.ranking for run in wanted or runs).most_common(1)[0][0]
    kept, left = ([run for run in runs if (run.ranking == ours) == ok] for ok in (True, False))
    for theirs in dict.fromkeys(run.ranking for run in left):
        same = [run for run in left if run.ranking == theirs]
        notes.append(f"{len(same)} of {len(runs)} runs left out: {why_not_comparable(kept[0], same[0])}")
    return kept


def without_broken_runs(one: Configuration, untested: dict[str, str], notes: list[str]) -> Configuration:
    """A configuration without the runs whose per-user data are missing or contradict their results."""
    good, bad = [], []
    for run in one.runs:
        try:
            run.per_user  # noqa: B018
            good.append(run)
        except ValueError as error:
            bad.append(str(error))
    if good and bad:
        notes.append(f"{one.name}: {len(bad)} of {len(one.runs)} seeds left out everywhere: {' '.join(bad)}")
        return replace(one, runs=tuple(good))
    if bad:
        untested[one.name] = bad[0]
        notes.append(f"{one.name} has no place in any comparison between users: {bad[0]}")
    return one
