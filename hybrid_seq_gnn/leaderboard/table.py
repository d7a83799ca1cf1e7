"""The command `leaderboard`: all runs below a folder, seeds put together, one table for each data and split."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.evaluation.groups import OVERALL, LengthGroups
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.leaderboard.board import given
from hybrid_seq_gnn.results.command import require, select
from hybrid_seq_gnn.results.labels import telling_keys, words
from hybrid_seq_gnn.results.runs import VALIDATION, Configuration, RunData, grouped, load, named, numbers, settings
from hybrid_seq_gnn.results.tables import HEADLINE, Number, markdown

if TYPE_CHECKING:
    import pandas as pd

NOT_OF_THE_DATA = ("data.path", "data.cache", "data.cache_dir", "data.url")


def run(paths: Sequence[str], *, filters: Sequence[str], sort: str, csv: bool) -> str:
    """The text to print: a table for each data and split, best first; or all of them as CSV.

    Args:
        paths: run folders, sweep folders, folders above them, or globs.
        filters: `KEY=VALUE[,VALUE]`, by options and settings.
        sort: `validation`, or a test metric, of all users or of a group: `NDCG@10`, `HR@10/short`.

    Raises:
        ValueError: nothing is found, or a filter or `sort` means nothing.
    """
    metric, _, group = sort.partition("/")
    require([metric], ("validation", *NAMES), "--sort")
    require([group] if group else [], LengthGroups.names if metric != "validation" else (), f"--sort {sort}")
    found = load(paths)
    runs = select(found.runs, filters, "--filter")
    frames, notes = [], list(found.left_out)
    for heading, same in by_split(runs):
        together, more = grouped(same)
        notes += more
        frames.append((heading, table(named(together), sort)))
    if csv:
        return in_csv(frames)
    order = (
        VALIDATION if sort == "validation" else f"{sort} of the test split (to choose by it is to choose on the test)"
    )
    parts = [f"Ordered by {order}. Mean ± standard deviation over seeds; test split unless said otherwise."]
    for heading, frame in frames:
        parts += [f"{heading}:", shown(frame, sort)]
    if notes:
        parts += ["Left out or replaced:", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts)


def by_split(runs: Sequence[RunData]) -> list[tuple[str, list[RunData]]]:
    """Runs that may be ranked in one table, with what they have in common: the data, their size and the split."""
    together: dict[tuple[str, ...], list[RunData]] = {}
    for run in runs:
        ranking = {key: value for key, value in run.settings.items() if key.startswith("evaluation")}
        together.setdefault((run.split_hash, repr(ranking)), []).append(run)
    data = [of_data(same[0]) for same in together.values()]
    keys = [key for key in telling_keys(data) if key != "data"]
    found = []
    for own, same in zip(data, together.values(), strict=True):
        size = same[0].results["data"]
        counts = ", ".join(f"{size[name]:,} {name}" for name in ("users", "items", "events"))
        what = words([(key, own[key]) for key in ("data", *keys) if key in own])
        found.append((f"{what} ({counts}; split {same[0].split_hash[:12]})", same))
    return found


def of_data(run: RunData) -> dict[str, Any]:
    """What says which users and items are ranked how."""
    every = settings(run.results)
    return {k: v for k, v in every.items() if k.startswith(("data", "evaluation.")) and k not in NOT_OF_THE_DATA}


def table(configurations: Sequence[Configuration], sort: str) -> "pd.DataFrame":
    """A row a configuration, best first.

    Columns: rank, configuration, seeds, alpha; mean and `… sd` of the validation metric, and of every headline metric
    and the one that is sorted by, overall and by group; parameters, seconds (mean of a run), folder (of the first run).
    """
    import pandas as pd

    groups = (OVERALL, *LengthGroups.names)
    metrics = list(dict.fromkeys((*HEADLINE, sort.split("/")[0]))) if sort != "validation" else HEADLINE
    rows = []
    for configuration in configurations:
        measured = [numbers(run.results) | tested(run, metrics, groups) for run in configuration.runs]
        row: dict[str, Any] = {"configuration": configuration.name, "seeds": len(measured)}
        row["alpha"] = mean([one["alpha"] for one in measured])
        for name in (VALIDATION, *tested(configuration.runs[0], metrics, groups)):
            each = [one[name] for one in measured]
            row[name], row[f"{name} sd"] = mean(each), deviation(each)
        row["parameters"] = configuration.runs[0].results.get("parameters")
        row["seconds"] = mean([one["seconds"] for one in measured])
        rows.append({**row, "folder": str(configuration.runs[0].folder)})
    column = VALIDATION if sort == "validation" else sort
    rows.sort(key=lambda row: -np.inf if row[column] is None else row[column], reverse=True)
    return pd.DataFrame([{"rank": rank, **row} for rank, row in enumerate(rows, start=1)])


def tested(run: RunData, metrics: Sequence[str], groups: Sequence[str]) -> dict[str, float | None]:
    """Test metrics of a run, `NDCG@10` and `NDCG@10/short`; None for a group without users."""
    measured = run.results["grouped_metrics"]
    return {
        name if group == OVERALL else f"{name}/{group}": measured[group][name] for group in groups for name in metrics
    }


def mean(values: Sequence[float | None]) -> float | None:
    """Of numbers; None if one is missing."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if len(there) == len(values) else None


def deviation(values: Sequence[float | None]) -> float | None:
    """Standard deviation (n - 1) of at least two numbers, else None."""
    there = [value for value in values if value is not None]
    return float(np.std(there, ddof=1)) if len(there) == len(values) and len(there) > 1 else None


def shown(frame: "pd.DataFrame", sort: str) -> str:
    """The table to read: overall metrics, then NDCG@10 or what is sorted by for short, medium and long histories."""
    chosen = sort.split("/")[0] if sort != "validation" else "NDCG@10"
    columns = [VALIDATION, *dict.fromkeys((chosen, "NDCG@10", "HR@10"))]
    columns += [f"{chosen}/{group}" for group in LengthGroups.names]
    alpha = ["alpha"] if frame["alpha"].notna().any() else []
    header = ["rank", "configuration", "seeds", *alpha, *columns, "folder"]
    body = []
    for row in frame.to_dict("records"):
        cells = [row["rank"], row["configuration"], row["seeds"], *(given(row[name]) for name in alpha)]
        cells += [with_spread(given(row[name]), given(row[f"{name} sd"])) for name in columns]
        body.append([*cells, row["folder"]])
    return markdown([name.replace("@10/", " ") for name in header], body)


def with_spread(value: float | None, spread: float | None) -> str:
    """0.1234 ± 0.0012."""
    return Number("–" if value is None else f"{value:.4f}" if spread is None else f"{value:.4f} ± {spread:.4f}")


def in_csv(frames: Sequence[tuple[str, "pd.DataFrame"]]) -> str:
    """All tables under each other, every row with its data; ranks count within each."""
    import pandas as pd

    whole = pd.concat([frame.assign(data=heading) for heading, frame in frames], ignore_index=True)
    return str(whole[["data", *(name for name in whole.columns if name != "data")]].to_csv(index=False)).rstrip("\n")
