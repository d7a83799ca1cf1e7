"""The weight alpha: over lengths, and the grid over fixed alpha."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.report.facts import MOST, Facts, only_the_best
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.style import COLOURS, GRID, HEIGHT, INK, Look, figure, legend, log_events, looks, marks
from hybrid_seq_gnn.results.configurations import Configuration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALPHA = "fusion.alpha"


def write(section: Section, facts: Facts) -> None:
    """alpha of the best configuration of each fusion; quality where only a fixed alpha varies."""
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    options = set()
    for one in facts.others:
        found = [curve for run in one.runs if (curve := run.results.get("alpha_curve"))]
        alike = len({len(curve[key]) for curve in found for key in ("length", "alpha")}) == 1
        if len(found) == len(one.runs) and alike and one.settings.get("fusion") not in options:
            at = found[0]["length"]
            curves[one.name] = (np.array(at), np.array([curve["alpha"] for curve in found]))
            options.add(one.settings.get("fusion"))
    kept = dict(list(curves.items())[:MOST])
    if kept and facts.users is not None and len(facts.users):
        section.figure(
            "alpha-by-length",
            "Weight of the sequence side against the length of the history, for the best configuration (on validation) "
            "of each fusion; a band is the range over seeds. Below: how many test users have such a history."
            + only_the_best(MOST, len(curves)),
            draw_curves,
            *(kept, facts.users["length"].to_numpy(), facts.looks),
        )
    else:
        section.gap("alpha over lengths: no run here mixes two sides, or none recorded alpha_curve.")
    family = grid(facts.configurations)
    if len(family) < 2:
        section.gap("a grid over alpha: fewer than two configurations differ in fusion.alpha alone.")
        return
    lines = {
        "test": [one.over_seeds(METRIC) for one in family],
        "validation": [[run.validation for run in one.runs] for one in family],
    }
    section.figure(
        "alpha-grid",
        f"{METRIC} against a fixed alpha, everything else equal: lines are means over seeds, marks single seeds, bands "
        "their range. Choose by validation.",
        draw_grid,
        *([float(one.settings[ALPHA]) for one in family], lines),
        facts.baseline.over_seeds(METRIC) if facts.baseline else [],
    )


def grid(configurations: Sequence[Configuration]) -> list[Configuration]:
    """The most configurations that differ in fusion.alpha alone, by alpha."""
    families: dict[str, list[Configuration]] = {}
    for one in configurations:
        if isinstance(one.settings.get(ALPHA), int | float):
            rest = sorted((key, repr(value)) for key, value in one.settings.items() if key != ALPHA)
            families.setdefault(repr(rest), []).append(one)
    most = max(families.values(), key=len, default=[])
    return sorted(most, key=lambda one: float(one.settings[ALPHA]))


def draw_curves(
    series: dict[str, tuple[np.ndarray, np.ndarray]], lengths: np.ndarray, known: dict[str, Look]
) -> "Figure":
    """alpha(n) of each fusion, (seeds, G) at lengths (G,), above the histogram of the test users' lengths.

    Names in `known` keep the looks that they have in other figures.
    """
    fig, (top, bottom) = figure(2, 1, HEIGHT + 1.0 + 0.17 * len(series), sharex=True, height_ratios=[3, 1])
    for name, look in looks(series, known).items():
        at, alpha = series[name]
        mean = alpha.mean(axis=0)
        top.plot(at, mean, color=look.colour, ls=look.line, label=name, **marks(look, len(at), log=True))
        top.fill_between(at, alpha.min(axis=0), alpha.max(axis=0), color=look.colour, alpha=0.14, lw=0)
    top.set_ylim(-0.03, 1.03)
    top.set_ylabel("alpha (1: sequence only)")
    edges = np.geomspace(max(lengths.min(), 1), max(lengths.max(), 2) + 1, 24) if len(lengths) else np.array([1, 2])
    bottom.hist(lengths, edges, color=GRID, edgecolor=INK, lw=0.5)
    bottom.set_ylabel("test users")
    log_events(bottom)
    legend(top)
    return fig


def draw_grid(alpha: Sequence[float], lines: dict[str, list[list[float]]], reference: list[float]) -> "Figure":
    """The metric against the fixed alpha: mean over seeds, every seed, and the baseline's mean and range."""
    fig, ax = figure()
    kinds = (Look(COLOURS[0], "s", "solid"), Look(COLOURS[1], "^", (0, (5, 1.5))))
    for look, (name, points) in zip(kinds, lines.items(), strict=True):
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
    ax.set_ylabel(METRIC)
    legend(ax)
    return fig
