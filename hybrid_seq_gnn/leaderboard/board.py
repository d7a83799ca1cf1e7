"""The leaderboard of one sweep: its runs in one table, best first by validation, and what has no result."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.evaluation.metrics import METRIC, METRICS
from hybrid_seq_gnn.files import short_path, write_text
from hybrid_seq_gnn.results.labels import Number, number, spread, value_in_words, words
from hybrid_seq_gnn.results.load import by_number
from hybrid_seq_gnn.results.runs import HEADLINE, FinishedRun, by_group, read_run
from hybrid_seq_gnn.results.tables import csv_of, markdown

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

OBJECTIVES = (METRIC,)
TITLES = {
    "running": "Running:",
    "pruned": "Pruned:",
    "failed": "Failed (train.log in the run folder says where):",
}
DIFFERENT_DATA = (
    "These runs have different data, each with its own ranks; metrics of different data cannot be compared."
)
STATUSES = ("done", *TITLES)
Row = dict[Any, Any]


@dataclass(frozen=True)
class Entry:
    """A line of the leaderboard: the name of its folder and a finished run, or what is known without results here."""

    folder: str
    run: FinishedRun | None
    error: str | None = None  # why there are no results
    overrides: dict[str, str] = field(default_factory=dict)  # what the sweep set
    status: str | None = None  # None is done with results and failed without
    values: tuple[float, ...] = ()  # the objectives, as far as the sweep knows them

    @property
    def settings(self) -> dict[str, Any]:
        return self.overrides if self.run is None else self.run.every_setting


def read_entries(folder: Path) -> list[Entry]:
    """Every run folder directly below `folder` that has results, in the order of their numbers.

    A results.json that cannot be read, or lacks something, becomes an entry with an error, and never a number.
    """
    entries = []
    for path in sorted(folder.glob("*/results.json"), key=by_number):
        try:
            entries.append(Entry(path.parent.name, read_run(path.parent)))
        except ValueError as error:
            entries.append(Entry(path.parent.name, None, str(error)))
    return entries


def differences(entries: Sequence[Entry]) -> list[str]:
    """Settings that take more than one value among the entries that have them, groups first.

    Of a run without results only what the sweep set is known.
    """
    done = [entry.settings for entry in entries if entry.run is not None]
    known = [*done, *(entry.overrides for entry in entries if entry.run is None)]
    keys = list(dict.fromkeys(key for one in known for key in one))
    differ = [key for key in keys if len({str(one[key]) for one in known if key in one}) > 1]
    missing = [key for key in keys if "." not in key and any(key not in one for one in done)]
    return differ or missing or sorted({key for entry in entries for key in entry.overrides})


def on_front(values: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the Pareto front: no other is at least as good in all objectives and better in one."""

    def beaten(mine: Sequence[float]) -> bool:
        return any(all(o >= m for o, m in zip(other, mine, strict=True)) and other != mine for other in values)

    return [not beaten(mine) for mine in values]


def table(entries: Sequence[Entry], objectives: Sequence[str] = OBJECTIVES) -> "pd.DataFrame":
    """A row a run, best validation first, then what is running, pruned or failed; runs of the same data together.

    Columns: rank among the runs of the same split, the settings that differ, alpha (mean over test users; empty for
    models that mix nothing), the objectives on validation (`validation NDCG@10`), with several whether the mean
    over seeds is on their Pareto front, each headline metric of the test split overall (`HR@10`) and by group
    (`HR@10/short`), the validation metric by group, best epoch, seconds, split (its hash), status, error and folder.
    """
    import pandas as pd

    keys = differences(entries)
    aims = [f"validation {objective}" for objective in objectives]
    by_length = [f"{aims[0]}/{group}" for group in LengthGroups.names] if "/" not in objectives[0] else []
    measured = list(dict.fromkeys([*aims, *by_group(HEADLINE), *by_length]))
    rows: list[Row] = []
    for entry in entries:
        row = {key: entry.settings.get(key) for key in keys} | {"error": entry.error, "folder": entry.folder}
        row["status"] = entry.status or ("failed" if entry.run is None else "done")
        row["split"] = None if entry.run is None else entry.run.split_hash[:12]
        if entry.run is None:
            row |= dict(zip(aims, entry.values, strict=False))
        else:
            row |= {name: entry.run.metric(name) for name in measured} | {"alpha": entry.run.alpha}
            row |= {"best epoch": entry.run.results["best_epoch"], "seconds": entry.run.results["seconds"]["total"]}
        rows.append(row)
    if len(known_splits := {row["split"] for row in rows} - {None}) == 1:  # a run with its results elsewhere has it too
        rows = [row | {"split": min(known_splits)} for row in rows]
    splits = [row["split"] for row in rows]
    rows.sort(key=lambda row: (STATUSES.index(row["status"]), splits.index(row["split"]), -known(row.get(aims[0]))))
    done = [row for row in rows if row["status"] == "done"]
    for row, rank in zip(done, ranks([row["split"] for row in done]), strict=True):
        row["rank"] = rank
    if len(aims) > 1:
        repeats = by_settings(done, [key for key in keys if key != "seed"])
        front = on_front([[mean(known(row.get(aim)) for row in each) for aim in aims] for each in repeats])
        for each, mark in zip(repeats, front, strict=True):
            for row in each:
                row["front"] = "yes" if mark else "no"
    columns = ["rank", *keys, "alpha", *aims, *(["front"] if len(aims) > 1 else []), *measured[len(aims) :]]
    columns += ["best epoch", "seconds", "split", "status", "error", "folder"]
    frame = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)
    return frame.astype({"rank": "Int64", "best epoch": "Int64"})


def known(value: float | None) -> float:
    """A metric, or less than any where there is none."""
    return float("-inf") if value is None else value


