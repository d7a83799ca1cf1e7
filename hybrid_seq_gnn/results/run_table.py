"""What a run says at its end: its test metrics, and whether it is better than its encoder alone."""

from collections.abc import Mapping
from typing import Any

from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL, LengthGroups
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.results.labels import Number, cell, interval, p_value, percent
from hybrid_seq_gnn.results.runs import HEADLINE
from hybrid_seq_gnn.results.tables import markdown

ALPHA = 0.05
ROWS = (*GROUPS[1:], OVERALL)


def run_table(results: dict[str, Any]) -> str:
    """Test metrics of one run by history length, and the comparison with its encoder alone where there is one."""
    alpha = results.get("alpha_stats")
    header = ["test users", "count", *HEADLINE, *(["mean alpha"] if alpha else [])]
    rows = []
    for group in ROWS:
        found = results["grouped_metrics"][group]
        row = [group, found["count"], *(found[name] for name in HEADLINE)]
        rows.append([*row, alpha[group]["mean"]] if alpha else row)
    validation = results["validation_grouped_metrics"][OVERALL][METRIC]  # training may have looked at a sample of users
    best = f"best epoch {results['best_epoch']}, validation {METRIC} {cell(validation)}"
    parts = [f"{markdown(header, rows)}\n{best}, {results['seconds']['total']:.0f} s"]
    if (baseline := results.get("baseline")) is not None:
        parts += [baseline_table(baseline), answer(baseline["metrics"][METRIC], "The hybrid")]
    return "\n\n".join(parts)


def baseline_table(baseline: dict[str, Any]) -> str:
    """The difference from the encoder alone, overall and by history length."""
    header = ["test users", "encoder alone", "hybrid", "difference", "95 % interval", "p (Holm)"]
    rows = []
    for group in ROWS:
        found = baseline["metrics"][METRIC][group]
        rows.append([group, found["baseline"], found["hybrid"], *difference_cells(found)])
    where = f"{METRIC} on test, against the encoder alone (model={baseline['model']}, {baseline['folder']}):"
    return f"{where}\n\n{markdown(header, rows)}"


def difference_cells(row: Mapping[Any, Any]) -> list[Number]:
    """+8.1 %, +5.3 to +11.0 %, p after Holm's correction: a hybrid against its encoder alone."""
    low, high = (None if row[end] is None else 100 * row[end] for end in ("low", "high"))
    return [percent(row["relative"]), interval(low, high, "+.1f", " %"), p_value(row["p_holm"])]


def answer(rows: Mapping[Any, Mapping[Any, Any]], who: str) -> str:
    """One sentence: is a hybrid better than its encoder alone, by how much, and for whom?

    Args:
        rows: by group, with users, relative difference, its interval and p_holm.
        who: what it is called.
    """
    overall = rows["overall"]
    change, ends, p = difference_cells(overall)
    if overall["p_holm"] is None:
        return f"{who}: nothing can be tested against its encoder alone: {untested(overall)} ({change} {METRIC})."
    say = f"{change} {METRIC} (95 % interval {ends}, p {p})"
    if not significant(overall):
        return f"{who}: no difference from its encoder alone can be told, {say}."
    word = "better" if overall["difference"] > 0 else "worse"
    groups = {name: rows[name] for name in LengthGroups.names if rows[name]["users"]}
    clear = [f"{name} {percent(row['relative'])}" for name, row in groups.items() if significant(row)]
    unclear = [name for name, row in groups.items() if not significant(row)]
    parts = [f"for {', '.join(clear)}"] if clear else []
    all_unclear = " and ".join(filter(None, [", ".join(unclear[:-1]), *unclear[-1:]]))
    parts += [f"for {all_unclear} histories alone nothing can be told"] if unclear else []
    return f"{who}: {word} than its encoder alone, {say}; {'; '.join(parts)}."


def untested(row: Mapping[Any, Any]) -> str:
    """Why a row of a comparison has no p."""
    return "all users have the same difference" if row["users"] > 1 else "fewer than two users"


def significant(row: Mapping[Any, Any]) -> bool:
    """Whether a difference is told from none at 5 %, after Holm's correction."""
    return row["p_holm"] is not None and row["p_holm"] < ALPHA
