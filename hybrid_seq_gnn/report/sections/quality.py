"""Every configuration, best on validation first, and all comparisons with the baseline."""

from hybrid_seq_gnn.compare.render import cells
from hybrid_seq_gnn.compare.sentences import verdict
from hybrid_seq_gnn.evaluation.metrics import METRIC, METRICS
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.labels import Number, interval, number, p_value, spread

MARKS = {"better": "▲ better", "worse": "▼ worse", "not significant": "· not significant"}


def write(section: Section, facts: Facts) -> None:
    others = METRICS[1:]
    header = ["configuration", "seeds", f"validation {METRIC}", METRIC, "− baseline", "p (Holm)", "verdict", *others]
    rows = []
    for one in facts.configurations:
        row = facts.row(one.name)
        if row is None:
            compared = [Number("–"), Number("–"), "baseline" if one is facts.baseline else "not compared"]
        else:
            difference = f"{number(row['difference'], '+.4f')} ({interval(row['low'], row['high'])})"
            compared = [Number(difference), p_value(row["p_holm"]), verdict_with_mark(row)]
        measured = [spread([run.validation for run in one.runs]), spread(one.over_seeds(METRIC))]
        rows.append([one.name, len(one.runs), *measured, *compared, *(one.mean(metric) for metric in others)])
    note = (
        "Best on validation first; metrics are of the test split, mean ± standard deviation over seeds; the difference "
        "with its 95 % interval (bootstrap over users). ▲ ▼: significant at 0.05 after Holm's correction over all "
        "configurations. Length groups and other metrics, below, are corrected apart."
    )
    section.table(header, rows, note=note)
    if facts.comparison is not None:
        for metric, found in facts.comparison.groupby("metric", sort=False):
            section.table(*cells(found, 0.05, whole=True), summary=f"All comparisons on {metric}, by group")


def verdict_with_mark(row: object) -> str:
    """The verdict on a row of a comparison, with a sign that stands out."""
    return MARKS.get(verdict(row), verdict(row))
