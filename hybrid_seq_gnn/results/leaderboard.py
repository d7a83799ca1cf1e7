"""The runs of a sweep in one table, best first by validation."""

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hybrid_seq_gnn.results.record import read_results, write_text
from hybrid_seq_gnn.results.tables import GROUPS, HEADLINE, markdown

VALIDATION = "validation NDCG@10"
HEADING = "Ordered by validation NDCG@10; all other metrics are of the test split."


@dataclass(frozen=True)
class Run:
    """One line of the leaderboard.

    Attributes:
        folder: name of the run folder.
        results: its results.json; None for a run without.
        error: why it has none.
        overrides: what the sweep set, for a run without results.
    """

    folder: str
    results: dict[str, Any] | None
    error: str | None = None
    overrides: dict[str, str] = field(default_factory=dict)


def read_runs(folder: Path) -> list[Run]:
    """Every run folder directly below `folder` that has results, in the order of their numbers.

    A results.json that cannot be read becomes a run with an error, and never a number.
    """
    runs = []
    for path in sorted(folder.glob("*/results.json"), key=lambda p: (len(p.parent.name), p.parent.name)):
        try:
            runs.append(Run(path.parent.name, read_results(path.parent)))
        except ValueError as error:
            runs.append(Run(path.parent.name, None, str(error)))
    return runs


def flatten(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b.c, value) of every setting."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            yield f"{prefix}{key}", value


def settings(results: dict[str, Any]) -> dict[str, Any]:
    """The options of the groups in use, and their settings."""
    options = {group: option for group, option in results["options"].items() if results["config"].get(group)}
    return {**options, **{key: value for key, value in flatten(results["config"]) if "." in key or key == "seed"}}


def differences(runs: Iterable[Run]) -> list[str]:
    """Settings that take more than one value among the runs that have them, groups first."""
    found = [settings(run.results) for run in runs if run.results is not None]
    keys = list(dict.fromkeys(key for one in found for key in one))
    differ = [key for key in keys if len({repr(one[key]) for one in found if key in one}) > 1]
    missing = [key for key in keys if "." not in key and any(key not in one for one in found)]
    return [key for key in keys if key in differ or (key in missing and not differ)]


def table(runs: list[Run]) -> pd.DataFrame:
    """A row a run, best validation first, runs without results last.

    Columns: rank, the settings that differ, alpha (mean over test users; empty for models that mix nothing), the
    validation metric, each headline metric overall (`HR@10`) and by group (`HR@10/short`), best epoch, seconds, status,
    error and folder.
    """
    keys = differences(runs) or sorted({key for run in runs for key in run.overrides})
    rows = []
    for run in runs:
        row: dict[str, Any] = {"rank": None}
        if run.results is None:
            row |= {key: run.overrides.get(key) for key in keys}
            row |= {"status": "failed", "error": run.error, "folder": run.folder}
        else:
            results = run.results
            mine, alpha = settings(results), results.get("alpha_stats")
            row |= {key: mine.get(key) for key in keys}
            row |= {"alpha": alpha["overall"]["mean"] if alpha else None, VALIDATION: results["best_val_metric"]}
            for group in ("overall", *GROUPS[:-1]):
                suffix = "" if group == "overall" else f"/{group}"
                row |= {f"{name}{suffix}": results["grouped_metrics"][group][name] for name in HEADLINE}
            row |= {"best epoch": results["best_epoch"], "seconds": results["seconds"]["total"]}
            row |= {"status": "done", "error": None, "folder": run.folder}
        rows.append(row)
    columns = ["rank", *keys, "alpha", VALIDATION]
    columns += [f"{name}{suffix}" for suffix in ("", "/short", "/medium", "/long") for name in HEADLINE]
    columns += ["best epoch", "seconds", "status", "error", "folder"]
    rows.sort(key=lambda row: -row.get(VALIDATION, -math.inf))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank if row["status"] == "done" else None
    frame = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)
    return frame.astype({"rank": "Int64", "best epoch": "Int64"})


def show(frame: pd.DataFrame) -> str:
    """The leaderboard to read, in Markdown: all users, then by history length, then what failed."""
    done = frame[frame["status"] == "done"]
    keys = list(frame.columns[1 : frame.columns.get_loc("alpha")])
    shown = ["rank", *keys]
    if done["alpha"].notna().any() and "fusion.alpha" not in keys:
        shown.append("alpha")

    def rows(columns: list[str]) -> list[list[Any]]:
        return [[None if pd.isna(value) else value for value in row] for row in done[columns].to_numpy(dtype=object)]

    overall = [*shown, VALIDATION, "NDCG@10", "HR@10", "MRR@10", "best epoch", "seconds", "folder"]
    parts = [HEADING]
    if len(done):
        body = [[*row[:-2], f"{row[-2]:.0f}", row[-1]] for row in rows(overall)]
        parts += [markdown(overall, body)]
        names = [f"{name}/{group}" for name in ("NDCG@10", "HR@10", "MRR@10") for group in GROUPS[:-1]]
        parts += ["By length of the history:", markdown([*shown, *names], rows([*shown, *names]))]
    failed = frame[frame["status"] == "failed"]
    if len(failed):
        parts += ["Failed:", *(f"- {row['folder']}: {row['error']}" for _, row in failed.iterrows())]
    return "\n\n".join(parts)


def write(runs: list[Run], folder: Path) -> str:
    """Write leaderboard.csv and leaderboard.md to `folder`, each whole or not at all; returns what to print."""
    frame = table(runs)
    text = show(frame)
    csv = io.StringIO()
    frame.to_csv(csv, index=False)
    write_text(folder / "leaderboard.csv", csv.getvalue())
    write_text(folder / "leaderboard.md", f"# Leaderboard\n\n{text}\n")
    return text
