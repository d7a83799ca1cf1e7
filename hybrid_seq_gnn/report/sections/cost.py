"""What quality costs: time and memory."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.leaderboard.board import on_front
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.style import HEIGHT, INK, Look, figure, legend, ordered
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import Number, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS = {
    "time": "time of a run and its encoders, seconds (mean over seeds)",
    "memory": "peak memory of the process, MiB (greatest over seeds)",
}


def write(section: Section, facts: Facts) -> None:
    shown, note = facts.to_draw(per_user=False)
    told = "; ".join(sorted({run.machine for one in shown for run in one.runs}))
    for key, label in COSTS.items():
        both = {one.name: (spent(one, key), one.mean(METRIC)) for one in shown}
        points = {name: (x, y) for name, (x, y) in both.items() if x is not None and y is not None}
        if not points:
            section.gap(f"{label}: the runs do not say.")
            continue
        front = pareto_front(points)
        caption = (
            f"{METRIC} on test against {key} ({told}). On the Pareto front{' of those shown' if note else ''}, where "
            f"no other is as good in both and better in one: {'; '.join(front)}."
        )
        if key == "memory":
            caption += " Runs of one sweep share a process, so a run's peak includes those before it."
        section.figure(f"cost-{key}", caption + note, draw, points, front, facts.looks, label)
    rows: list[list[Any]] = []
    for one in facts.configurations:
        parameters, epochs = one.runs[0].results.get("parameters", 0), [r.results["best_epoch"] for r in one.runs]
        line = [one.name, number(parameters, ","), *(number(spent(one, key), ",.0f") for key in COSTS)]
        rows.append([*line, Number(", ".join(map(str, epochs))), one.validation])
    header = ["configuration", "parameters", "seconds with encoders", "peak MiB", "best epochs", f"validation {METRIC}"]
    section.table(header, rows, summary="Parameters, seconds, memory and epochs of every configuration")


def spent(one: Configuration, cost: str) -> float | None:
    """Mean seconds of a run and its encoders, or the greatest peak memory in MiB; None where a run does not say."""
    if cost == "time":
        return float(np.mean([run.seconds for run in one.runs]))
    found = [run.results.get("peak_memory_mib") for run in one.runs]
    return None if None in found else max(float(value) for value in found if value is not None)


def pareto_front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Names of the points (cost, quality) that no other point beats, cheapest first."""
    marked = zip(points, on_front([(-cost, quality) for cost, quality in points.values()]), strict=True)
    return sorted((name for name, mark in marked if mark), key=lambda name: points[name][0])


def draw(points: dict[str, tuple[float, float]], front: list[str], known: dict[str, Look], cost: str) -> "Figure":
    fig, ax = figure(height=HEIGHT + 0.17 * len(points))
    for name, look in ordered(points, known):
        ax.plot(*points[name], color=look.colour, marker=look.marker, ms=7, ls="", label=name)
    steps = zip(*(points[name] for name in front), strict=True)
    ax.step(*steps, where="post", color=INK, lw=1, alpha=0.6, zorder=1, label="Pareto front")
    ax.set_xlabel(cost)
    ax.set_ylabel(f"{METRIC}, test")
    legend(ax)
    return fig
