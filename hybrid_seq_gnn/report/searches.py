"""The section on sweeps and searches: what they asked, what became of their trials, and where it is good."""

from collections.abc import Sequence
from typing import Any

from hybrid_seq_gnn.report import study_figures
from hybrid_seq_gnn.report.page import Figures, Section
from hybrid_seq_gnn.report.studies import Sweep

MOST_FAILURES = 20  # that are listed


def searches(sweeps: Sequence[Sweep], figs: Figures) -> Section:
    """Every sweep's study, and the figures of those that searched an interval."""
    section = Section("search", "Sweeps and searches")
    if not sweeps:
        section.gap("no study lies beside these runs (study.journal or study.json in the folder of a sweep).")
        return section
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
            one_search(section, sweep, f"search-{number}", figs)
    return section


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


def one_search(section: Section, sweep: Sweep, name: str, figs: Figures) -> None:
    """History, importances, slices and contour of one study; at the end what there are too few trials for."""
    study, objective = sweep.study, sweep.objective
    assert study is not None
    title = f"{title_of(sweep)}: "
    many = " It has several objectives; this is the first." if len(study.directions) > 1 else ""
    caption = f"{title}every trial and the best so far.{many}"
    figs.add(section, f"{name}-history", caption, lambda: study_figures.history(study, objective))
    shares = study_figures.importances(study)
    done = sweep.trials("COMPLETE")
    chosen = list(shares) or study_figures.names(done)
    varying = [n for n in chosen if len({str(t.params[n]) for t in done if n in t.params}) > 1]
    numeric = [n for n in varying if study_figures.numeric(n, [t for t in done if n in t.params])]
    if shares:
        caption = f"{title}how much each setting explains among the good trials."
        figs.add(section, f"{name}-importance", caption, lambda: study_figures.importance(shares))
    if varying:
        caption = f"{title}{objective} against each setting alone; lighter points are later trials."
        figs.add(section, f"{name}-slice", caption, lambda: study_figures.slices(study, varying, objective))
    caption = f"{title}{objective} over the two numeric settings that matter most, interpolated between the trials."
    if len(numeric) < 2 or not figs.add(
        section, f"{name}-contour", caption, lambda: study_figures.contour(study, numeric[0], numeric[1], objective)
    ):
        least = study_figures.LEAST_FOR_CONTOUR
        section.gap(f"{title}a contour needs {least} finished trials that vary in two numeric settings.")
    if not shares:
        least = study_figures.LEAST_FOR_IMPORTANCE
        section.gap(f"{title}importances need {least} finished trials in which two settings vary.")
