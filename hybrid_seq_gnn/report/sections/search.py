"""Sweeps and searches: what they asked, what became of their trials, and where it is good.

What Optuna's own plots show, in the look of the report. Importances are PED-ANOVA (Watanabe et al. 2023,
arXiv:2304.10255), which needs nothing but the trials.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.studies import Sweep
from hybrid_seq_gnn.report.style import COLOURS, INK, WIDTH, distinct, figure, legend, plain_logs, short, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial

MOST_FAILURES = 20  # that are listed
LEAST_FOR_IMPORTANCE = 5  # finished trials
LEAST_FOR_CONTOUR = 8
MOST_SLICES = 6


def write(section: Section, facts: Facts) -> None:
    """Every sweep's study, and the figures of those that searched an interval."""
    sweeps = facts.sweeps
    if not sweeps:
        section.gap("no study lies beside these runs (study.journal or study.json in the folder of a sweep).")
        return
    rows = []
    for sweep in sweeps:
        counts = [len(sweep.trials(state)) if sweep.study else None for state in ("COMPLETE", "PRUNED", "FAIL")]
        about = [str(sweep.about.get(key) or "–") for key in ("sampler", "pruner")]
        rows.append([sweep.title, str(sweep.about.get("question") or ""), *counts, *about])
    section.table(["sweep", "question", "finished", "pruned", "failed", "sampler", "pruner"], rows)
    spaces = [
        [sweep.title, key, value]
        for sweep in sweeps
        for part in ("variants", "space", "fixed")
        for key, value in entries(sweep.about.get(part))
    ]
    if spaces:
        section.table(["sweep", "setting", "tried"], spaces, summary="What they tried")
    failed = [(sweep, trial) for sweep in sweeps for trial in sweep.trials("FAIL")]
    failures = [f"{sweep.title}, trial {t.number} failed: {t.user_attrs['error']}" for sweep, t in failed]
    section.list([*failures[:MOST_FAILURES], *(["…"] if failures[MOST_FAILURES:] else [])])
    for sweep in sweeps:
        if sweep.study is None:
            section.gap(f"{sweep.title}: {sweep.problem}.")
    for number, sweep in enumerate([sweep for sweep in sweeps if sweep.searched], start=1):
        one_search(section, sweep, f"search-{number}")


def entries(part: Any) -> list[tuple[str, str]]:
    """A part of study.json line by line: of a mapping its items; of a list of KEY=VALUE the two sides."""
    if isinstance(part, dict):
        return [(str(key), str(value)) for key, value in part.items()]
    split = [str(line).partition("=") for line in part or []]
    return [(key, value) for key, _, value in split]


class Axis(NamedTuple):
    """A setting as an axis of a figure: where each trial stands, and the choices where it is not a number."""

    name: str
    at: list[float]
    choices: list[str]
    log: bool


def axis_of(name: str, trials: "Sequence[FrozenTrial]") -> Axis:
    values = [trial.params[name] for trial in trials]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return Axis(name, [float(v) for v in values], [], getattr(trials[0].distributions[name], "log", False))
    choices = list(dict.fromkeys(map(str, values)))
    return Axis(name, [float(choices.index(str(v))) for v in values], choices, False)


def one_search(section: Section, sweep: Sweep, name: str) -> None:
    """History, importances, slices and contour of one study; at the end what there are too few trials for."""
    title, done = f"{sweep.title}: ", sweep.trials("COMPLETE")
    many = " It has several objectives; this is the first." if len(done[0].values) > 1 else ""
    lost = " × failed, without a value." if sweep.trials("FAIL") else ""
    section.figure(f"{name}-history", f"{title}every trial and the best so far.{lost}{many}", draw_history, sweep)
    shares = importances(sweep)
    if shares:
        caption = f"{title}how much each setting explains among the good trials."
        section.figure(f"{name}-importance", caption, draw_importance, shares)
    varying = [
        key for key in shares or settings_of(done) if len({str(t.params[key]) for t in done if key in t.params}) > 1
    ]
    if varying:
        caption = f"{title}{sweep.objective} against each setting alone; lighter points are later trials."
        section.figure(f"{name}-slice", caption, draw_slices, sweep, varying[:MOST_SLICES])
    numeric = [key for key in varying if not axis_of(key, [t for t in done if key in t.params]).choices]
    caption = (
        f"{title}{sweep.objective} over the two numeric settings that matter most, interpolated between the trials."
    )
    if len(numeric) < 2 or not section.figure(f"{name}-contour", caption, draw_contour, sweep, *numeric[:2]):
        section.gap(f"{title}a contour needs {LEAST_FOR_CONTOUR} finished trials that vary in two numeric settings.")
    if not shares:
        section.gap(f"{title}importances need {LEAST_FOR_IMPORTANCE} finished trials in which two settings vary.")


