"""The sections on what each part adds, and on what quality costs."""

from functools import partial
from typing import Any

import numpy as np

from hybrid_seq_gnn.compare.render import between, number, p_value
from hybrid_seq_gnn.compare.sentences import verdict
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.evaluation.groups import OVERALL
from hybrid_seq_gnn.report import figures
from hybrid_seq_gnn.report.ablation import reference_of
from hybrid_seq_gnn.report.evidence import METRIC, Evidence, validation, value_on_test
from hybrid_seq_gnn.report.page import Figures, Section
from hybrid_seq_gnn.report.sections import MARKS, drawn, interval
from hybrid_seq_gnn.results.labels import words
from hybrid_seq_gnn.results.runs import Configuration
from hybrid_seq_gnn.results.tables import Number, cell

COSTS = {
    "time": "time of a run, seconds (mean over seeds)",
    "memory": "peak memory of the process, MiB (greatest over seeds)",
}


def ablation(evidence: Evidence, figs: Figures) -> Section:
    """What each single change does."""
    section = Section("ablation", "Ablation")
    found = reference_of(
        [one for one in evidence.configurations if one.name not in evidence.untested], evidence.baseline
    )
    if found is None:
        section.gap("an ablation needs a reference and two configurations that each differ from it in one setting.")
        return section
    reference, changes = found
    others = [evidence.named(name) for name in changes]
    frame = compare(reference, others, [METRIC], [OVERALL], resamples=evidence.resamples, seed=evidence.seed)
    level = value_on_test(reference, METRIC)
    section.text(
        f"Reference: {reference.name} ({METRIC} {cell(level)}). Each line changes one thing in it; p is corrected "
        f"over the {len(others)} lines of this table."
    )
    rows = []
    numbers = {}
    for row in frame.to_dict("records"):
        what = words(changes[row["name"]])
        line = [what, row["name"], row["seeds"], float(row["mean"]), number(row["difference"], "+.4f")]
        line += [between(row["low"], row["high"], "+.4f"), number(100 * row["relative"], "+.1f", " %")]
        rows.append([*line, p_value(row["p_holm"]), MARKS.get(verdict(row), verdict(row))])
        numbers[what] = interval(row)
    header = [
        "change",
        "configuration",
        "seeds",
        METRIC,
        "difference",
        "95 % interval",
        "relative",
        "p (Holm)",
        "verdict",
    ]
    section.table(header, rows)
    base = evidence.baseline
    first = value_on_test(base, METRIC) if base else None
    if level is not None:
        start = (base.name, first) if base and first is not None else None
        figs.add(
            section,
            "ablation",
            "From the baseline to the reference, and what each single change does to it, with 95 % intervals (paired "
            "bootstrap over users). The changes are made one at a time and do not add up. Bars that lead down are "
            f"hatched. Reference: {reference.name}.",
            partial(figures.waterfall, start, (reference.name, level), numbers, f"{METRIC}, test"),
        )
    return section


def cost(evidence: Evidence, figs: Figures) -> Section:
    """Quality against time and memory."""
    section = Section("cost", "Time and memory")
    shown, note = drawn(evidence, per_user=False)
    base = evidence.baseline.name if evidence.baseline else None
    machines = {(run.results.get("device"), run.results.get("threads")) for one in shown for run in one.runs}
    told = "; ".join(f"{device}, {threads} thread(s)" for device, threads in sorted(machines, key=str))
    for key, label in COSTS.items():
        points = {}
        for one in shown:
            quality, found = value_on_test(one, METRIC), spent(one, key)
            if quality is not None and found is not None:
                points[one.name] = (found, quality)
        if not points:
            section.gap(f"{label}: the runs do not say.")
            continue
        front = "; ".join(figures.pareto_front(points))
        caption = (
            f"{METRIC} on test against {key} ({told}). On the Pareto front, which no other beats in both: {front}."
        )
        if key == "memory":
            caption += " Runs of one sweep share a process, so a run's peak includes those before it."
        draw = partial(figures.pareto, points, base, label, f"{METRIC}, test")
        figs.add(section, f"cost-{key}", caption + note, draw)
    rows: list[list[Any]] = []
    for one in evidence.configurations:
        parameters, epochs = one.runs[0].results.get("parameters", 0), [r.results["best_epoch"] for r in one.runs]
        memory = spent(one, "memory")
        line = [one.name, Number(f"{parameters:,}"), Number(f"{spent(one, 'time'):,.0f}")]
        line += [Number("–" if memory is None else f"{memory:,.0f}"), Number(", ".join(map(str, epochs)))]
        rows.append([*line, validation(one)])
    header = ["configuration", "parameters", "seconds a run", "peak MiB", "best epochs", f"validation {METRIC}"]
    section.table(header, rows, summary="Parameters, seconds, memory and epochs of every configuration")
    return section


def spent(one: Configuration, cost: str) -> float | None:
    """Mean seconds of a run, or the greatest peak memory in MiB; None where a run does not say."""
    if cost == "time":
        return float(np.mean([run.results["seconds"]["total"] for run in one.runs]))
    found = [run.results.get("peak_memory_mib") for run in one.runs]
    return None if None in found else max(float(value) for value in found if value is not None)
