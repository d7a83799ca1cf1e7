"""The sections of a report on quality: answer, leaderboard, groups, lengths, ablation, cost, criteria.

Each takes the evidence and returns its section; where something is missing it says so instead.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from hybrid_seq_gnn.compare.render import between, cells, number, p_value
from hybrid_seq_gnn.compare.sentences import verdict
from hybrid_seq_gnn.compare.table import GROUPS
from hybrid_seq_gnn.evaluation.groups import OVERALL, LengthGroups
from hybrid_seq_gnn.evaluation.significance import bootstrap
from hybrid_seq_gnn.evaluation.smooth import curves
from hybrid_seq_gnn.report import figures
from hybrid_seq_gnn.report import sentences as answer
from hybrid_seq_gnn.report.criteria import Criteria, check
from hybrid_seq_gnn.report.evidence import METRIC, METRICS, Evidence, over_seeds, value_on_test
from hybrid_seq_gnn.report.page import Figures, Section
from hybrid_seq_gnn.report.studies import Sweep
from hybrid_seq_gnn.results.runs import Configuration
from hybrid_seq_gnn.results.tables import Number

MARKS = {"better": "▲ better", "worse": "▼ worse", "not significant": "= not significant"}
MOST_CURVES = 3  # with a band each, beside the baseline


def drawn(evidence: Evidence, per_user: bool, most: int = figures.MOST) -> tuple[list[Configuration], str]:
    """The configurations to draw, the baseline among them, and what to say about the rest."""
    others = evidence.tested if per_user else evidence.others
    base = evidence.baseline
    with_base = [base] if base is not None and not (per_user and base.name in evidence.untested) else []
    note = f" Shown: the best {most} of {len(others)} on validation." if len(others) > most else ""
    return [*with_base, *others[:most]], note


def the_answer(evidence: Evidence, sweeps: Sequence[Sweep]) -> Section:
    """In sentences."""
    section = Section("answer", "The answer")
    section.list(answer.sentences(evidence, sweeps))
    if evidence.notes:
        section.gap(" ".join(evidence.notes))
    return section


def leaderboard(evidence: Evidence) -> Section:
    """A row a configuration, best on validation first."""
    section = Section("leaderboard", "Leaderboard")
    others = METRICS[1:]
    header = ["configuration", "seeds", f"validation {METRIC}", METRIC, "− baseline", "p (Holm)", "verdict", *others]
    rows = []
    for one in evidence.configurations:
        line = [one.name, len(one.runs), with_spread([run.results["best_val_metric"] for run in one.runs])]
        line.append(with_spread(over_seeds(one, METRIC)))
        row = evidence.row(one.name)
        if row is None:
            line += [Number("–"), Number("–"), "baseline" if one is evidence.baseline else "not compared"]
        else:
            shown = f"{number(row['difference'], '+.4f')} ({between(row['low'], row['high'], '+.4f')})"
            line += [Number(shown), p_value(row["p_holm"]), MARKS.get(verdict(row), verdict(row))]
        rows.append([*line, *(value_on_test(one, metric) for metric in others)])
    note = (
        "Best on validation first; metrics are of the test split, mean ± standard deviation over seeds; the difference "
        "with its 95 % interval (bootstrap over users). ▲ ▼: significant at 0.05 after Holm's correction over all "
        "configurations, metrics and groups."
    )
    section.table(header, rows, note=note)
    if evidence.comparison is not None:
        for metric, found in evidence.comparison.groupby("metric", sort=False):
            section.table(*cells(found, 0.05, whole=True), summary=f"All comparisons on {metric}, by group")
    return section


def with_spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds."""
    if not len(values):
        return Number("–")
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return Number(f"{np.mean(values):.4f}{spread}")


def by_group(evidence: Evidence, figs: Figures) -> Section:
    """Metric by length group: difference to the baseline and the metric itself."""
    section = Section("groups", "By length of the history")
    shown, note = drawn(evidence, per_user=True)
    users = evidence.users
    if users is None:
        section.gap("no run has per-user data, without which nothing has an error bar.")
        return section
    labels = group_labels(evidence)
    base = evidence.baseline
    others = [one for one in shown if one is not base]
    groups = list(labels.values())
    for metric in METRICS[:2]:
        slug = metric.lower().replace("@", "")
        if evidence.comparison is not None:
            series = {}
            for one in others:
                rows = {labels[g]: evidence.row(one.name, metric, g) for g in GROUPS}
                series[one.name] = {
                    label: interval(row) for label, row in rows.items() if row is not None and row["users"] > 1
                }
            figs.add(
                section,
                f"difference-by-group-{slug}",
                f"{metric}, difference to the baseline ({base.name if base else ''}) for the same users, with 95 % "
                f"intervals (paired bootstrap over users). An interval that crosses 0 shows no difference.{note}",
                partial(figures.by_group, groups, series, f"{metric} − baseline, test", None, True),
            )
        absolute = intervals(evidence, [one.name for one in shown], metric, labels)
        figs.add(
            section,
            f"by-group-{slug}",
            f"{metric} on test with 95 % intervals (bootstrap over users); small marks are single seeds. "
            f"The intervals are not paired: whether two models differ is in the figure of differences.{note}",
            partial(figures.by_group, groups, absolute, f"{metric}, test", base.name if base else None, False),
        )
    if evidence.comparison is None:
        section.gap("differences by group: there is nothing to compare with. " + evidence.why_no_baseline)
    empty = [group for group in LengthGroups.names if not (users["group"] == group).any()]
    if empty:
        section.gap(
            f"{', '.join(empty)}: no test user belongs to {'this group' if len(empty) == 1 else 'these groups'}."
        )
    return section