def draw_history(sweep: Sweep) -> "Figure":
    """Every trial and the best so far; pruned ones where they stopped, failed ones at the bottom."""
    fig, ax = figure()
    done, pruned, failed = (sweep.trials(state) for state in ("COMPLETE", "PRUNED", "FAIL"))
    values = [value(trial) for trial in done]
    ax.plot([t.number for t in done], values, "o", color=COLOURS[0], label=f"finished ({len(done)})")
    best = np.maximum.accumulate(values)
    ax.step([t.number for t in done], best, where="post", color=INK, label="best so far")
    if pruned:
        stopped = [value(trial) for trial in pruned]
        ax.plot([t.number for t in pruned], stopped, "v", color=COLOURS[4], label=f"pruned ({len(pruned)})")
    if failed:
        at, look = [t.number for t in failed], {"color": COLOURS[1], "label": f"failed ({len(failed)})"}
        ax.plot(at, [0.02] * len(at), "x", transform=ax.get_xaxis_transform(), **look)  # below all values
    ax.set_xlabel("trial")
    ax.set_ylabel(sweep.objective)
    whole_numbers(ax)
    legend(ax, columns=2)
    return fig


def value(trial: "FrozenTrial") -> float:
    """The first objective of a finished trial; of a pruned one, the last it reported, NaN if none."""
    if trial.values:
        return float(trial.values[0])
    reported = trial.intermediate_values
    return float(reported[max(reported)]) if reported else float("nan")


def importances(sweep: Sweep) -> dict[str, float]:
    """Share of each setting in the variation among good trials; empty where too few trials or settings vary."""
    import optuna

    done = [trial for trial in sweep.trials("COMPLETE") if trial.params]
    varying = [name for name in settings_of(done) if len({str(trial.params.get(name)) for trial in done}) > 1]
    if len(done) < LEAST_FOR_IMPORTANCE or len(varying) < 2 or len({value(trial) for trial in done}) < 2:
        return {}
    assert sweep.study is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(
                sweep.study,
                target=lambda trial: -value(trial),  # PED-ANOVA looks at low values
                params=varying,
            )
    except (ValueError, RuntimeError):  # conditional spaces that no trial fills whole
        return {}
    return {name: share for name, share in found.items() if np.isfinite(share)}


def draw_importance(shares: dict[str, float]) -> "Figure":
    fig, ax = figure(height=1.0 + 0.36 * len(shares))
    rows = range(len(shares))
    ax.barh(rows, list(shares.values()), color=COLOURS[0], height=0.6)
    ax.set_yticks(rows, distinct(list(shares), 26))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("importance (PED-ANOVA, shares of 1)")
    return fig


def draw_slices(sweep: Sweep, settings: Sequence[str]) -> "Figure":
    rows, columns = -(-len(settings) // 2), min(2, len(settings))
    fig, grid = figure(rows, columns, 0.6 + 2.1 * rows, sharey=True, squeeze=False)
    for ax in grid.flat[len(settings) :]:
        ax.set_visible(False)
    for ax, name in zip(grid.flat, settings, strict=False):
        mine = [trial for trial in sweep.trials("COMPLETE") if name in trial.params]
        x = axis_of(name, mine)
        shade = [trial.number for trial in mine]
        ax.scatter(x.at, [value(t) for t in mine], c=shade, cmap="cividis", s=18, edgecolors=INK, linewidths=0.4)
        scale(ax, "x", x)
        ax.set_xlabel(short(name, 24))
    for ax in grid[:, 0]:
        ax.set_ylabel(short(sweep.objective, 16))
    return fig


def draw_contour(sweep: Sweep, first: str, second: str) -> "Figure | None":
    """The objective over two numeric settings; None where too few trials lie apart."""
    import matplotlib.tri

    mine = [trial for trial in sweep.trials("COMPLETE") if {first, second} <= set(trial.params)]
    if len({(trial.params[first], trial.params[second]) for trial in mine}) < LEAST_FOR_CONTOUR:
        return None
    x, y, z = axis_of(first, mine), axis_of(second, mine), [value(trial) for trial in mine]
    if min(len(set(x.at)), len(set(y.at))) < 3:
        return None
    scaled = [np.log(axis.at) if axis.log else np.array(axis.at) for axis in (x, y)]
    try:
        triangles = matplotlib.tri.Triangulation(*((v - v.min()) / np.ptp(v) for v in scaled)).triangles
    except (ValueError, RuntimeError):  # all on one line
        return None
    fig, ax = figure(height=3.8)
    drawn = ax.tricontourf(x.at, y.at, triangles, z, levels=10, cmap="cividis")
    whole: dict[str, Any] = {"markeredgecolor": INK, "lw": 0, "clip_on": False, "zorder": 3}  # on the axes too
    ax.plot(x.at, y.at, "o", color="white", ms=4, **whole)
    best = int(np.argmax(z))
    ax.plot(x.at[best], y.at[best], "*", color=COLOURS[1], ms=13, label="best trial", **whole)
    scale(ax, "x", x)
    scale(ax, "y", y)
    ax.set_xlabel(first)
    ax.set_ylabel(second)
    ax.grid(visible=False)
    fig.colorbar(drawn, ax=ax).set_label(sweep.objective)
    legend(ax)
    return fig


def settings_of(trials: "Sequence[FrozenTrial]") -> list[str]:
    return [name for name in dict.fromkeys(n for trial in trials for n in trial.params) if name != "seed"]


def scale(ax: "Axes", which: str, axis: Axis) -> None:
    if axis.choices:
        width = max(int(WIDTH * 8 / len(axis.choices)), 4)
        getattr(ax, f"set_{which}ticks")(range(len(axis.choices)), distinct(axis.choices, width, 3))
    elif axis.log:
        getattr(ax, f"set_{which}scale")("log")
        plain_logs(getattr(ax, f"{which}axis"))
