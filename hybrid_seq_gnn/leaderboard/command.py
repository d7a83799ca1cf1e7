"""The command `leaderboard`: all runs below a folder, seeds put together, one table for each data and split."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_seq_gnn.errors import printable
from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.evaluation.metrics import METRIC, NAMES
from hybrid_seq_gnn.leaderboard.board import known
from hybrid_seq_gnn.results.command import require, select
from hybrid_seq_gnn.results.configurations import Configuration, configurations
from hybrid_seq_gnn.results.labels import spread, telling_keys, words
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import HEADLINE, VALIDATION, FinishedRun, by_group
from hybrid_seq_gnn.results.tables import csv_of, left_out_paragraphs, markdown
from hybrid_seq_gnn.run.identity import affects_results


def run(args: argparse.Namespace) -> str:
    """The text to print: a table for each data and split, best first; or all of them as CSV.

    Raises:
        UserError: nothing is found, or a filter or `sort` means nothing.
    """
    metric, _, group = args.sort.partition("/")
    require([metric], ("validation", *NAMES), "--sort")
    if group:
        require([group], LengthGroups.names if metric != "validation" else (), f"--sort {args.sort}")
    first = VALIDATION if metric == "validation" else args.sort
    found = load(args.paths)
    tables, notes = {}, list(found.left_out)
    for heading, same in by_split(select(found.runs, args.filter, "--filter")):
        found_here, more = configurations(same)
        notes += [*more, *(f"{change} The table is of results.json." for run in same if (change := run.change))]
        tables[heading] = sorted(found_here, key=lambda one: known(one.mean(first)), reverse=True)
    left_out = left_out_paragraphs(notes)
    if args.csv:
        print(printable("\n\n".join(left_out)), end="\n" if left_out else "", file=sys.stderr)
        return in_csv(tables, first)
    choose = "" if first == VALIDATION else " of the test split (to choose by it is to choose on the test)"
    parts = [f"Ordered by {first}{choose}. Mean ± standard deviation over seeds; test split unless said otherwise."]
    parts += [part for heading, table in tables.items() for part in (f"{heading}:", show(table, first))]
    return "\n\n".join([*parts, *left_out])


def by_split(runs: Sequence[FinishedRun]) -> list[tuple[str, list[FinishedRun]]]:
    """Runs that may be ranked in one table, with what they have in common: the data, their size and the split."""
    together: dict[tuple[Any, ...], list[FinishedRun]] = {}
    for run in runs:
        together.setdefault(run.ranking, []).append(run)
    data = [of_data(same[0]) for same in together.values()]
    keys = [key for key in telling_keys(data) if key != "data"]
    found = []
    for own, same in zip(data, together.values(), strict=True):
        size = same[0].results["data"]
        sizes = ", ".join(f"{size[name]:,} {name}" for name in ("users", "items", "events"))
        what = words([(key, own[key]) for key in ("data", *keys) if key in own])
        found.append((f"{what} ({sizes}; split {same[0].split_hash[:12]})", same))
    return found


def of_data(run: FinishedRun) -> dict[str, Any]:
    """What says which users and items are ranked how."""
    every = run.every_setting.items()
    return {k: v for k, v in every if k.startswith(("data", "evaluation.")) and affects_results(k)}


def show(table: Sequence[Configuration], first: str) -> str:
    """The table to read: overall metrics, then NDCG@10 or what is sorted by for short, medium and long histories."""
    chosen = METRIC if first == VALIDATION else first.split("/")[0]
    columns = [VALIDATION, *dict.fromkeys((chosen, METRIC, "HR@10"))]
    columns += [f"{chosen}/{group}" for group in LengthGroups.names]
    mixes = any(alpha_of(one) is not None for one in table)
    header = ["rank", "configuration", "seeds", *(["alpha"] if mixes else []), *columns, "folder"]
    rows: list[list[Any]] = []
    for rank, one in enumerate(table, start=1):
        row = [rank, one.name, len(one.runs), *([alpha_of(one)] if mixes else [])]
        rows.append([*row, *(spread(one.over_seeds(name)) for name in columns), str(one.runs[0].folder)])
    return markdown([name.replace("@10/", " ") for name in header], rows)


def alpha_of(one: Configuration) -> float | None:
    """Mean over seeds; None for a model that mixes nothing."""
    found = [run.alpha for run in one.runs if run.alpha is not None]
    return float(np.mean(found)) if len(found) == len(one.runs) else None


def in_csv(tables: dict[str, list[Configuration]], first: str) -> str:
    """All tables under each other with every digit, every row with its data; ranks count within each.

    Columns: data, rank, configuration, seeds, alpha; mean and `… sd` of the validation metric, and of every headline
    metric and the one that is sorted by, overall and by group; parameters, seconds (mean of a run), folder (of the
    first run).
    """
    import pandas as pd

    metric = [] if first == VALIDATION else [first.split("/")[0]]
    columns = [VALIDATION, *by_group(dict.fromkeys((*HEADLINE, *metric)))]
    rows: list[dict[str, Any]] = []
    for heading, table in tables.items():
        for rank, one in enumerate(table, start=1):
            row: dict[str, Any] = {"data": heading, "rank": rank, "configuration": one.name, "seeds": len(one.runs)}
            row["alpha"] = alpha_of(one)
            for name in columns:
                each = one.over_seeds(name)
                row[name], row[f"{name} sd"] = one.mean(name), np.std(each, ddof=1) if len(each) > 1 else None
            results = [run.results for run in one.runs]
            row["parameters"] = results[0].get("parameters")
            row["seconds"] = np.mean([each["seconds"]["total"] for each in results])
            rows.append({**row, "folder": str(one.runs[0].folder)})
    return csv_of(pd.DataFrame(rows)).rstrip("\n")
