"""The runs of a sweep in one table, best first by validation."""

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.files import write_text
from hybrid_seq_gnn.results.runs import OBJECTIVES, numbers, settings
from hybrid_seq_gnn.results.tables import GROUPS, HEADLINE, markdown
from hybrid_seq_gnn.run.record import read_results

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("done", "running", "pruned", "failed")


@dataclass(frozen=True)
class Run:
    """One line of the leaderboard.

    Attributes:
        folder: name of the run folder.
        results: its results.json; None for a run without.
        error: why it has none.
        overrides: what the sweep set, for a run without results.
        status: done, running, pruned or failed; None is done with results and failed without.
        values: the objectives, as far as the sweep knows them, of a run without results here.
    """

    folder: str
    results: dict[str, Any] | None
    error: str | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    status: str | None = None
    values: tuple[float, ...] = ()


def read_runs(folder: Path) -> list[Run]:
    """Every run folder directly below `folder` that has results, in the order of their numbers.

    A results.json that cannot be read, or lacks something, becomes a run with an error, and never a number.
    """
    runs = []
    for path in sorted(folder.glob("*/results.json"), key=lambda p: (len(p.parent.name), p.parent.name)):
        try:
            results = read_results(path.parent)
            if results is not None:
                settings(results), numbers(results)
                runs.append(Run(path.parent.name, results))
        except (KeyError, TypeError, AttributeError) as error:
            runs.append(Run(path.parent.name, None, f"{path} is incomplete: {error!r}."))
        except ValueError as error:
            runs.append(Run(path.parent.name, None, str(error)))
    return runs


def with_name(results: dict[str, Any]) -> dict[str, Any]:
    """The name of a run, if it has one, and its settings."""
    name = results["config"].get("name")
    return ({"name": name} if name else {}) | settings(results)


def differences(runs: Iterable[Run]) -> list[str]:
    """Settings that take more than one value among the runs that have them, groups first.

    Of a run without results only what the sweep set is known.
    """
    runs = list(runs)
    done = [with_name(run.results) for run in runs if run.results is not None]
    known = [*done, *(run.overrides for run in runs if run.results is None)]
    keys = list(dict.fromkeys(key for one in known for key in one))
    differ = [key for key in keys if len({str(one[key]) for one in known if key in one}) > 1]
    missing = [key for key in keys if "." not in key and any(key not in one for one in done)]
    return differ or missing


