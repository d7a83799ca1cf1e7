"""The command `report`: from run folders to one page that opens offline, and its figures as PNG and PDF."""

from collections.abc import Sequence
from pathlib import Path

from hybrid_seq_gnn.files import write_text
from hybrid_seq_gnn.report import more_sections, searches, sections, trade_offs
from hybrid_seq_gnn.report import sentences as answer
from hybrid_seq_gnn.report.criteria import Criteria, read
from hybrid_seq_gnn.report.evidence import Evidence, gather
from hybrid_seq_gnn.report.page import Figures, render
from hybrid_seq_gnn.report.studies import sweeps
from hybrid_seq_gnn.report.style import style
from hybrid_seq_gnn.results.labels import suggest


def run(
    sources: Sequence[str],
    *,
    baseline: str | None,
    criteria: Criteria | None,
    output: Path,
    resamples: int = 10_000,
    seed: int = 0,
) -> str:
    """Write report.html and figures/ to `output`; returns what to print.

    Args:
        sources: run folders, sweep folders or globs.
        baseline: KEY=VALUE or a folder; None takes model=sasrec where there is one.
        criteria: to check; None checks none.
        output: made if it is not there; figures of an earlier report that this one lacks are removed.
        resamples, seed: of bootstrap and permutation test.

    Raises:
        ValueError: a source leads to nothing, or matplotlib or Jinja2 is missing.
    """
    with style():
        pass  # says at once that matplotlib is missing, and not after a minute
    evidence = gather(sources, baseline, resamples=resamples, seed=seed)
    figures = Figures(output / "figures")
    output.mkdir(parents=True, exist_ok=True)
    page = html(evidence, criteria, figures)
    write_text(output / "report.html", page)
    for path in [*figures.folder.glob("*.png"), *figures.folder.glob("*.pdf")]:
        if path.stem not in figures.names:
            path.unlink()
    notes = "".join(f"\n- {note}" for note in evidence.notes)
    said = answer.headline(evidence)
    return f"{said}{notes}\n\nwritten to {output / 'report.html'} and {len(figures.names)} figures in {figures.folder}"


def html(evidence: Evidence, criteria: Criteria | None, figures: Figures) -> str:
    """The whole page."""
    found = sweeps(run.folder for one in evidence.configurations for run in one.runs)
    parts = [
        sections.the_answer(evidence, found),
        sections.leaderboard(evidence),
        sections.criteria(evidence, criteria),
        sections.by_group(evidence, figures),
        sections.by_length(evidence, figures),
        more_sections.alpha(evidence, figures),
        trade_offs.ablation(evidence, figures),
        trade_offs.cost(evidence, figures),
        more_sections.learning(evidence, figures),
        searches.searches(found, figures),
        more_sections.data_and_graph(evidence),
        more_sections.again(evidence),
    ]
    runs = [run for one in evidence.configurations for run in one.runs]
    data = runs[0].results
    subtitle = (
        f"{data['options'].get('data')}, {data['data'].get('users', 0):,} users, {len(evidence.configurations)} "
        f"configurations, {len(runs)} runs; from {', '.join(evidence.sources)}"
    )
    return render(f"Report: {subtitle}", answer.headline(evidence), subtitle, parts)


def criteria_of(name: str, folder: Path) -> Criteria | None:
    """The criteria file of a name in `folder`, or of a path; None for `none`.

    Raises:
        ValueError: there is no such file, or it cannot be read.
    """
    if name == "none":
        return None
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        if name not in known:
            there = ", ".join([*known, "none"])
            raise ValueError(
                f"--criteria {name}: there is no such file. {suggest(name, known)}There is {there}; or give a path "
                "that ends in .yaml."
            )
        path = folder / f"{name}.yaml"
    return read(path)
