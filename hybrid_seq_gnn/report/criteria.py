"""Success criteria, written down in a file before anybody looks, and checked one by one.

A file has the levels minimum, target and stretch, each a list of criteria; conf/criteria/study.yaml explains the keys.
A criterion that cannot be measured with the runs at hand is *not measured*, which is not the same as *not met*.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.files import read_yaml
from hybrid_seq_gnn.report.facts import Facts, matches
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import counted, value_in_words, words

LEVELS = ("minimum", "target", "stretch")
MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
MARKS = {MET: "✓", NOT_MET: "✗", NOT_MEASURED: "○"}
NUMBERS = ("above", "difference_above", "relative_above", "p_below", "users_at_least")
RELATIVE = ("difference_above", "relative_above", "p_below")
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Criterion:
    """One line of a criteria file; conf/criteria/study.yaml says what each key means."""

    level: str
    metric: str | None = None
    group: str = OVERALL
    above: float | None = None
    difference_above: float | None = None
    relative_above: float | None = None
    p_below: float | None = None
    users_at_least: int | None = None
    tested: tuple[Settings, ...] = ()
    where: Settings | None = None
    against: Settings | None = None
    says: str | None = None

    @property
    def words(self) -> str:
        if self.says:
            return self.says
        whom = "all users" if self.group == OVERALL else f"{self.group} histories"
        other = f"the best of {settings_in_words(self.against)}" if self.against else "the baseline"
        what = f"{self.metric} of {whom}"
        asks = {
            f"{what} > {self.above}": self.above,
            f"{what} more than {self.difference_above} above {other}": self.difference_above,
            f"{what} more than {100 * (self.relative_above or 0):.1f}% above {other}": self.relative_above,
            f"{what} above {other} with p < {self.p_below}": self.p_below,
            f"at least {counted(self.users_at_least or 0, 'test user')}: {whom}": self.users_at_least,
            f"tested: {'; '.join(map(settings_in_words, self.tested))}": self.tested or None,
        }
        where = f" (where {settings_in_words(self.where)})" if self.where else ""
        return "; ".join(ask for ask, value in asks.items() if value is not None) + where


class Criteria(NamedTuple):
    """A criteria file: its name, what it says of itself, and its criteria in the order of the levels."""

    name: str
    about: str
    criteria: tuple[Criterion, ...]


class Verdict(NamedTuple):
    """What became of a criterion: met, not met or not measured; what was found, and for which configuration."""

    criterion: Criterion
    status: str
    found: str
    of: str


def read(path: Path) -> Criteria:
    """A criteria file.

    Raises:
        UserError: it cannot be read, or has a key, metric, group or value that makes no sense; names the place.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not any(content.get(level) for level in LEVELS):
        raise UserError(f"{path}: expected lists of criteria under {', '.join(LEVELS)}; see conf/criteria/study.yaml.")
    if unknown := set(content) - {*LEVELS, "about"}:
        raise UserError(f"{path}: {sorted(map(str, unknown))[0]} is not one of about, {', '.join(LEVELS)}.")
    found = []
    for level in LEVELS:
        entries = content.get(level) or []
        if not isinstance(entries, list):
            raise UserError(f"{path}, {level}: expected a list of criteria, got {entries!r}.")
        found += [criterion(entry, level, f"{path}, {level}, number {k}") for k, entry in enumerate(entries, start=1)]
    return Criteria(path.stem, str(content.get("about") or ""), tuple(found))


def criterion(entry: Any, level: str, place: str) -> Criterion:
    """One entry, checked; `place` says where it stands."""
    keys = [field.name for field in fields(Criterion) if field.name != "level"]
    if not isinstance(entry, dict):
        raise UserError(f"{place}: expected keys of {', '.join(keys)}, got {entry!r}.")
    for key in entry:
        if key not in keys:
            raise UserError(f"{place}: {key} is not one of {', '.join(keys)}.")
    for key in NUMBERS:
        value = entry.get(key)
        if key in entry and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
            raise UserError(f"{place}: {key}={value!r} is not a number.")
    if entry.get("metric") not in (None, *NAMES):
        raise UserError(f"{place}: metric={entry['metric']!r} is not one of {', '.join(NAMES)}.")
    if entry.get("group", OVERALL) not in GROUPS:
        raise UserError(f"{place}: group={entry['group']!r} is not one of {', '.join(GROUPS)}.")
    for key in ("where", "against"):
        if key in entry and not isinstance(entry[key], dict):
            raise UserError(f"{place}: {key}={entry[key]!r} is not settings like {{fusion: fixed}}.")
    tested = entry.get("tested", [])
    if not isinstance(tested, list) or not all(isinstance(one, dict) and one for one in tested):
        raise UserError(f"{place}: tested={tested!r} is not a list of settings like [{{fusion: fixed}}].")
    needs_metric = [key for key in ("above", *RELATIVE) if key in entry]
    if needs_metric and entry.get("metric") is None:
        raise UserError(f"{place}: {needs_metric[0]} needs a metric, one of {', '.join(NAMES)}.")
    if not needs_metric and "users_at_least" not in entry and not tested:
        raise UserError(f"{place} asks for nothing: give above, {', '.join(RELATIVE)}, users_at_least or tested.")
    return Criterion(level=level, **{**entry, "tested": tuple(tested)})


