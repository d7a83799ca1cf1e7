"""The metric, and the gain over the baseline, along the exact length of the history."""

from typing import TYPE_CHECKING

from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.evaluation.smooth import Curve, curves
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.style import HEIGHT, INK, Look, figure, legend, log_events, marks, ordered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 3  # with a band each, beside the baseline


def write(section: Section, facts: Facts) -> None:
    shown, note = facts.to_draw(per_user=True, most=MOST_CURVES)
    if facts.users is None or len(facts.users) < 30 or not shown:
        section.gap("a curve over lengths needs the per-user data of 30 test users or more.")
        return
    lengths = facts.users["length"].to_numpy()
    values = {one.name: facts.per_user(one.name, METRIC).mean(axis=0) for one in shown}
    base = facts.base if facts.base in values else None
    gains = {f"{name} ": y - values[base] for name, y in values.items() if base is not None and name != base}
    found = curves(lengths, values | gains, seed=facts.seed)
    how = "Gaussian kernel on log length; the bands are pointwise 95 % bootstrap bands over users."
    caption = f"{METRIC} on test against the number of events before the held-out one. {how}{note}"
    section.figure("by-length", caption, draw, {name: found[name] for name in values}, f"{METRIC}, test", facts.looks)
    if gains:
        caption = (
            f"The gain over the baseline ({base}), for the same users. {how} Where a band covers 0, no gain is shown "
            f"at that length; the bands are not corrected for many looks.{note}"
        )
        paired = {name.removesuffix(" "): found[name] for name in gains}
        section.figure("gain-by-length", caption, draw, paired, f"{METRIC} − baseline, test", facts.looks, True)


def draw(series: dict[str, Curve], metric: str, known: dict[str, Look], zero: bool = False) -> "Figure":
    """Smooth curves with their bands; `zero` draws a line at no difference."""
    fig, ax = figure(height=HEIGHT + 0.17 * len(series))
    for name, look in ordered(series, known):
        curve = series[name]
        ax.plot(curve.length, curve.mean, color=look.colour, ls=look.line, label=name, **marks(look, len(curve.length)))
        ax.fill_between(curve.length, curve.low, curve.high, color=look.colour, alpha=0.14, lw=0)
    if zero:
        ax.axhline(0, color=INK, lw=1)
    log_events(ax)
    ax.set_ylabel(metric)
    legend(ax)
    return fig
