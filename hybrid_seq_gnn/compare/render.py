"""A comparison in Markdown, for a terminal or whole, and in LaTeX."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.compare.sentences import findings, verdict
from hybrid_seq_gnn.compare.table import BY_LENGTH, EXPLORATORY, FAMILIES, PRIMARY
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import counted, interval, number, p_value, percent
from hybrid_seq_gnn.results.tables import latex, left_out_paragraphs, markdown

if TYPE_CHECKING:
    import pandas as pd

ONLY_WHOLE = ("seeds", "sd over seeds", "relative interval", "p (t)", "p (flips)", "d_z", "wins/ties/losses")


def report(
    found: "pd.DataFrame",
    baseline: Configuration,
    others: Sequence[Configuration],
    notes: Sequence[str],
    *,
    alpha: float,
    two_level: bool,
    whole: bool,
) -> str:
    """The comparison in Markdown: a table a metric, then what it says.

    Args:
        whole: all columns, for a file; else what fits a terminal.
    """
    folders = [str(run.folder) for run in baseline.runs]
    where = ", ".join([*folders[:3], *(["…"] if folders[3:] else [])])
    seeds = f"{counted(len(folders), 'seed')} ({where})"
    parts = [f"Baseline: {baseline.name}, {seeds}. Test split; all differences are to the baseline, user by user."]
    for metric, rows in found.groupby("metric", sort=False):
        parts += [f"{metric}:", markdown(*cells(rows, alpha, whole=whole))]
    said = findings(found, baseline, others, alpha=alpha, two_level=two_level)
    parts += [
        f"p (Holm) is corrected within each family: {families(found)}. Groups are tested only where a configuration "
        "differs overall. detectable: the true difference that 8 of 10 such samples would find, before any correction.",
        "\n".join(f"- {line}" for line in said),
    ]
    return "\n\n".join([*parts, *left_out_paragraphs(notes)])


def families(found: "pd.DataFrame") -> str:
    """The families of a comparison and their sizes: primary (NDCG@10 overall; 3 tests), by length (9 tests)."""
    tested = found[found["p_holm"].notna()]
    first = found["metric"].iloc[0]
    notes = {PRIMARY: f"{first} overall; ", BY_LENGTH: f"{first}; ", EXPLORATORY: ""}
    counts = [(name, int((tested["family"] == name).sum())) for name in FAMILIES]
    return ", ".join(f"{name} ({notes[name]}{counted(n, 'test')})" for name, n in counts if n) or "none"


def cells(rows: "pd.DataFrame", alpha: float, *, whole: bool) -> tuple[list[str], list[list[Any]]]:
    lines = [
        {
            "configuration": row["name"],
            "group": row["group"],
            "users": row["users"],
            "seeds": row["seeds"],
            "baseline": number(row["baseline"]),
            "mean": number(row["mean"]),
            "sd over seeds": number(row["sd_over_seeds"]),
            "difference": number(row["difference"], "+.4f"),
            f"{100 * (1 - alpha):g} % interval": interval(row["low"], row["high"]),
            "relative": percent(row["relative"]),
            "relative interval": interval(100 * row["relative_low"], 100 * row["relative_high"], "+.1f", " %"),
            "p (t)": p_value(row["p_t"]),
            "p (flips)": p_value(row["p_permutation"]),
            "p (Holm)": p_value(row["p_holm"]),
            "d_z": number(row["effect_size"], "+.3f"),
            "detectable": number(row["minimum_detectable"]),
            "wins/ties/losses": f"{row['wins']}/{row['ties']}/{row['losses']}",
            "verdict": verdict(row),
        }
        for row in rows.to_dict("records")
    ]
    header = [key for key in lines[0] if whole or key not in ONLY_WHOLE]
    return header, [[line[key] for key in header] for line in lines]


def latex_tables(found: "pd.DataFrame", alpha: float) -> str:
    """One LaTeX table a metric, with the columns that fit a page; the CSV has all."""
    tables = []
    for metric, rows in found.groupby("metric", sort=False):
        tables.append(f"% {metric}; needs \\usepackage{{booktabs}}\n{latex(*cells(rows, alpha, whole=False))}\n")
    return "\n".join(tables)
