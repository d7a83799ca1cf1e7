"""Figures of quality: by length of the history, along alpha, over epochs, against cost, and what each part adds.

Every function takes plain numbers and returns a figure; none reads a file. Draw and save inside `drawing.style`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.evaluation.smooth import Curve
from hybrid_seq_gnn.report.style import COLOURS, GRID, HEIGHT, INK, Look, figure, legend, looks, short, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVENTS = "length of the history, events (log scale)"
MOST = 6  # series in one figure: as many as there are colours
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval, and the single seeds where they are known."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()


def by_group(
    groups: Sequence[str], series: dict[str, dict[str, Interval]], metric: str, baseline: str | None, zero: bool
) -> "Figure":
    """A point with its error bar for each group and series, side by side; seeds as small marks.

    Args:
        groups: labels of the groups, in order; keys of each series.
        series: for each name, for each group that has users, the number.
        metric: the label of the axis.
        baseline: the series drawn in ink.
        zero: draw a line at no difference.
    """
    fig, ax = figure(height=HEIGHT + 0.17 * len(series))
    found = looks(list(series), baseline)
    step = 0.7 / max(len(series), 1)
    for k, (name, numbers) in enumerate(series.items()):
        look, shift = found[name], (k - (len(series) - 1) / 2) * step
        known = [(place + shift, numbers[group]) for place, group in enumerate(groups) if group in numbers]
        x = [place for place, _ in known]
        mean = np.array([number.mean for _, number in known])
        bars = np.array([[number.mean - number.low, number.high - number.mean] for _, number in known]).reshape(-1, 2).T
        ax.errorbar(x, mean, np.abs(bars), fmt=look.marker, color=look.colour, capsize=2.5, lw=1.4, label=name)
        for place, number in known:
            if len(number.seeds) > 1:
                spots = [place + step * 0.25] * len(number.seeds)
                ax.plot(spots, number.seeds, ls="", marker="_", ms=4, color=look.colour, alpha=0.7)
    if zero:
        ax.axhline(0, color=INK, lw=1)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.grid(visible=False, axis="x")
    ax.set_ylabel(metric)
    legend(ax)
    return fig


def by_length(series: dict[str, Curve], metric: str, baseline: str | None, zero: bool) -> "Figure":
    """Smooth curves with their bands over the length of the history."""
    fig, ax = figure(height=HEIGHT + 0.17 * len(series))
    for name, look in ordered(series, baseline):
        curve = series[name]
        ax.plot(curve.length, curve.mean, color=look.colour, ls=look.line, label=name, **marks(look, len(curve.length)))
        ax.fill_between(curve.length, curve.low, curve.high, color=look.colour, alpha=0.14, lw=0)
    if zero:
        ax.axhline(0, color=INK, lw=1)
    log_events(ax)
    ax.set_xlabel(EVENTS)
    ax.set_ylabel(metric)
    legend(ax)
    return fig


def alpha_curves(
    series: dict[str, tuple[np.ndarray, np.ndarray]], lengths: np.ndarray, known: Mapping[str, Look]
) -> "Figure":
    """alpha(n) of each fusion above the histogram of the test users' lengths.

    Args:
        series: for each name the lengths (G,) and alpha of each seed (S, G); the band is their range.
        lengths: of the test users.
        known: the looks that some of the names have in other figures.
    """
    fig, (top, bottom) = figure(2, 1, HEIGHT + 1.0 + 0.17 * len(series), sharex=True, height_ratios=[3, 1])
    for name, look in looks(list(series), None, known).items():
        at, alpha = series[name]
        mean = alpha.mean(axis=0)
        top.plot(at, mean, color=look.colour, ls=look.line, label=name, **marks(look, len(at), log=True))
        top.fill_between(at, alpha.min(axis=0), alpha.max(axis=0), color=look.colour, alpha=0.14, lw=0)
    top.set_ylim(-0.03, 1.03)
    top.set_ylabel("alpha (1: sequence only)")
    edges = np.geomspace(max(lengths.min(), 1), max(lengths.max(), 2) + 1, 24) if len(lengths) else np.array([1, 2])
    bottom.hist(lengths, edges, color=GRID, edgecolor=INK, lw=0.5)
    bottom.set_ylabel("test users")
    bottom.set_xlabel(EVENTS)
    log_events(bottom)
    legend(top)
    return fig


def alpha_grid(
    alpha: Sequence[float], lines: dict[str, list[tuple[float, ...]]], reference: tuple[float, ...] | None, metric: str
) -> "Figure":
    """A metric against the fixed alpha: mean over seeds, every seed, and the baseline's mean and range.

    Args:
        alpha: of each point, ascending.
        lines: for each name (test, validation) the seeds of each point.
        reference: the baseline's seeds on test.
        metric: its name.
    """
    fig, ax = figure()
    for look, (name, points) in zip(
        (Look(COLOURS[0], "s", "solid"), Look(COLOURS[1], "^", (0, (5, 1.5)))), lines.items(), strict=False
    ):
        means = [float(np.mean(seeds)) for seeds in points]
        ax.plot(alpha, means, color=look.colour, ls=look.line, marker=look.marker, label=f"{name}, mean over seeds")
        spread = np.array([[np.min(seeds), np.max(seeds)] for seeds in points])
        ax.fill_between(alpha, spread[:, 0], spread[:, 1], color=look.colour, alpha=0.14, lw=0)
        for x, seeds in zip(alpha, points, strict=True):
            ax.plot([x] * len(seeds), seeds, ls="", marker="_", ms=6, color=look.colour)
    if reference:
        ax.axhline(float(np.mean(reference)), color=INK, label="baseline, test")
        if len(reference) > 1:
            ax.axhspan(min(reference), max(reference), color=INK, alpha=0.08, lw=0)
    ax.set_xlabel("fusion.alpha (weight of the sequence side)")
    ax.set_ylabel(metric)
    legend(ax)
    return fig


def learning(series: dict[str, list[dict[str, Any]]], baseline: str | None, metric: str) -> "Figure":
    """Validation metric and training loss over epochs, a line a run.

    Args:
        series: for each name the runs; each has epoch, metric, loss (arrays with NaN where not measured) and best.
    """
    fig, (top, bottom) = figure(2, 1, HEIGHT + 1.2 + 0.17 * len(series), sharex=True)
    for name, look in ordered(series, baseline):
        for k, run in enumerate(series[name]):
            known = np.isfinite(run["metric"])
            lone = {"marker": look.marker} if known.sum() == 1 else {}
            x, y = run["epoch"][known], run["metric"][known]
            top.plot(x, y, color=look.colour, ls=look.line, lw=1.2, label=name if k == 0 else None, **lone)
            best = x == run["best"]
            top.plot(x[best], y[best], color=look.colour, marker=look.marker, ls="")
            finite = np.isfinite(run["loss"])
            bottom.plot(run["epoch"][finite], run["loss"][finite], color=look.colour, ls=look.line, lw=1.2)
    top.set_ylabel(f"{metric}, validation")
    bottom.set_ylabel("training loss, nats")
    bottom.set_xlabel("epoch")
    whole_numbers(bottom)
    legend(top)
    return fig


def pareto(points: dict[str, tuple[float, float]], baseline: str | None, cost: str, metric: str) -> "Figure":
    """Quality against cost, with the front: the points that no other beats in both."""
    fig, ax = figure(height=HEIGHT + 0.17 * len(points))
    for name, look in ordered(points, baseline):
        ax.plot(*points[name], color=look.colour, marker=look.marker, ms=7, ls="", label=name)
    front = [points[name] for name in pareto_front(points)]
    ax.step(*zip(*front, strict=True), where="post", color=INK, lw=1, alpha=0.6, zorder=1, label="Pareto front")
    ax.set_xlabel(cost)
    ax.set_ylabel(metric)
    legend(ax)
    return fig


def pareto_front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Names of the points (cost, quality) that no other point beats, cheapest first."""
    front: list[str] = []
    best = -np.inf
    for name, (_, quality) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1])):
        if quality > best:
            front.append(name)
            best = quality
    return front


