"""The runs of a sweep in one table, best first by validation."""

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.results.record import read_results, write_text
from hybrid_seq_gnn.results.tables import GROUPS, HEADLINE, markdown

if TYPE_CHECKING:
    import pandas as pd

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
    """Settings that take more than one value among the runs that have them, groups first.

    Of a run without results only what the sweep set is known.
    """
    runs = list(runs)
    done = [settings(run.results) for run in runs if run.results is not None]
    known = [*done, *(run.overrides for run in runs if run.results is None)]
    keys = list(dict.fromkeys(key for one in known for key in one))
    differ = [key for key in keys if len({str(one[key]) for one in known if key in one}) > 1]
    missing = [key for key in keys if "." not in key and any(key not in one for one in done)]
    return differ or missing


def numbers(results: dict[str, Any]) -> dict[str, Any]:
    """The columns of the leaderboard that a run measured.

    Raises:
        ValueError: the validation metric is not a number.
    """
    if not math.isfinite(results["best_val_metric"]):
        raise ValueError(f"validation NDCG@10 is {results['best_val_metric']}.")
    alpha = results.get("alpha_stats")
    found = {"alpha": alpha["overall"]["mean"] if alpha else None, VALIDATION: results["best_val_metric"]}
    for group in ("overall", *GROUPS[:-1]):
        suffix = "" if group == "overall" else f"/{group}"
        found |= {f"{name}{suffix}": results["grouped_metrics"][group][name] for name in HEADLINE}
    for group, measured in results.get("validation_grouped_metrics", {}).items():
        if group != "overall":
            found[f"{VALIDATION}/{group}"] = measured["NDCG@10"]
    return found | {"best epoch": results["best_epoch"], "seconds": results["seconds"]["total"]}


def table(runs: list[Run]) -> "pd.DataFrame":
    """A row a run, best validation first, runs without results last.

    Columns: rank, the settings that differ, alpha (mean over test users; empty for models that mix nothing), the
    validation metric, each headline metric overall (`HR@10`) and by group (`HR@10/short`), the validation metric by
    group, best epoch, seconds, status, error and folder.
    """
    import pandas as pd

    keys = differences(runs) or sorted({key for run in runs for key in run.overrides})
    rows = []
    for run in runs:
        row: dict[str, Any] = {"status": "failed", "error": run.error, "folder": run.folder}
        if run.results is None:
            row |= {key: run.overrides.get(key) for key in keys}
        else:
            mine = settings(run.results)
            row |= {key: mine.get(key) for key in keys} | numbers(run.results) | {"status": "done"}
        rows.append(row)
    columns = ["rank", *keys, "alpha", VALIDATION]
    columns += [f"{name}{suffix}" for suffix in ("", "/short", "/medium", "/long") for name in HEADLINE]
    columns += [f"{VALIDATION}/{group}" for group in GROUPS[:-1]]
    columns += ["best epoch", "seconds", "status", "error", "folder"]
    rows.sort(key=lambda row: -row.get(VALIDATION, -math.inf))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank if row["status"] == "done" else None
    frame = pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns)
    return frame.astype({"rank": "Int64", "best epoch": "Int64"})


def show(frame: "pd.DataFrame") -> str:
    """The leaderboard to read, in Markdown: all users, then by history length, then what failed."""
    done, failed = frame[frame["status"] == "done"], frame[frame["status"] == "failed"]
    keys = list(frame.columns[1 : frame.columns.get_loc("alpha")])
    shown = ["rank", *keys]
    if done["alpha"].notna().any() and "fusion.alpha" not in keys:
        shown.append("alpha")

    def rows(columns: list[str]) -> list[list[Any]]:
        return [[given(value) for value in row] for row in done[columns].to_numpy(dtype=object)]

    parts = [HEADING]
    if len(done):
        overall = [*shown, VALIDATION, "NDCG@10", "HR@10", "MRR@10", "best epoch", "seconds", "folder"]
        body = [[*row[:-2], round(row[-2]), row[-1]] for row in rows(overall)]
        by_length = [f"{name}/{group}" for name in ("NDCG@10", "HR@10", "MRR@10") for group in GROUPS[:-1]]
        header = [*shown, *(name.replace("@10/", " ") for name in by_length)]  # short enough for a terminal
        parts += [markdown(overall, body), "The same test metrics @10 by length of the history:"]
        parts += [markdown(header, rows([*shown, *by_length]))]
        if len(done) > 1 and keys:
            parts += [f"Best by {VALIDATION}:", best(done, keys)]
    if len(failed):
        lines = []
        for row in failed.to_dict("records"):
            point = in_words(row, keys)
            lines.append(f"- {row['folder']}{f' ({point})' if point else ''}: {row['error']}")
        parts += ["Failed (train.log in the run folder says where):", "\n".join(lines)]
    return "\n\n".join(parts)


def best(done: "pd.DataFrame", keys: list[str]) -> str:
    """The best run for all users and for each group, by validation."""
    found = []
    for group in ("all users", *GROUPS[:-1]):
        column = VALIDATION if group == "all users" else f"{VALIDATION}/{group}"
        rows = [row for row in done.to_dict("records") if given(row[column]) is not None]
        if rows:
            row = max(rows, key=lambda row: row[column])
            found.append(f"- {group}: {in_words(row, keys)} ({row[column]:.4f})")
    return "\n".join(found)


def in_words(row: dict[Any, Any], keys: list[str]) -> str:
    """The settings of a row in the words of the command line."""
    return ", ".join(f"{key}={row[key]}" for key in keys if given(row[key]) is not None)


def given(value: Any) -> Any:
    """A value of a data frame; None for any of its ways to say that there is none."""
    import pandas as pd

    return None if value is pd.NA or value != value else value


def write(runs: list[Run], folder: Path) -> str:
    """Write leaderboard.csv and leaderboard.md to `folder`, each whole or not at all; returns what to print."""
    frame = table(runs)
    text = show(frame)
    csv = io.StringIO()
    frame.to_csv(csv, index=False)
    write_text(folder / "leaderboard.csv", csv.getvalue())
    write_text(folder / "leaderboard.md", f"# Leaderboard\n\n{text}\n")
    return text