def on_front(values: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the Pareto front: no other is at least as good in all objectives and better in one."""

    def beaten(mine: Sequence[float]) -> bool:
        return any(all(o >= m for o, m in zip(other, mine, strict=True)) and other != mine for other in values)

    return [not beaten(mine) for mine in values]


def table(runs: list[Run], objectives: Sequence[str] = OBJECTIVES) -> "pd.DataFrame":
    """A row a run, best validation first, then what is running, pruned or failed.

    Columns: rank, the settings that differ, alpha (mean over test users; empty for models that mix nothing), the
    objectives on validation (`validation NDCG@10`), with several whether the run is on their Pareto front, each
    headline metric of the test split overall (`HR@10`) and by group (`HR@10/short`), the validation metric by group,
    best epoch, seconds, status, error and folder.
    """
    import pandas as pd

    keys = differences(runs) or sorted({key for run in runs for key in run.overrides})
    aims = [f"validation {objective}" for objective in objectives]
    rows: list[dict[str, Any]] = []
    for run in runs:
        status = run.status or ("failed" if run.results is None else "done")
        row: dict[str, Any] = {"status": status, "error": run.error, "folder": run.folder}
        mine = run.overrides if run.results is None else with_name(run.results)
        row |= {key: mine.get(key) for key in keys}
        if run.results is not None:
            row |= numbers(run.results, objectives)
        elif run.values:
            row |= dict(zip(aims, run.values, strict=False))
        rows.append(row)
    rows.sort(key=lambda row: (STATUSES.index(row["status"]), -some(row.get(aims[0]))))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank if row["status"] == "done" else None
    if len(aims) > 1:
        done = [row for row in rows if row["status"] == "done"]
        for row, mark in zip(done, on_front([[some(row[aim]) for aim in aims] for row in done]), strict=True):
            row["front"] = "yes" if mark else "no"
    columns = ["rank", *keys, "alpha", *aims, *(["front"] if len(aims) > 1 else [])]
    columns += [f"{name}{suffix}" for suffix in ("", "/short", "/medium", "/long") for name in HEADLINE]
    columns += [f"{aims[0]}/{group}" for group in GROUPS[:-1]] if "/" not in objectives[0] else []
    columns += ["best epoch", "seconds", "status", "error", "folder"]
    frame = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)
    return frame.astype({"rank": "Int64", "best epoch": "Int64"})


def some(value: float | None) -> float:
    """A metric, or less than any where there is none."""
    return -math.inf if value is None else value


def show(frame: "pd.DataFrame", objectives: Sequence[str] = OBJECTIVES) -> str:
    """The leaderboard to read, in Markdown: all users, then by history length, then what has no result.

    Runs that differ in nothing but their seed are one line, with mean ± standard deviation (n - 1) over the seeds.
    """
    aims = [f"validation {objective}" for objective in objectives]
    done = frame[frame["status"] == "done"]
    keys = list(frame.columns[1 : frame.columns.get_loc("alpha")])
    known = keys
    named = "name" in keys and len(done) > 0 and bool(done["name"].notna().all())
    keys = ["name", *(["seed"] if "seed" in keys else [])] if named else keys
    rows = done.to_dict("records")
    configurations = by_configuration(rows, [key for key in keys if key != "seed"])
    repeated = any(len(each) > 1 for each in configurations)
    heading = f"Ordered by {aims[0]}; all other metrics are of the test split."
    if repeated:
        heading += " Mean ± standard deviation over seeds."
        keys = [key for key in keys if key != "seed"]
        configurations.sort(key=lambda each: -mean([some(given(row[aims[0]])) for row in each]))
    lines = configurations if repeated else [[row] for row in rows]
    shown = [*keys, *(["seeds"] if repeated else [])]
    if done["alpha"].notna().any() and "fusion.alpha" not in keys:
        shown.append("alpha")

    def cells(columns: list[str]) -> list[list[Any]]:
        return [
            [place, *(summary(each, column, keys) for column in columns)] for place, each in enumerate(lines, start=1)
        ]

    parts = [heading]
    if lines:
        front = ["front"] if len(aims) > 1 and not repeated else []
        overall = [*shown, *aims, *front, "NDCG@10", "HR@10", "MRR@10", "best epoch", "seconds", "folder"]
        overall = [column for k, column in enumerate(overall) if column not in overall[:k]]
        by_length = [f"{name}/{group}" for name in ("NDCG@10", "HR@10", "MRR@10") for group in GROUPS[:-1]]
        header = [*shown, *(name.replace("@10/", " ") for name in by_length)]  # short enough for a terminal
        parts += [markdown(["rank", *overall], cells(overall)), "The same test metrics @10 by length of the history:"]
        parts += [markdown(["rank", *header], cells([*shown, *by_length]))]
        if len(lines) > 1 and keys and "/" not in objectives[0]:
            parts += [f"Best by {aims[0]}:", best(lines, keys, aims[0])]
    for status, title in (
        ("running", "Running:"),
        ("pruned", "Pruned:"),
        ("failed", "Failed (train.log in the run folder says where):"),
    ):
        if found := frame[frame["status"] == status].to_dict("records"):
            parts += [title, "\n".join(without_result(row, known) for row in found)]
    return "\n\n".join(parts)


def without_result(row: dict[Any, Any], keys: list[str]) -> str:
    """One line about a run that has no result."""
    point, error = in_words(row, keys), given(row["error"])
    return f"- {row['folder']}{f' ({point})' if point else ''}{f': {error}' if error else ''}"


def by_configuration(rows: list[dict[Any, Any]], keys: list[str]) -> list[list[dict[Any, Any]]]:
    """Rows that agree in all keys, together."""
    found: dict[tuple[str, ...], list[dict[Any, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(str(given(row[key])) for key in keys), []).append(row)
    return list(found.values())


def summary(rows: list[dict[Any, Any]], column: str, keys: list[str]) -> Any:
    """A cell of one configuration: its setting, or mean ± standard deviation of a metric over its seeds."""
    if column == "seeds":
        return len(rows)
    values = [given(row[column]) for row in rows]
    if column in keys or column == "front":
        return values[0]
    if column == "folder":
        return " ".join(values)
    if any(value is None for value in values):
        return None
    if column in ("seconds", "best epoch"):
        return round(mean(values))
    if len(values) == 1:
        return values[0]
    return f"{mean(values):.4f} ± {stdev(values):.4f}"


def best(lines: list[list[dict[Any, Any]]], keys: list[str], aim: str) -> str:
    """The best configuration for all users and for each group, by the mean of the objective over seeds."""
    found = []
    for group in ("all users", *GROUPS[:-1]):
        column = aim if group == "all users" else f"{aim}/{group}"
        measured = [each for each in lines if all(given(row[column]) is not None for row in each)]
        if measured:
            top = max(measured, key=lambda each: mean([row[column] for row in each]))
            found.append(f"- {group}: {in_words(top[0], keys)} ({mean([row[column] for row in top]):.4f})")
    return "\n".join(found)


def in_words(row: dict[Any, Any], keys: list[str]) -> str:
    """The settings of a row in the words of the command line."""
    shown = {key: row[key] for key in keys if given(row[key]) is not None}
    return ", ".join(f"{k}={f'{v:.4g}' if isinstance(v, float) else v}" for k, v in shown.items())


def given(value: Any) -> Any:
    """A value of a data frame; None for any of its ways to say that there is none."""
    import pandas as pd

    return None if value is pd.NA or value != value else value


def write(runs: list[Run], folder: Path, objectives: Sequence[str] = OBJECTIVES, answer: str = "") -> str:
    """Write leaderboard.csv and leaderboard.md to `folder`, each whole or not at all; returns what to print.

    Args:
        answer: what stands below the tables.
    """
    frame = table(runs, objectives)
    text = "\n\n".join(part for part in (show(frame, objectives), answer) if part)
    csv = io.StringIO()
    frame.to_csv(csv, index=False)
    write_text(folder / "leaderboard.csv", csv.getvalue())
    write_text(folder / "leaderboard.md", f"# Leaderboard\n\n{text}\n")
    return text
