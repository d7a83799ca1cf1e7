"""What a run says at its end: its test metrics, and whether it is better than its encoder alone."""

from typing import Any

from hybrid_seq_gnn.results.tables import GROUPS, HEADLINE, Number, cell, markdown

ALPHA = 0.05
METRIC = "NDCG@10"


def run_table(results: dict[str, Any]) -> str:
    """Test metrics of one run by history length, and the comparison with its encoder alone where there is one."""
    alpha = results.get("alpha_stats")
    header = ["test users", "count", *HEADLINE, *(["mean alpha"] if alpha else [])]
    rows = []
    for group in GROUPS:
        found = results["grouped_metrics"][group]
        row = [group, found["count"], *(found[name] for name in HEADLINE)]
        rows.append([*row, alpha[group]["mean"]] if alpha else row)
    best = f"best epoch {results['best_epoch']}, validation NDCG@10 {cell(results['best_val_metric'])}"
    parts = [f"{markdown(header, rows)}\n{best}, {results['seconds']['total']:.0f} s"]
    if (baseline := results.get("baseline")) is not None:
        parts += [baseline_table(baseline), verdict(baseline["metrics"][METRIC], "The hybrid")]
    return "\n\n".join(parts)


def baseline_table(baseline: dict[str, Any]) -> str:
    """The difference from the encoder alone, overall and by history length."""
    header = ["test users", "encoder alone", "hybrid", "difference", "95 % interval", "p (Holm)"]
    rows = []
    for group in GROUPS:
        found = baseline["metrics"][METRIC][group]
        change, interval = percent(found["relative"]), interval_of(found)
        rows.append([group, found["baseline"], found["hybrid"], Number(change), Number(interval), p_of(found)])
    where = f"{METRIC} on test, against the encoder alone (model={baseline['model']}, {baseline['folder']}):"
    return f"{where}\n\n{markdown(header, rows)}"


def verdict(rows: dict[str, dict[str, Any]], who: str) -> str:
    """One sentence: is a hybrid better than its encoder alone, by how much, and for whom?

    Args:
        rows: by group, with relative difference, its interval and p_holm.
        who: what it is called.
    """
    overall = rows["overall"]
    say = f"{percent(overall['relative'])} {METRIC} (95 % interval {interval_of(overall)}, p {p_of(overall)})"
    if not significant(overall):
        return f"{who}: no difference from its encoder alone can be told, {say}."
    word = "better" if overall["difference"] > 0 else "worse"
    groups = {name: rows[name] for name in GROUPS[:-1] if rows[name]["users"]}
    clear = [f"{name} {percent(row['relative'])}" for name, row in groups.items() if significant(row)]
    unclear = [name for name, row in groups.items() if not significant(row)]
    parts = [f"for {', '.join(clear)}"] if clear else []
    parts += [f"for {' and '.join(unclear)} histories alone nothing can be told"] if unclear else []
    return f"{who}: {word} than its encoder alone, {say}; {'; '.join(parts)}."


def significant(row: dict[str, Any]) -> bool:
    """Whether a difference is told from none at 5 %, after Holm's correction."""
    return row["p_holm"] is not None and row["p_holm"] < ALPHA


def percent(share: float | None) -> str:
    """+8.1 %, of the baseline."""
    return "–" if share is None else f"{100 * share:+.1f} %"


def interval_of(row: dict[str, Any]) -> str:
    """+5.3 to +11.0 %."""
    return "–" if row["low"] is None else f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f} %"


def p_of(row: dict[str, Any]) -> str:
    """The corrected p, to read."""
    p = row["p_holm"]
    return Number("–" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1")
