"""The command `compare`: from paths to tables, three files and what they say."""

import argparse
from collections.abc import Sequence

from hybrid_seq_gnn.compare.render import latex_tables, report
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import GROUPS
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.files import write_text
from hybrid_seq_gnn.results.command import names, require, select
from hybrid_seq_gnn.results.configurations import Configuration, group_seeds, name_configurations
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import FinishedRun, require_comparable
from hybrid_seq_gnn.results.tables import csv_of


def run(args: argparse.Namespace) -> str:
    """Compare, write compare.csv, compare.md and compare.tex, and return what to print."""
    metrics, groups = names(args.metrics), names(args.groups)
    require(metrics, NAMES, "--metrics")
    require(groups, GROUPS, "--groups")
    baseline, others, notes = sides(args.paths, args.baseline)
    options = {"alpha": args.alpha, "two_level": args.two_level}
    found = compare(baseline, others, metrics, groups, resamples=args.resamples, seed=args.seed, **options)
    files = {
        "compare.csv": csv_of(found.assign(baseline_name=baseline.name)),
        "compare.md": f"# Comparison\n\n{report(found, baseline, others, notes, whole=True, **options)}\n",
        "compare.tex": latex_tables(found, args.alpha),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_text(args.output / name, content)
    written = ", ".join(str(args.output / name) for name in files)
    return f"{report(found, baseline, others, notes, whole=False, **options)}\n\nwritten to {written}"


def sides(paths: Sequence[str], baseline: Sequence[str] = ()) -> tuple[Configuration, list[Configuration], list[str]]:
    """The baseline, the others, named apart, and what was left out or chosen on the way.

    Args:
        paths: run folders, sweep folders or globs; by default the first one is the baseline, see `first_of`.
        baseline: filters `KEY=VALUE`; with them the baseline is the one configuration of all paths that satisfies them.

    Raises:
        UserError: there is not exactly one baseline, nothing to compare it with, or not everything can be compared.
    """
    found = load(paths)
    require_comparable(found.runs)
    chosen = select(found.runs, baseline, "--baseline") if baseline else first_of(paths, found.runs)
    inside = {run.folder.resolve() for run in chosen}
    bases, notes = group_seeds(chosen)
    rest, more_notes = group_seeds([run for run in found.runs if run.folder.resolve() not in inside])
    first, *others = name_configurations([*bases, *rest])
    if len(bases) > 1:
        listed = "".join(f"\n  {one.name}   in {one.runs[0].folder}" for one in (first, *others)[: len(bases)])
        raise UserError(
            f"the baseline must be one configuration, and {' '.join(baseline) or paths[0]} has {len(bases)}:{listed}\n"
            "Name the folders of one of them, or choose one with --baseline KEY=VALUE."
        )
    if not others:
        raise UserError(f"there is nothing to compare with the baseline, {first.name}: name more runs or sweeps.")
    return first, others, [*found.left_out, *notes, *more_notes]


def first_of(paths: Sequence[str], runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs of the first path; of a single run also those beside it that differ in nothing but their seed.

    If nothing else were left to compare, the first run stays alone.
    """
    chosen = list(load(paths[:1]).runs)
    if len(chosen) > 1:
        return chosen
    (first,) = chosen
    parent = first.folder.resolve().parent
    beside = [run for run in runs if run.identity == first.identity and run.folder.resolve().parent == parent]
    return chosen if len(beside) == len(runs) else [first, *(run for run in beside if run.seed != first.seed)]
