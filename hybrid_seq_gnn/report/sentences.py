"""The answer first: is it better, for whom, by how much, how sure? Sentences claim no more than the tests do."""

from typing import Any

import numpy as np

from hybrid_seq_gnn.compare.sentences import (
    WORTH_FINDING,
    fewer_trials,
    other_differences,
    other_seeds,
    verdict,
)
from hybrid_seq_gnn.compare.table import PRIMARY
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import counted, interval, p_value, percent
from hybrid_seq_gnn.results.run_table import untested

FEW = 30  # users: below, no mean says anything


def headline(facts: Facts) -> str:
    if facts.baseline is None:
        return "There is no baseline, so nothing is compared."
    if not facts.others:
        return f"There is only the baseline, {facts.baseline.name}, and nothing to compare it with."
    if facts.comparison is None:
        return "Nothing can be compared user by user; the runs lack their per-user data."
    best, base = facts.tested[0].name, facts.baseline.name
    row = facts.rows[best, METRIC, OVERALL]
    if row["significant"] is None:
        return f"It cannot be told: {best} and {base} cannot be tested against each other: {untested(row)}."
    if not row["significant"]:
        return f"No difference can be shown between {best} and the baseline {base}."
    by = "" if np.isnan(row["relative"]) else f", by {abs(100 * row['relative']):.1f} % in {METRIC}"
    answer = f"Yes: {best} is better" if row["difference"] > 0 else f"No: {best} is worse"
    return f"{answer} than the baseline {base}{by}."


def write(section: Section, facts: Facts) -> None:
    section.list(sentences(facts))
    if facts.notes:
        section.gap(" ".join(facts.notes))


def sentences(facts: Facts) -> list[str]:
    base, frame = facts.baseline, facts.comparison
    if base is None:
        return [facts.why_no_baseline]
    if frame is None:
        return []
    best = facts.tested[0]
    row, *by_group = (facts.rows[best.name, METRIC, group] for group in GROUPS)
    return [
        how_chosen(facts, best),
        overall(row, int(frame["p_holm"][frame["family"] == PRIMARY].notna().sum())),
        *map(for_whom, by_group),
        the_others(facts),
        how_sure(base, best, row),
        *fewer_trials(base, [best], facts.configurations),
        *other_seeds(base, [best]),
        *other_differences(base, [best]),
    ]


def how_chosen(facts: Facts, best: Configuration) -> str:
    """Which configuration the answer is about, and why that one."""
    count, tested = len(facts.others), len(facts.tested)
    chosen = "the only one besides the baseline" if count == 1 else f"the best of {count} on validation"
    if tested < count:
        chosen = f"the best on validation of the {tested} of {count} that could be tested"
    measured = f"validation {METRIC} {best.validation:.4f}"
    return f"The answer is about {best.name}, {chosen} ({measured}); nothing was chosen on test."


def overall(row: dict[Any, Any], comparisons: int) -> str:
    if row["significant"] is None:
        measured = f"{METRIC} {row['mean']:.4f} against {row['baseline']:.4f}"
        return f"All users: {measured}; nothing can be tested: {untested(row)}."
    corrected = f" after Holm's correction for {comparisons} configurations" if comparisons > 1 else ""
    sure = "" if row["significant"] else f" This is not significant: it may be chance.{uncorrected(row)}"
    return (
        f"All {row['users']:,} users: {METRIC} {row['mean']:.4f} against {row['baseline']:.4f}, {difference(row)}; "
        f"p {p_value(row['p_holm'])}{corrected}.{sure}"
    )


def uncorrected(row: dict[Any, Any]) -> str:
    """What to say of an interval without 0 that did not survive the correction; empty for any other."""
    if not (row["low"] > 0 or row["high"] < 0):
        return ""
    return (
        " Its interval leaves out 0, but intervals are not corrected for the other comparisons; some do so by chance."
    )


def difference(row: dict[Any, Any]) -> str:
    """A difference with its interval, and relative to the baseline where that exists."""
    text = f"a difference of {row['difference']:+.4f} (95 % interval {interval(row['low'], row['high'])}"
    return text + (")" if np.isnan(row["relative"]) else f"; {percent(row['relative'])})")


def for_whom(row: dict[Any, Any]) -> str:
    who = f"{row['group'].capitalize()} histories"
    if row["users"] == 0:
        return f"{who}: no test user has one, so nothing is known about them."
    users = counted(row["users"], "user")
    if row["significant"] is None:
        return f"{who} ({users}): nothing can be tested: {untested(row)}."
    word = {"better": "significantly better", "worse": "significantly worse"}.get(verdict(row), "not significant")
    text = f"{who} ({users}): {word}, {difference(row)}."
    if row["significant"]:
        return text
    if hint := uncorrected(row):
        return text + hint
    least = row["minimum_detectable"]
    share = least / row["baseline"] if row["baseline"] > 0 else np.inf
    found = f"{least:.4f}" + (f" ({100 * share:.0f} % of the baseline)" if np.isfinite(share) else "")
    would = f"a true difference of {found} would be found in 8 of 10 such samples, before any correction"
    if row["users"] < FEW or share > WORTH_FINDING:
        return f"{text} The group is too small to say anything: no less than {would}."
    return f"{text} {would.capitalize()}."


def the_others(facts: Facts) -> str:
    verdicts = {one.name: verdict(facts.row(one.name)) for one in facts.tested}
    better, worse = ([name for name in verdicts if verdicts[name] == word] for word in ("better", "worse"))
    text = f"Of {counted(len(verdicts), 'configuration')} compared with the baseline on {METRIC} of all users: "
    listed = f" ({'; '.join(better[:5])}{'; …' if better[5:] else ''})" if better else ""
    return f"{text}{len(better)} significantly better{listed}, {len(worse)} significantly worse."


def how_sure(base: Configuration, best: Configuration, row: dict[Any, Any]) -> str:
    """Seeds: how many, and how their spread compares with the difference."""
    if single := [one.name for one in (base, best) if len(one.runs) == 1]:
        return (
            f"One seed only: {' and '.join(single)}. How much another training would change is not known, and the "
            "tests speak of other users, not of another training."
        )
    spread = max(float(np.ptp(one.over_seeds(METRIC))) for one in (base, best))
    compared = "more than the difference itself" if spread > abs(row["difference"]) else "less than the difference"
    return (
        f"Seeds: {len(base.runs)} of the baseline, {len(best.runs)} of {best.name}, averaged per user before testing. "
        f"Between the seeds of one of them {METRIC} differs by up to {spread:.4f}, {compared}."
    )
