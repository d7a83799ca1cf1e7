"""The command `report`: from run folders to one page that opens offline, and its figures as PNG and PDF."""

import argparse
import re
from pathlib import Path

from hybrid_seq_gnn.errors import UserError, suggest
from hybrid_seq_gnn.files import package_folder, write_text
from hybrid_seq_gnn.report import criteria, sentences
from hybrid_seq_gnn.report.facts import Facts, gather
from hybrid_seq_gnn.report.page import Section, render
from hybrid_seq_gnn.report.sections import (
    ablation,
    alpha,
    by_group,
    by_length,
    cases,
    cost,
    data,
    learning,
    quality,
    reproduce,
    search,
)
from hybrid_seq_gnn.report.style import style
from hybrid_seq_gnn.results.labels import counted

FIGURE = re.compile(r"figures/([^\"/]+)\.png")  # of the page, which links to its own
SECTIONS = {
    "answer": ("The answer", sentences.write),
    "leaderboard": ("Leaderboard", quality.write),
    "criteria": ("Success criteria", criteria.write),
    "groups": ("By length of the history", by_group.write),
    "lengths": ("Along the length of the history", by_length.write),
    "alpha": ("The weight alpha", alpha.write),
    "ablation": ("Ablation", ablation.write),
    "cases": ("Cases", cases.write),
    "cost": ("Time and memory", cost.write),
    "learning": ("Learning curves", learning.write),
    "search": ("Sweeps and searches", search.write),
    "data": ("Data and graph", data.write),
    "again": ("How to do it again", reproduce.write),
}


def run(args: argparse.Namespace) -> str:
    """Write report.html and figures/, without the figures of an earlier report; returns what to print.

    Raises:
        UserError: a source leads to nothing, or matplotlib or Jinja2 is missing.
    """
    asked = criteria_of(args.criteria)
    with style():
        pass  # says at once that matplotlib is missing, and not after a minute
    facts = gather(args.paths, args.baseline, asked, resamples=args.resamples, seed=args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    folder = args.output / "figures"
    sections = [Section(key, title, folder) for key, (title, _) in SECTIONS.items()]
    for section in sections:
        SECTIONS[section.key][1](section, facts)
    headline, page = sentences.headline(facts), args.output / "report.html"
    figures = {block["name"] for section in sections for block in section.blocks if "name" in block}
    before = set(FIGURE.findall(page.read_text(encoding="utf-8", errors="replace"))) if page.exists() else set()
    write_text(page, render(headline, subtitle_of(facts), sections))
    for name in before - figures:
        for ending in ("png", "pdf"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    notes = "".join(f"\n- {note}" for note in facts.notes)
    return f"{headline}{notes}\n\nwritten to {page} and {len(figures)} figures in {folder}"


def subtitle_of(facts: Facts) -> str:
    data = facts.runs[0].results
    return (
        f"{data['options'].get('data')}, {counted(data['data'].get('users', 0), 'user')}, "
        f"{counted(len(facts.configurations), 'configuration')}, {counted(len(facts.runs), 'run')}; "
        f"from {', '.join(facts.sources)}"
    )


def criteria_of(name: str) -> criteria.Criteria | None:
    """The criteria file of a name in conf/criteria, or of a path; None for `none`.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    if name == "none":
        return None
    path, folder = Path(name), package_folder("conf") / "criteria"
    if path.suffix not in (".yaml", ".yml"):
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        if name not in known:
            there = ", ".join([*known, "none"])
            raise UserError(
                f"--criteria {name}: there is no such file. {suggest(name, known)}There is {there}; or give a path "
                "that ends in .yaml."
            )
        path = folder / f"{name}.yaml"
    return criteria.read(path)
