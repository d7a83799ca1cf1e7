"""Sweeps and searches: what they asked, what became of their trials, and where it is good.

What Optuna's own plots show, in the look of the report. Importances are PED-ANOVA (Watanabe et al. 2023,
arXiv:2304.10255), which needs nothing but the trials.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.studies import Sweep
from hybrid_seq_gnn.report.style import COLOURS, INK, WIDTH, figure, legend, plain_logs, short, whole_numbers

if TYPE_CHECKING:
    import optuna
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
        rows.append([title_of(sweep), str(sweep.about.get("question") or ""), *counts, *about])
    section.table(["sweep", "question", "finished", "pruned", "failed", "sampler", "pruner"], rows)
    spaces = [
        [title_of(sweep), key, value]
        for sweep in sweeps
        for part in ("variants", "space", "fixed")
        for key, value in entries(sweep.about.get(part))
    ]
    if spaces:
        section.table(["sweep", "setting", "tried"], spaces, summary="What they tried")
    failures = [
        f"{title_of(sweep)}, trial {trial.number} failed: {trial.user_attrs['error']}"
        for sweep in sweeps
        for trial in sweep.trials("FAIL")
        if "error" in trial.user_attrs
    ]
    section.list([*failures[:MOST_FAILURES], *(["…"] if failures[MOST_FAILURES:] else [])])
    number = 0
    for sweep in sweeps:
        if sweep.study is None:
            section.gap(f"{title_of(sweep)}: {sweep.problem}.")
        elif sweep.searched:
            number += 1
            one_search(section, sweep, f"search-{number}")


def title_of(sweep: Sweep) -> str:
    """Its name, or that of its folder where it was given none."""
    name = sweep.about.get("name")
    return str(name) if name and name != "sweep" else sweep.folder.name


def entries(part: Any) -> list[tuple[str, str]]:
    """A part of study.json line by line: of a mapping its items; of a list of KEY=VALUE the two sides."""
    if isinstance(part, dict):
        return [(str(key), str(value)) for key, value in part.items()]
    split = [str(line).partition("=") for line in part or []]
    return [(key, value) for key, _, value in split]


def one_search(section: Section, sweep: Sweep, name: str) -> None:
    """History, importances, slices and contour of one study; at the end what there are too few trials for."""
    study, objective = sweep.study, sweep.objective
    assert study is not None
    title = f"{title_of(sweep)}: "
    many = " It has several objectives; this is the first." if len(study.directions) > 1 else ""
    caption = f"{title}every trial and the best so far.{many}"
    section.figure(f"{name}-history", caption, draw_history, study, objective)
    shares = importances(study)
    done = sweep.trials("COMPLETE")
    chosen = list(shares) or settings_of(done)
    varying = [n for n in chosen if len({str(t.params[n]) for t in done if n in t.params}) > 1]
    numeric = [n for n in varying if is_numeric(n, [t for t in done if n in t.params])]
    if shares:
        caption = f"{title}how much each setting explains among the good trials."
        section.figure(f"{name}-importance", caption, draw_importance, shares)
    if varying:
        caption = f"{title}{objective} against each setting alone; lighter points are later trials."
        section.figure(f"{name}-slice", caption, draw_slices, study, varying, objective)
    caption = f"{title}{objective} over the two numeric settings that matter most, interpolated between the trials."
    if len(numeric) < 2 or not section.figure(
        f"{name}-contour", caption, draw_contour, study, numeric[0], numeric[1], objective
    ):
        least = LEAST_FOR_CONTOUR
        section.gap(f"{title}a contour needs {least} finished trials that vary in two numeric settings.")
    if not shares:
        least = LEAST_FOR_IMPORTANCE
        section.gap(f"{title}importances need {least} finished trials in which two settings vary.")


def value(trial: "FrozenTrial") -> float:
    """The first objective of a finished trial; of a pruned one, the last it reported, NaN if none."""
    if trial.values:
        return float(trial.values[0])
    reported = trial.intermediate_values
    return float(reported[max(reported)]) if reported else float("nan")


def draw_history(study: "optuna.Study", objective: str) -> "Figure":
    """Every trial and the best so far; pruned ones where they stopped, failed ones at the bottom."""
    fig, ax = figure()
    by_state: dict[str, list[FrozenTrial]] = {}
    for trial in study.trials:
        by_state.setdefault(trial.state.name, []).append(trial)
    done = by_state.get("COMPLETE", [])
    values = np.array([value(trial) for trial in done])
    numbers = [trial.number for trial in done]
    ax.plot(numbers, values, "o", color=COLOURS[0], label=f"finished ({len(done)})")
    if len(done):
        ax.step(numbers, np.maximum.accumulate(values), where="post", color=INK, label="best so far")
    if pruned := by_state.get("PRUNED", []):
        at = [trial.number for trial in pruned]
        ax.plot(at, [value(trial) for trial in pruned], "v", color=COLOURS[4], label=f"pruned ({len(pruned)})")
    if failed := by_state.get("FAIL", []):
        low = float(np.nanmin(values)) if len(done) else 0.0
        ax.plot([t.number for t in failed], [low] * len(failed), "x", color=COLOURS[1], label=f"failed ({len(failed)})")
    ax.set_xlabel("trial")
    ax.set_ylabel(objective)
    whole_numbers(ax)
    legend(ax, columns=2)
    return fig


def importances(study: "optuna.Study") -> dict[str, float]:
    """Share of each setting in the variation among good trials; empty where too few trials or settings vary."""
    import optuna

    done = [trial for trial in study.trials if trial.state.name == "COMPLETE" and trial.params]
    varying = [name for name in settings_of(done) if len({str(trial.params.get(name)) for trial in done}) > 1]
    if len(done) < LEAST_FOR_IMPORTANCE or len(varying) < 2 or len({value(trial) for trial in done}) < 2:
        return {}
    sign = -1.0 if study.directions[0].name == "MAXIMIZE" else 1.0  # PED-ANOVA looks at low values of a target
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(study, target=lambda t: sign * value(t), params=varying)
    except (ValueError, RuntimeError):  # conditional spaces that no trial fills whole
        return {}
    return {name: share for name, share in found.items() if np.isfinite(share)}


def draw_importance(shares: dict[str, float]) -> "Figure":
    fig, ax = figure(height=1.0 + 0.36 * len(shares))
    rows = range(len(shares))
    ax.barh(rows, list(shares.values()), color=COLOURS[0], height=0.6)
    ax.set_yticks(rows, [short(name, 26) for name in shares])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("importance (PED-ANOVA, shares of 1)")
    return fig


def draw_slices(study: "optuna.Study", chosen: Sequence[str], objective: str) -> "Figure":
    chosen = list(chosen)[:MOST_SLICES]
    rows = -(-len(chosen) // 2)
    columns = min(2, len(chosen))
    fig, grid = figure(rows, columns, 0.6 + 2.1 * rows, sharey=True, squeeze=False)
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    for ax in grid.flat[len(chosen) :]:
        ax.set_visible(False)
    for ax, name in zip(grid.flat, chosen, strict=False):
        mine = [trial for trial in done if name in trial.params]
        axis(ax, "x", name, mine)
        shade = [trial.number for trial in mine]
        x, y = place(name, mine), [value(trial) for trial in mine]
        ax.scatter(x, y, c=shade, cmap="cividis", s=18, edgecolors=INK, linewidths=0.4)
        ax.set_xlabel(short(name, 24))
    for ax in grid[:, 0]:
        ax.set_ylabel(short(objective, 16))
    return fig


def draw_contour(study: "optuna.Study", first: str, second: str, objective: str) -> "Figure | None":
    """The objective over two numeric settings; None where too few trials lie apart."""
    import matplotlib.tri

    mine = [t for t in study.trials if t.state.name == "COMPLETE" and first in t.params and second in t.params]
    if not (is_numeric(first, mine) and is_numeric(second, mine)):
        return None
    x, y, z = place(first, mine), place(second, mine), np.array([value(trial) for trial in mine])
    if len(set(zip(x, y, strict=True))) < LEAST_FOR_CONTOUR or len(set(x)) < 3 or len(set(y)) < 3:
        return None
    scaled = [np.log(v) if logarithmic(name, mine) else np.asarray(v) for name, v in ((first, x), (second, y))]
    unit = [(v - v.min()) / np.ptp(v) for v in scaled]
    try:
        triangles = matplotlib.tri.Triangulation(*unit).triangles
    except (ValueError, RuntimeError):  # all on one line
        return None
    fig, ax = figure(height=3.8)
    drawn = ax.tricontourf(x, y, triangles, z, levels=10, cmap="cividis")
    ax.plot(x, y, "o", color="white", markeredgecolor=INK, ms=4, lw=0)
    best = int(np.argmax(z))
    ax.plot(x[best], y[best], "*", color=COLOURS[1], markeredgecolor=INK, ms=13, label="best trial")
    axis(ax, "x", first, mine)
    axis(ax, "y", second, mine)
    ax.set_xlabel(first)
    ax.set_ylabel(second)
    ax.grid(visible=False)
    bar = fig.colorbar(drawn, ax=ax)
    bar.set_label(objective)
    legend(ax)
    return fig


def settings_of(trials: "Sequence[FrozenTrial]") -> list[str]:
    return [name for name in dict.fromkeys(n for trial in trials for n in trial.params) if name != "seed"]


def is_numeric(name: str, trials: "Sequence[FrozenTrial]") -> bool:
    return all(isinstance(t.params[name], int | float) and not isinstance(t.params[name], bool) for t in trials)


def logarithmic(name: str, trials: "Sequence[FrozenTrial]") -> bool:
    return bool(trials) and bool(getattr(trials[0].distributions.get(name), "log", False))


def place(name: str, trials: "Sequence[FrozenTrial]") -> list[float]:
    """Where each trial stands on the axis of a setting: its number, or the place of its choice."""
    values = [trial.params[name] for trial in trials]
    if is_numeric(name, trials):
        return [float(v) for v in values]
    known = choices(values)
    return [float(known.index(str(v))) for v in values]


def choices(values: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values))


def axis(ax: "Axes", which: str, name: str, trials: "Sequence[FrozenTrial]") -> None:
    if not is_numeric(name, trials):
        known = choices([trial.params[name] for trial in trials])
        width = int(WIDTH * 8 / max(len(known), 1))
        getattr(ax, f"set_{which}ticks")(range(len(known)), [short(text, max(width, 4), 3) for text in known])
    elif logarithmic(name, trials):
        getattr(ax, f"set_{which}scale")("log")
        plain_logs(getattr(ax, f"{which}axis"))
