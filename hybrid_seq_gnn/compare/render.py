"""The command `compare`: from paths to tables, three files and what they say."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.compare.sentences import findings, verdict
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.files import write_text
from hybrid_seq_gnn.results.command import select
from hybrid_seq_gnn.results.runs import Configuration, grouped, load, named, require_comparable
from hybrid_seq_gnn.results.tables import Number, latex, markdown

if TYPE_CHECKING:
    import pandas as pd

FILES = ("compare.csv", "compare.md", "compare.tex")


@dataclass(frozen=True)
class Sides:
    """Who is compared with whom.

    Attributes:
        baseline, others: configurations, their names unique among all of them.
        notes: what was left out or chosen on the way.
    """

    baseline: Configuration
    others: list[Configuration]
    notes: list[str]


def sides(paths: Sequence[str], baseline: Sequence[str] = ()) -> Sides:
    """The baseline and the others: by default the first path is the baseline.

    Args:
        paths: run folders, sweep folders or globs.
        baseline: filters `KEY=VALUE`; with them the baseline is the one configuration of all paths that satisfies them.

    Raises:
        ValueError: there is not exactly one baseline, nothing to compare it with, or not everything can be compared.
    """
    found = load(paths)
    require_comparable(found.runs)
    chosen = select(found.runs, baseline, "--baseline") if baseline else load(paths[:1]).runs
    inside = {run.folder.resolve() for run in chosen}
    bases, notes = grouped(chosen)
    rest, more_notes = grouped([run for run in found.runs if run.folder.resolve() not in inside])
    first, *others = named([*bases, *rest])
    if len(bases) > 1:
        listed = "".join(f"\n  {one.name}   in {one.runs[0].folder}" for one in (first, *others)[: len(bases)])
        raise ValueError(
            f"the baseline must be one configuration, and {' '.join(baseline) or paths[0]} has {len(bases)}:{listed}\n"
            "Name the folders of one of them, or choose one with --baseline KEY=VALUE."
        )
    if not others:
        raise ValueError(f"there is nothing to compare with the baseline, {first.name}: name more runs or sweeps.")
    return Sides(first, others, [*found.left_out, *notes, *more_notes])


def text(found: "pd.DataFrame", who: Sides, *, alpha: float, two_level: bool, whole: bool) -> str:
    """The comparison in Markdown: a table a metric, then what it says.

    Args:
        whole: all columns, for a file; else what fits a terminal.
    """
    base = who.baseline
    parts = [f"Baseline: {base.name}, {runs_of(base)}. Test split; all differences are to the baseline, user by user."]
    for metric, rows in found.groupby("metric", sort=False):
        parts += [f"{metric}:", markdown(*cells(rows, alpha, whole=whole))]
    said = findings(found, base, who.others, alpha=alpha, two_level=two_level)
    parts += [
        f"p (Holm) is corrected for all {found['p_holm'].notna().sum()} comparisons shown; detectable is the true "
        "difference that 8 of 10 such samples of users would find.",
        "\n".join(f"- {line}" for line in said),
    ]
    if who.notes:
        parts += ["Left out or replaced:", "\n".join(f"- {line}" for line in who.notes)]
    return "\n\n".join(parts)


def runs_of(configuration: Configuration) -> str:
    """How many seeds, and where."""
    folders = [str(run.folder) for run in configuration.runs]
    where = ", ".join([*folders[:3], *(["…"] if folders[3:] else [])])
    return f"{len(folders)} seed{'s' if folders[1:] else ''} ({where})"


def cells(rows: "pd.DataFrame", alpha: float, *, whole: bool) -> tuple[list[str], list[list[Any]]]:
    """Header and cells of one metric."""
    interval = f"{100 * (1 - alpha):g} % interval"
    header, body = [], []
    for row in rows.to_dict("records"):
        line = {
            "configuration": row["name"],
            "group": row["group"],
            "users": row["users"],
            "seeds": row["seeds"],
            "baseline": number(row["baseline"]),
            "mean": number(row["mean"]),
            "sd over seeds": number(row["sd_over_seeds"]),
            "difference": number(row["difference"], "+.4f"),
            interval: between(row["low"], row["high"], "+.4f"),
            "relative": number(100 * row["relative"], "+.1f", " %"),
            "relative interval": between(100 * row["relative_low"], 100 * row["relative_high"], "+.1f", " %"),
            "p (t)": p_value(row["p_t"]),
            "p (flips)": p_value(row["p_permutation"]),
            "p (Holm)": p_value(row["p_holm"]),
            "d_z": number(row["effect_size"], "+.3f"),
            "detectable": number(row["minimum_detectable"]),
            "wins/ties/losses": f"{row['wins']}/{row['ties']}/{row['losses']}",
            "verdict": verdict(row),
        }
        if not whole:
            line = {key: value for key, value in line.items() if key not in MORE}
        header = list(line)
        body.append(list(line.values()))
    return header, body


MORE = ("seeds", "sd over seeds", "relative interval", "p (t)", "p (flips)", "d_z", "wins/ties/losses")


def number(value: float, form: str = ".4f", unit: str = "") -> str:
    """A number as it stands in a table; a dash where there is none."""
    return Number("–" if value != value else f"{value:{form}}{unit}")


def between(low: float, high: float, form: str, unit: str = "") -> str:
    """An interval."""
    return Number("–" if low != low else f"{low:{form}} to {high:{form}}{unit}")


def p_value(p: float) -> str:
    """A p-value with four digits."""
    return Number("<0.0001" if p < 0.00005 else number(p))


def tex(found: "pd.DataFrame", alpha: float) -> str:
    """One LaTeX table a metric, with the columns that fit a page; the CSV has all."""
    tables = []
    for metric, rows in found.groupby("metric", sort=False):
        tables.append(f"% {metric}; needs \\usepackage{{booktabs}}\n{latex(*cells(rows, alpha, whole=False))}\n")
    return "\n".join(tables)


def run(
    paths: Sequence[str],
    *,
    baseline: Sequence[str],
    metrics: Sequence[str],
    groups: Sequence[str],
    alpha: float,
    resamples: int,
    seed: int,
    two_level: bool,
    output: Path,
) -> str:
    """Compare, write compare.csv, compare.md and compare.tex to `output`, and return what to print."""
    who = sides(paths, baseline)
    found = compare(
        who.baseline, who.others, metrics, groups, resamples=resamples, seed=seed, alpha=alpha, two_level=two_level
    )
    output.mkdir(parents=True, exist_ok=True)
    csv = io.StringIO()
    found.assign(baseline_name=who.baseline.name).to_csv(csv, index=False)
    whole = text(found, who, alpha=alpha, two_level=two_level, whole=True)
    for name, content in zip(FILES, (csv.getvalue(), f"# Comparison\n\n{whole}\n", tex(found, alpha)), strict=True):
        write_text(output / name, content)
    shown = text(found, who, alpha=alpha, two_level=two_level, whole=False)
    return f"{shown}\n\nwritten to {', '.join(str(output / name) for name in FILES)}"