def ranks(splits: Iterable[str | None]) -> list[int]:
    """1, 2, ... within each split."""
    places: Counter[str | None] = Counter()
    found = []
    for split in splits:
        places[split] += 1
        found.append(places[split])
    return found


def show(frame: "pd.DataFrame", objectives: Sequence[str] = OBJECTIVES) -> str:
    """The leaderboard to read, in Markdown: all users, then by history length, then what has no result.

    Runs that differ in nothing but their seed are one line, with mean ± standard deviation (n - 1) over the seeds. Of
    runs with different data, none is called the best.
    """
    aims = [f"validation {objective}" for objective in objectives]
    varied = list(frame.columns[1 : frame.columns.get_loc("alpha")])
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    done = [row for row in rows if row["status"] == "done"]
    keys = varied
    lines = by_settings(done, [key for key in keys if key != "seed"])
    named = {row.get("name") for row in done}
    if "name" in keys and None not in named and len(named) == len(lines):  # the name says all
        keys = [key for key in ("name", "seed") if key in keys]
    splits = [row["split"] for row in done]
    lines.sort(key=lambda each: (splits.index(each[0]["split"]), -mean(known(row[aims[0]]) for row in each)))
    repeated = any(len(each) > 1 for each in lines)
    if repeated:
        keys = [key for key in keys if key != "seed"]
    heading = f"Ordered by {aims[0]}; all other metrics are of the test split."
    parts = [heading + " Mean ± standard deviation over seeds." if repeated else heading]
    parts += [DIFFERENT_DATA] if len(set(splits)) > 1 else []
    if lines:
        mixes = any(row["alpha"] is not None for row in done) and "fusion.alpha" not in keys
        settings = [*keys, *(["seeds"] if repeated else []), *(["alpha"] if mixes else [])]
        front = ["front"] if len(aims) > 1 else []
        overall = list(dict.fromkeys([*settings, *aims, *front, *METRICS, "best epoch", "seconds", "folder"]))
        grouped = [*settings, *(f"{name}/{group}" for name in METRICS for group in LengthGroups.names)]
        parts += [ranked_table(lines, overall, keys), "The same test metrics @10 by length of the history:"]
        parts += [ranked_table(lines, grouped, keys)]
        if len(set(splits)) == 1 and len(lines) > 1 and keys and "/" not in objectives[0]:
            parts += [f"Best by {aims[0]}:", best(lines, keys, aims[0])]
    for status, title in TITLES.items():
        if found := [row for row in rows if row["status"] == status]:
            parts += [title, "\n".join(without_result(row, varied) for row in found)]
    return "\n\n".join(parts)


def by_settings(rows: Iterable[Row], keys: Sequence[str]) -> list[list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
    return list(found.values())


def ranked_table(lines: Sequence[Sequence[Row]], columns: Sequence[str], keys: Sequence[str]) -> str:
    """A line a configuration; the headers of test metrics by group are short enough for a terminal."""
    places = ranks(each[0]["split"] for each in lines)
    body = [[k, *(summary(each, column, keys) for column in columns)] for k, each in zip(places, lines, strict=True)]
    header = [column if column.startswith("validation") else column.replace("@10/", " ") for column in columns]
    return markdown(["rank", *header], body)


def summary(rows: Sequence[Row], column: str, keys: Sequence[str]) -> Any:
    """A cell of one configuration: its setting, or mean ± standard deviation of a metric over its seeds."""
    values: list[Any] = [row.get(column) for row in rows]
    if column == "seeds":
        return len(rows)
    if column in keys:
        return Number(value_in_words(values[0])) if isinstance(values[0], float) else values[0]
    if column in ("front", "folder"):
        return " ".join(values[:1] if column == "front" else values)
    if column in ("seconds", "best epoch"):
        return None if None in values else round(mean(values))
    return spread(values)


def best(lines: Sequence[Sequence[Row]], keys: Sequence[str], aim: str) -> str:
    """The best configuration for all users and for each group, by the mean of the objective over seeds."""
    found = []
    for group in ("all users", *LengthGroups.names):
        column = aim if group == "all users" else f"{aim}/{group}"
        measured = [each for each in lines if all(row[column] is not None for row in each)]
        if measured:
            top = max(measured, key=lambda each: mean(row[column] for row in each))
            found.append(f"- {group}: {row_in_words(top[0], keys)} ({number(mean(row[column] for row in top))})")
    return "\n".join(found)


def row_in_words(row: Row, keys: Sequence[str]) -> str:
    return words([(key, row[key]) for key in keys if row[key] is not None])


def without_result(row: Row, keys: Sequence[str]) -> str:
    point, error = row_in_words(row, keys), row["error"]
    return f"- {row['folder']}{f' ({point})' if point else ''}{f': {error}' if error else ''}"


def write(entries: Sequence[Entry], folder: Path, objectives: Sequence[str] = OBJECTIVES, answer: str = "") -> str:
    """Write leaderboard.csv and leaderboard.md to `folder`, each whole or not at all; returns what to print.

    If one cannot be written, that is a warning: it can be made again from the runs.

    Args:
        answer: what stands below the tables.
    """
    frame = table(entries, objectives)
    text = "\n\n".join(part for part in (show(frame, objectives), answer) if part)
    written = []
    for name, content in (("leaderboard.md", f"# Leaderboard\n\n{text}\n"), ("leaderboard.csv", csv_of(frame))):
        try:
            write_text(folder / name, content)
            written.append(name)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            log.warning("cannot write %s: %s. The runs are not affected.", short_path(folder / name), reason)
    return f"{text}\n\nwritten to {short_path(folder)}/{' and '.join(written)}" if written else text