def settings_in_words(settings: Settings) -> str:
    """Settings in the words of the command line; several values with `|`."""
    each = ((key, value if isinstance(value, list) else [value]) for key, value in settings.items())
    return words((key, "|".join(map(value_in_words, values))) for key, values in each)


def write(section: Section, facts: Facts) -> None:
    if facts.criteria is None:
        section.gap("no criteria were checked (--criteria none).")
        return
    if facts.criteria.about:
        section.text(facts.criteria.about)
    found = [check_one(one, facts) for one in facts.criteria.criteria]
    rows = [[v.criterion.level, v.criterion.words, f"{MARKS[v.status]} {v.status}", v.found, v.of] for v in found]
    counts = ", ".join(f"{sum(v.status == status for v in found)} {status}" for status in MARKS)
    header = ["level", "criterion", "status", "found", "configuration"]
    section.table(header, rows, note=f"{facts.criteria.name}: {counts}.")


def check_one(one: Criterion, facts: Facts) -> Verdict:
    """All that a criterion asks for must hold; what cannot be measured leaves it open unless another part fails."""
    found = facts.challenger(one.where) if one.metric is not None else None
    outcomes = list(parts(one, found, facts))
    states = [state for state, _ in outcomes]
    status = NOT_MET if NOT_MET in states else MET if states and NOT_MEASURED not in states else NOT_MEASURED
    return Verdict(one, status, "; ".join(text for _, text in outcomes), found.name if found else "")


def parts(one: Criterion, found: Configuration | None, facts: Facts) -> Iterator[tuple[str, str]]:
    """Each part of a criterion, in the order of its words: met or not, or not measured, and the number or why not."""
    if one.metric is not None and found is None:
        yield NOT_MEASURED, f"no finished run{f' with {settings_in_words(one.where)}' if one.where else ''}"
    if one.above is not None and found is not None:
        name = f"{one.metric}/{one.group}"
        value, base = found.mean(name), facts.baseline.mean(name) if facts.baseline else None
        if value is None:
            yield NOT_MEASURED, "no users"
        else:
            yield decided(value > one.above), f"{value:.4f}{'' if base is None else f' (baseline {base:.4f})'}"
    if found is not None and any(getattr(one, key) is not None for key in RELATIVE):
        yield from difference_parts(one, found, facts)
    if one.users_at_least is not None:
        users = facts.users_in(one.group)
        yield decided(users >= one.users_at_least), counted(users, "user")
    if one.tested:
        missing = [w for w in one.tested if not any(matches(other.settings, w) for other in facts.configurations)]
        lacking = f"; not run: {'; '.join(map(settings_in_words, missing))}" if missing else ""
        yield decided(not missing), f"{len(one.tested) - len(missing)} of {len(one.tested)}{lacking}"


def difference_parts(one: Criterion, found: Configuration, facts: Facts) -> Iterator[tuple[str, str]]:
    """The parts about a difference."""
    other = facts.challenger(one.against) if one.against else facts.baseline
    if other is None:
        yield NOT_MEASURED, f"no finished run with {settings_in_words(one.against)}" if one.against else "no baseline"
        return
    numbers = facts.difference(found, other, str(one.metric), one.group)
    if numbers is None or math.isnan(numbers[0]):
        yield NOT_MEASURED, "not comparable user by user, or no users"
        return
    difference, relative, p = numbers
    beside = f" (compared with {other.name})" if one.against else ""
    if one.difference_above is not None:
        yield decided(difference > one.difference_above), f"{difference:+.4f}{beside}"
    if one.relative_above is not None and math.isnan(relative):
        yield NOT_MEASURED, "the baseline has 0"
    elif one.relative_above is not None:
        yield decided(relative > one.relative_above), f"{relative:+.1%}{beside}"
    if one.p_below is not None and math.isnan(p):
        yield NOT_MEASURED, f"p cannot be computed{beside}"
    elif one.p_below is not None:
        yield decided(difference > 0 and p < one.p_below), f"{difference:+.4f}, p = {p:.2g}{beside}"


def decided(holds: bool) -> str:
    return MET if holds else NOT_MET
