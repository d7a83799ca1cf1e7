"""Validation and loss over epochs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.files import json_of
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.style import HEIGHT, Look, figure, legend, ordered, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(section: Section, facts: Facts) -> None:
    shown, note = facts.to_draw(per_user=False)
    series: dict[str, list[dict[str, Any]]] = {}
    problems = []
    for one in shown:
        for run in one.runs:
            history = read_history(run.folder / "metrics.jsonl")
            if isinstance(history, str):
                problems.append(history)
            else:
                series.setdefault(one.name, []).append({**history, "best": run.results["best_epoch"]})
    if any(np.isfinite(run["loss"]).any() for runs in series.values() for run in runs):
        caption = f"Validation {METRIC} and training loss, a line a seed; the mark is the epoch that was kept.{note}"
        section.figure("learning", caption, draw, series, facts.looks)
    elif series:
        problems.append(
            "no run here has a training loss; epochs of post hoc hybrids are in the folders of their encoders"
        )
    if problems or not series:
        section.gap(f"{'; '.join(problems) or 'no run has a metrics.jsonl'}.")


def read_history(path: Path) -> dict[str, Any] | str:
    """epoch, metric and loss of every epoch, NaN where there is none; or what is wrong with the file."""
    try:
        records = [json_of(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {
            "epoch": [record["epoch"] for record in records],
            "metric": [(record.get("validation") or {}).get(METRIC) for record in records],
            "loss": [record.get("loss") for record in records],
        }
        return {name: np.array(values, dtype=float) for name, values in found.items()}
    except FileNotFoundError:
        return f"{path} is not there"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} cannot be read: {error!r}"


def draw(series: dict[str, list[dict[str, Any]]], known: dict[str, Look]) -> "Figure":
    """Validation metric and training loss over epochs, a line a run.

    Args:
        series: for each name the runs; each has epoch, metric, loss (arrays with NaN where not measured) and best.
    """
    fig, (top, bottom) = figure(2, 1, HEIGHT + 1.2 + 0.17 * len(series), sharex=True)
    for name, look in ordered(series, known):
        for k, run in enumerate(series[name]):
            measured = np.isfinite(run["metric"])
            lone = {"marker": look.marker} if measured.sum() == 1 else {}
            x, y = run["epoch"][measured], run["metric"][measured]
            top.plot(x, y, color=look.colour, ls=look.line, lw=1.2, label=name if k == 0 else None, **lone)
            best = x == run["best"]
            top.plot(x[best], y[best], color=look.colour, marker=look.marker, ls="")
            finite = np.isfinite(run["loss"])
            bottom.plot(run["epoch"][finite], run["loss"][finite], color=look.colour, ls=look.line, lw=1.2)
    top.set_ylabel(f"{METRIC}, validation")
    bottom.set_ylabel("training loss, nats")
    bottom.set_xlabel("epoch")
    whole_numbers(bottom)
    legend(top)
    return fig