def interval(row: Mapping[Any, Any]) -> figures.Interval:
    """The difference of a row of a comparison; of no width where all users have the same one."""
    difference = float(row["difference"])
    low, high = (difference if np.isnan(row[end]) else float(row[end]) for end in ("low", "high"))
    return figures.Interval(difference, low, high)


def group_labels(evidence: Evidence) -> dict[str, str]:
    """Each group with its limits in events and its number of users."""
    first = evidence.configurations[0].runs[0].results
    limits = first["config"].get("evaluation", {}).get("groups", {})
    low, high = limits.get("short"), limits.get("long")
    ranges = {
        "short": f"≤ {low} events",
        "medium": f"{low} < n ≤ {high}",
        "long": f"> {high} events",
        OVERALL: "everyone",
    }
    return {group: f"{group}\n{ranges[group]}\n{first['grouped_metrics'][group]['count']:,} users" for group in GROUPS}


def intervals(
    evidence: Evidence, names: Sequence[str], metric: str, labels: dict[str, str]
) -> dict[str, dict[str, figures.Interval]]:
    """The metric of each configuration in each group that has two users or more, with its bootstrap interval."""
    users = evidence.users
    assert users is not None
    by_seed = {name: evidence.per_user(name, metric) for name in names}
    found: dict[str, dict[str, figures.Interval]] = {name: {} for name in names}
    for group, label in labels.items():
        rows = np.ones(len(users), dtype=bool) if group == OVERALL else (users["group"] == group).to_numpy()
        if rows.sum() < 2:
            continue
        models = [y[:, rows].mean(axis=0)[None, :, None] for y in by_seed.values()]
        resamples = bootstrap(models, evidence.resamples, [evidence.seed, int(rows.sum())])
        low, high = np.quantile(resamples[:, :, 0], [0.025, 0.975], axis=0)
        for k, (name, y) in enumerate(by_seed.items()):
            seeds = tuple(y[:, rows].mean(axis=1).tolist())
            found[name][label] = figures.Interval(float(np.mean(seeds)), float(low[k]), float(high[k]), seeds)
    return found


def by_length(evidence: Evidence, figs: Figures) -> Section:
    """Metric and gain against the exact length."""
    section = Section("lengths", "Along the length of the history")
    shown, note = drawn(evidence, per_user=True, most=MOST_CURVES)
    if evidence.users is None or len(evidence.users) < 30 or not shown:
        section.gap("a curve over lengths needs the per-user data of 30 test users or more.")
        return section
    lengths = evidence.users["length"].to_numpy()
    values = {one.name: evidence.per_user(one.name, METRIC).mean(axis=0) for one in shown}
    base = evidence.baseline.name if evidence.baseline and evidence.baseline.name in values else None
    gains = {f"{name} ": y - values[base] for name, y in values.items() if base is not None and name != base}
    found = curves(lengths, values | gains, seed=evidence.seed)
    how = "Gaussian kernel on log length; the bands are pointwise 95 % bootstrap bands over users."
    caption = f"{METRIC} on test against the number of events before the held-out one. {how}{note}"
    mine = {name: found[name] for name in values}
    figs.add(section, "by-length", caption, partial(figures.by_length, mine, f"{METRIC}, test", base, False))
    if gains:
        caption = (
            f"The gain over the baseline ({base}), for the same users. {how} Where a band covers 0, no gain is shown "
            f"at that length; the bands are not corrected for many looks.{note}"
        )
        paired = {name.removesuffix(" "): found[name] for name in gains}
        draw = partial(figures.by_length, paired, f"{METRIC} − baseline, test", None, True)
        figs.add(section, "gain-by-length", caption, draw)
    return section


def criteria(evidence: Evidence, given: Criteria | None) -> Section:
    """Success criteria, one by one."""
    section = Section("criteria", "Success criteria")
    if given is None:
        section.gap("no criteria were checked (--criteria none).")
        return section
    if given.about:
        section.text(given.about)
    found = check(given.criteria, evidence.measured())
    marks = {"met": "✓ met", "not met": "✗ not met", "not measured": "○ not measured"}
    rows = [[v.criterion.level, v.criterion.words, marks[v.status], v.found, v.of] for v in found]
    counts = ", ".join(f"{sum(v.status == status for v in found)} {status}" for status in marks)
    section.table(["level", "criterion", "status", "found", "configuration"], rows, note=f"{given.name}: {counts}.")
    return section
