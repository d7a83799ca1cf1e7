"""What a comparison says, in plain sentences: better, worse, not significant, or not to be told with so few users."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import counted, differing, interval, percent, words

if TYPE_CHECKING:
    import pandas as pd

WORTH_FINDING = 0.1  # of the baseline: a group in which not even this much would be found says nothing


def verdict(row: Any) -> str:
    if row["users"] == 0:
        return "no users"
    if row["significant"] is None:
        return "cannot be tested"
    if not row["significant"]:
        return "not significant"
    return "better" if row["difference"] > 0 else "worse"


def findings(
    frame: "pd.DataFrame", baseline: Configuration, others: Sequence[Configuration], *, alpha: float, two_level: bool
) -> list[str]:
    """A sentence for everything that a reader must know to take the table for what it is, most important first."""
    said = [summary(frame[frame["name"] == other.name], other, alpha) for other in others]
    said += empty_groups(frame) + small_groups(frame) + same_for_all(frame)
    said += seeds(baseline, others, two_level) + other_seeds(baseline, others)
    said += fewer_trials(baseline, others, [baseline, *others])
    return said + other_differences(baseline, others)


def summary(rows: "pd.DataFrame", other: Configuration, alpha: float) -> str:
    """Where a configuration is better, where it is worse, and where it cannot be told."""
    by_verdict: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        what = f"{row['metric']} {row['group']}"
        if row["significant"]:
            low, high = (100 * row[end] for end in ("relative_low", "relative_high"))
            relative = "" if np.isnan(row["relative"]) else percent(row["relative"])
            if relative and not np.isnan(low):
                relative += f", {100 * (1 - alpha):g} % interval {interval(low, high, '+.1f', ' %')}"
            what += f" ({relative or format(row['difference'], '+.4f')})"
        by_verdict.setdefault(verdict(row), []).append(what)
    parts = []
    for word in ("better", "worse"):
        if word in by_verdict:
            parts.append(f"significantly {word} than the baseline in {', '.join(by_verdict[word])}")
    if not parts and "not significant" in by_verdict:
        parts = ["no significant difference from the baseline in anything that was tested"]
    elif "not significant" in by_verdict:
        parts.append(f"not significant in {', '.join(by_verdict['not significant'])}")
    return f"{other.name}: {'; '.join(parts) or 'nothing could be tested'}."


def empty_groups(frame: "pd.DataFrame") -> list[str]:
    names = frame.loc[frame["users"] == 0, "group"].drop_duplicates().tolist()
    return [f"{name}: no test user belongs to this group, so nothing is known about it." for name in names]


def small_groups(frame: "pd.DataFrame") -> list[str]:
    """Groups in which not even a difference worth finding would be found, with that which would."""
    said = []
    for group, of_group in frame.groupby("group", sort=False):
        parts, users = [], of_group["users"].iloc[0]
        if users == 1:
            said.append(f"{group}: one user; nothing can be tested.")
        for metric, rows in of_group.groupby("metric", sort=False):
            rows = rows[rows["significant"].isin([False]) & (rows["baseline"] > 0)]
            if len(rows):
                least = rows["minimum_detectable"].min()
                if (relative := least / rows["baseline"].iloc[0]) > WORTH_FINDING:
                    parts.append(f"{least:.4f} in {metric} ({100 * relative:.0f} % of the baseline)")
        if parts:
            said.append(
                f"{group}: {users:,} users are too few to say anything about small differences. Before any correction, "
                f"8 of 10 such samples would show a true difference of {', '.join(parts)}."
            )
    if said:
        said.append("Where a group is too small, that nothing was found does not mean that there is nothing.")
    return said


def same_for_all(frame: "pd.DataFrame") -> list[str]:
    """Comparisons without a test, because all users have the same difference."""
    rows = frame[(frame["users"] > 1) & frame["significant"].isna()]
    return [
        f"{name}: all users have the same difference in {', '.join(of['metric'] + ' ' + of['group'])}: nothing to test."
        for name, of in rows.groupby("name", sort=False)
    ]


def seeds(baseline: Configuration, others: Sequence[Configuration], two_level: bool) -> list[str]:
    every = [baseline, *others]
    counts = {len(one.seeds) for one in every}
    many = f"{min(counts)} to {max(counts)} seeds" if len(counts) > 1 else f"{max(counts)} seeds"
    said = []
    if two_level and counts == {1}:
        said.append("--two-level had no seeds to draw: each configuration has one, so only users were drawn again.")
    elif two_level:
        said.append(f"Seeds ({many} a configuration) and users were both drawn again for intervals and p-values.")
    elif counts != {1}:
        said.append(
            f"Seeds ({many} a configuration) were averaged per user before testing. The tests take the trained models "
            "as given: they speak of other users, not of another training (--two-level draws the seeds too)."
        )
    for one in every:
        members = one.settings.get("model.members", 1)
        if any(b - a < members for a, b in pairwise(sorted(one.seeds))):
            small = "standard deviation, interval and p are" if two_level else "standard deviation is"
            said.append(
                f"{one.name}: ensembles of seeds less than {members} apart share encoders, so they differ less than "
                f"new ones would: their {small} too small. Seeds that are {members} apart share none."
            )
    if single := [one.name for one in every if len(one.seeds) == 1]:
        who = "All configurations have" if len(single) == len(every) else f"{'; '.join(single)}:"
        said.append(f"{who} one seed only: how much another seed would change is not known.")
    return said


def other_seeds(baseline: Configuration, others: Sequence[Configuration]) -> list[str]:
    """Which configurations have other seeds than the baseline, so that a part of the difference is that of seeds."""
    ours, *rest = (", ".join(map(str, one.seeds)) for one in (baseline, *others))
    differ = [f"{one.name} ({its})" for one, its in zip(others, rest, strict=True) if its != ours]
    what = "other seeds than the baseline"
    return [f"{'; '.join(differ)}: {what} ({ours}), so the difference is also one of seeds."] if differ else []


def fewer_trials(baseline: Configuration, others: Sequence[Configuration], every: Sequence[Configuration]) -> list[str]:
    """Whether the baseline had fewer chances than a challenger; `every` holds all configurations at hand."""
    both = [(tries(baseline, other, every), tries(other, baseline, every)) for other in others]
    ours, theirs = max(both, key=lambda pair: pair[1] - pair[0])
    if theirs <= ours:
        return []
    return [
        f"The baseline got fewer tuning trials than a challenger: {counted(ours, 'configuration')} of its model "
        f"against {counted(theirs, 'configuration')}. The best of many looks better than it is; give the baseline "
        "as many."
    ]


def tries(one: Configuration, other: Configuration, every: Sequence[Configuration]) -> int:
    """Configurations of its model from which `one` may have been chosen: of its sweep, or of all at hand.

    Where `other` has the same model, those at hand may be tries of either, so only the sweep counts.
    """
    model = one.settings.get("model")
    here = sum(each.settings.get("model") == model for each in every) if model != other.settings.get("model") else 0
    return max(one.trials, here)


def other_differences(baseline: Configuration, others: Sequence[Configuration]) -> list[str]:
    """What challengers have otherwise than the baseline beyond what their names say."""
    by_words: dict[str, list[str]] = {}
    for other in others:
        pairs, lacks = differing(baseline.settings, other.settings), differing(other.settings, baseline.settings)
        unsaid = words([pair for pair in pairs if words([pair]) not in other.name.split(", ")])
        if lacks and not pairs:
            unsaid = f"that it does not say {words(lacks)}"
        by_words.setdefault(unsaid if pairs or lacks else "nothing", []).append(other.name)
    said = []
    for unsaid, names in by_words.items():
        who, also = "; ".join(names), "also differ" if names[1:] else "also differs"
        if unsaid == "nothing":
            said.append(f"{who}: the settings of the baseline, so what differs is the noise of training.")
        elif unsaid:
            said.append(f"{who}: {also} from the baseline in {unsaid}.")
    return said
