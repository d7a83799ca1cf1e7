"""Metrics by length group: the difference to the baseline, and the metric itself."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL, LengthGroups, in_group
from hybrid_seq_gnn.evaluation.metrics import METRICS
from hybrid_seq_gnn.evaluation.significance import bootstrap
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.style import HEIGHT, INK, Interval, Look, figure, legend, looks
from hybrid_seq_gnn.results.labels import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = dict[str, dict[str, Interval]]  # by name and label of the group


def write(section: Section, facts: Facts) -> None:
    shown, note = facts.to_draw(per_user=True)
    if facts.users is None:
        section.gap("no run has per-user data, without which nothing has an error bar.")
        return
    labels = group_labels(facts)
    for metric in METRICS[:2]:
        slug = metric.lower().replace("@", "")
        if facts.comparison is not None:
            gains: Series = {one.name: {} for one in shown if one is not facts.baseline}
            for name, found in gains.items():
                rows = {label: facts.row(name, metric, group) for group, label in labels.items()}
                found |= {label: difference(row) for label, row in rows.items() if row and row["users"] > 1}
            section.figure(
                f"difference-by-group-{slug}",
                f"{metric}, difference to the baseline ({facts.base}) for the same users, with 95 % "
                f"intervals (paired bootstrap over users). An interval that crosses 0 shows no difference.{note}",
                draw,
                *(list(labels.values()), gains, f"{metric} − baseline, test", facts.looks, True),
            )
        section.figure(
            f"by-group-{slug}",
            f"{metric} on test with 95 % intervals (bootstrap over users); small marks are single seeds. "
            f"The intervals are not paired: whether two models differ is in the figure of differences.{note}",
            draw,
            *(list(labels.values()), intervals(facts, [one.name for one in shown], metric, labels)),
            *(f"{metric}, test", facts.looks),
        )
    if facts.comparison is None:
        section.gap("differences by group: there is nothing to compare with. " + facts.why_no_baseline)
    empty = [group for group in LengthGroups.names if not facts.users_in(group)]
    if empty:
        these = "this group" if len(empty) == 1 else "these groups"
        section.gap(f"{', '.join(empty)}: no test user belongs to {these}.")


def difference(row: Mapping[Any, Any]) -> Interval:
    """The difference of a row of a comparison; of no width where all users have the same one."""
    mean = float(row["difference"])
    low, high = (mean if np.isnan(row[end]) else float(row[end]) for end in ("low", "high"))
    return Interval(mean, low, high)


def group_labels(facts: Facts) -> dict[str, str]:
    """Each group with its limits in events and its number of users."""
    first = facts.configurations[0].runs[0].results
    limits = first["config"].get("evaluation", {}).get("groups", {})
    low, high = limits.get("short"), limits.get("long")
    ranges = {
        "short": f"≤ {low} events",
        "medium": f"{low} < n ≤ {high}",
        "long": f"> {high} events",
        OVERALL: "everyone",
    }
    users = {group: counted(facts.users_in(group), "user") for group in GROUPS}
    return {group: f"{group}\n{ranges[group]}\n{users[group]}" for group in GROUPS}


def intervals(facts: Facts, names: Sequence[str], metric: str, labels: dict[str, str]) -> Series:
    """The metric of each configuration in each group that has two users or more, with its bootstrap interval."""
    users = facts.users
    assert users is not None
    by_seed = {name: facts.per_user(name, metric) for name in names}
    found: Series = {name: {} for name in names}
    for group, label in labels.items():
        rows = in_group(users["group"].to_numpy(), group)
        if rows.sum() < 2:
            continue
        models = [y[:, rows].mean(axis=0)[None, :, None] for y in by_seed.values()]
        resamples = bootstrap(models, facts.resamples, [facts.seed, int(rows.sum())])
        low, high = np.quantile(resamples[:, :, 0], [0.025, 0.975], axis=0)
        for k, (name, y) in enumerate(by_seed.items()):
            seeds = tuple(y[:, rows].mean(axis=1).tolist())
            found[name][label] = Interval(float(np.mean(seeds)), float(low[k]), float(high[k]), seeds)
    return found


def draw(groups: Sequence[str], series: Series, metric: str, known: dict[str, Look], zero: bool = False) -> "Figure":
    """A point with its error bar for each group and series, side by side; seeds as small marks; a line at `zero`."""
    fig, ax = figure(height=HEIGHT + 0.17 * len(series))
    found = looks(series, known)
    step = 0.7 / max(len(series), 1)
    for k, (name, numbers) in enumerate(series.items()):
        look, shift = found[name], (k - (len(series) - 1) / 2) * step
        points = [(place + shift, numbers[group]) for place, group in enumerate(groups) if group in numbers]
        x = [place for place, _ in points]
        mean = np.array([number.mean for _, number in points])
        bars = (
            np.array([[number.mean - number.low, number.high - number.mean] for _, number in points]).reshape(-1, 2).T
        )
        ax.errorbar(x, mean, np.abs(bars), fmt=look.marker, color=look.colour, capsize=2.5, lw=1.4, label=name)
        for place, number in points:
            if len(number.seeds) > 1:
                spots = [place + step * 0.25] * len(number.seeds)
                ax.plot(spots, number.seeds, ls="", marker="_", ms=4, color=look.colour, alpha=0.7)
    if zero:
        ax.axhline(0, color=INK, lw=1)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set_xlim(-0.5, len(groups) - 0.5)  # a group without users too
    ax.grid(visible=False, axis="x")
    ax.set_ylabel(metric)
    legend(ax)
    return fig
