"""What stands in a cell: names of configurations in the words of the command line, and numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from statistics import mean, stdev
from typing import Any

FIRST = ("model", "fusion", "gnn", "loss", "training")  # options that say most
Pairs = list[tuple[str, Any]]


def short_names(given: Sequence[str | None], settings: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[str]:
    """A unique name for each configuration: the one given, else the fewest settings that tell it from the others.

    A name need not say every difference; `differing` does.

    Args:
        given: the user's own name of each, None where there is none.
        settings: all settings of each.
        places: what tells those apart whose settings are the same.

    Example:
        >>> sweep = [{"model": "sasrec"}, *({"model": "hybrid", "fusion.alpha": alpha} for alpha in (0.3, 0.5))]
        >>> short_names([None] * 3, sweep, ["0", "1", "2"])
        ['model=sasrec', 'fusion.alpha=0.3', 'fusion.alpha=0.5']
    """
    keys = telling_keys(settings)
    whole: list[Pairs] = [[(key, mine[key]) for key in keys if key in mine] for mine in settings]
    known = {as_text(pairs) for pairs in whole}
    brief = [needed(pairs, known) for pairs in whole]
    brief = [pairs or [("model", mine.get("model"))] for pairs, mine in zip(brief, settings, strict=True)]
    found = [own or words(pairs) for own, pairs in zip(given, brief, strict=True)]
    exact = [words(pairs, exact=True) for pairs in brief]
    found = lengthen_duplicates(
        found, [f"{own} ({more})" if own else more for own, more in zip(given, exact, strict=True)]
    )
    return lengthen_duplicates(found, [f"{name} ({place})" for name, place in zip(found, places, strict=True)])


def lengthen_duplicates(names: Sequence[str], longer: Sequence[str]) -> list[str]:
    """The names, in their longer form where there is another of the same."""
    times = Counter(names)
    return [name if times[name] == 1 else more for name, more in zip(names, longer, strict=True)]


def as_text(pairs: Pairs) -> frozenset[tuple[str, str]]:
    return frozenset((key, str(value)) for key, value in pairs)


def telling_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Few settings that together tell all configurations apart, options of groups first."""
    every = list(dict.fromkeys(key for mine in settings for key in mine))
    chosen: list[str] = []
    classes: list[tuple[str, ...]] = [()] * len(settings)
    for key in sorted(every, key=lambda key: ("." in key, FIRST.index(key) if key in FIRST else len(FIRST))):
        finer = [(*one, str(mine.get(key, ""))) for one, mine in zip(classes, settings, strict=True)]
        if len(set(finer)) > len(set(classes)):
            chosen, classes = [*chosen, key], finer
    return chosen


def needed(pairs: Pairs, known: Set[frozenset[tuple[str, str]]]) -> Pairs:
    """As few of `pairs` as still fit only one of `known`.

    The last are dropped first, since options, which say most, come first.
    """
    for pair in reversed(pairs):
        rest = [other for other in pairs if other != pair]
        if rest and sum(as_text(rest) <= other for other in known) == 1:
            pairs = rest
    return pairs


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Pairs:
    """Every setting that `other` has and `one` has not or has otherwise.

    Settings that come with an exchanged option are not listed, unless both have them.

    Example:
        >>> sasrec = {"model": "sasrec", "model.dropout": 0.3, "seed": 0}
        >>> differing(sasrec, {"model": "caser", "model.dropout": 0.5, "model.filters": 16, "seed": 1})
        [('model', 'caser'), ('model.dropout', 0.5), ('seed', 1)]
    """
    exchanged = {key for key in other if "." not in key and other[key] != one.get(key)}
    missing = [key for key in other if key not in one and ("." not in key or key.split(".")[0] not in exchanged)]
    return [(key, value) for key, value in other.items() if key in missing or (key in one and one[key] != value)]


def words(pairs: Iterable[tuple[str, Any]], exact: bool = False) -> str:
    """Settings as on the command line: `fusion.alpha=0.3, gnn.num_layers=2`."""
    return ", ".join(f"{key}={value_in_words(value, exact)}" for key, value in pairs)


def value_in_words(value: Any, exact: bool = False) -> str:
    """A value as on the command line; numbers with four digits unless `exact`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not exact:
        return f"{value:.4g}"
    return str(value)


def counted(number: int, name: str) -> str:
    """A number of things: 1 user, 2 users, 1,000 histories.

    Example:
        >>> counted(1, "history"), counted(1000, "history")
        ('1 history', '1,000 histories')
    """
    many = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
    return f"{number:,} {name if number == 1 else many}"


class Number(str):
    """A number that is formatted already."""


def cell(value: Any) -> str:
    """Four digits for a metric, a dash for what is not there."""
    return number(value) if value is None or isinstance(value, float) else str(value)


def number(value: float | None, form: str = ".4f", unit: str = "") -> Number:
    """A number as it stands in a table; a dash where there is none."""
    return Number("–" if value is None or value != value else f"{value:{form}}{unit}")


def percent(share: float | None) -> Number:
    """+8.1 %, of the baseline."""
    return number(None if share is None else 100 * share, "+.1f", " %")


def interval(low: float | None, high: float | None, form: str = "+.4f", unit: str = "") -> Number:
    """+0.0012 to +0.0034."""
    return Number("–" if low is None or low != low else f"{low:{form}} to {high:{form}}{unit}")


def spread(values: Sequence[float | None]) -> Number:
    """Mean ± standard deviation (n - 1) over seeds; a dash where one is missing."""
    there = [value for value in values if value is not None]
    if not there or len(there) < len(values):
        return Number("–")
    return Number(f"{mean(there):.4f}" + (f" ± {stdev(there):.4f}" if len(there) > 1 else ""))


def p_value(p: float | None) -> Number:
    """As papers print it: .041, < .001."""
    return Number("–" if p is None or p != p else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1")