def waterfall(
    start: tuple[str, float] | None, reference: tuple[str, float], changes: dict[str, Interval], metric: str
) -> "Figure":
    """From the baseline to the reference, and from there what each single change does.

    Args:
        start: name and value of the baseline; None leaves it out.
        reference: name and value that every change is measured against.
        changes: for each change its difference to the reference. They are not summed: each is made alone.
        metric: the label of the axis.
    """
    names = [*([start[0]] if start else []), reference[0], *changes]
    fig, ax = figure(height=1.1 + 0.32 * len(names))
    level = reference[1]
    row = 0
    if start:
        bar(ax, row, start[1], level)
        row += 1
    ax.plot([level], [row], marker="D", color=INK, ls="")
    for number in changes.values():
        row += 1
        bar(ax, row, level, level + number.mean)
        error = [[max(number.mean - number.low, 0)], [max(number.high - number.mean, 0)]]
        ax.errorbar([level + number.mean], [row], xerr=error, color=INK, capsize=2.5, lw=1)
    ax.axvline(level, color=INK, lw=1, ls=(0, (3, 2)))
    ax.set_yticks(range(len(names)), [short(name, 26) for name in names])
    ax.invert_yaxis()
    ax.locator_params(axis="x", nbins=5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(metric)
    return fig


def bar(ax: "Axes", row: int, left: float, right: float) -> None:
    """A step from one value to another: blue and plain upwards, vermilion and hatched downwards."""
    up = right >= left
    colour = COLOURS[0] if up else COLOURS[1]
    ax.barh(row, right - left, left=left, height=0.6, color=colour, edgecolor=INK, lw=0.6, hatch=None if up else "////")


def ordered(series: dict[str, Any], baseline: str | None) -> list[tuple[str, Look]]:
    """Names with their looks, the baseline last so that it lies on top."""
    found = looks(list(series), baseline)
    return [(name, found[name]) for name in sorted(series, key=lambda name: name == baseline)]


def marks(look: Look, points: int, log: bool = False) -> dict[str, Any]:
    """A few markers along a curve; `log` where its points are even in events and the axis is not."""
    at = (
        np.unique(np.geomspace(1, max(points - 1, 1), 8).astype(int))
        if log
        else range(points // 12, points, max(points // 6, 1))
    )
    return {"marker": look.marker, "markevery": [k for k in at if k < points], "ms": 4.5}


def log_events(ax: "Axes") -> None:
    """A log axis with whole numbers of events."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low, high)
