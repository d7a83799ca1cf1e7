"""Short names for configurations, in the words of the command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Pairs = list[tuple[str, Any]]


def short_names(given: Sequence[str | None], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A unique name for each configuration: the one given, else the fewest settings that tell it from the others.

    A name need not say every difference; `differing` does.

    Args:
        given: the user's own name of each, None where there is none.
        settings: all settings of each.

    Example:
        >>> sweep = [{"model": "sasrec"}, *({"model": "hybrid", "fusion.alpha": alpha} for alpha in (0.3, 0.5))]
        >>> short_names([None, None, None], sweep)
        ['model=sasrec', 'fusion.alpha=0.3', 'fusion.alpha=0.5']
    """
    keys = telling_keys(settings)
    whole: list[Pairs] = [[(key, mine[key]) for key in keys if key in mine] for mine in settings]
    known = [{(key, str(value)) for key, value in pairs} for pairs in whole]
    brief = [
        needed(pairs, known) or [("model", mine.get("model"))] for pairs, mine in zip(whole, settings, strict=True)
    ]
    times = Counter(own for own in given if own)
    names = []
    for own, pairs in zip(given, brief, strict=True):
        names.append(own if own and times[own] == 1 else f"{own} ({words(pairs)})" if own else words(pairs))
    if len(set(names)) < len(names):
        names = [own or words(pairs, exact=True) for own, pairs in zip(given, brief, strict=True)]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name} #{names[:k].count(name) + 1}" for k, name in enumerate(names)]


def telling_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Few settings that together tell all configurations apart, options of groups first."""
    every = list(dict.fromkeys(key for mine in settings for key in mine))
    chosen: list[str] = []
    classes: list[tuple[str, ...]] = [()] * len(settings)
    for key in sorted(every, key=lambda key: "." in key):
        finer = [(*one, str(mine.get(key, ""))) for one, mine in zip(classes, settings, strict=True)]
        if len(set(finer)) > len(set(classes)):
            chosen, classes = [*chosen, key], finer
    return chosen


def needed(pairs: Pairs, known: Sequence[set[tuple[str, str]]]) -> Pairs:
    """`pairs` without those that are not needed to be the only one of `known` that has them all."""
    for pair in list(pairs):
        rest = [other for other in pairs if other != pair]
        as_text = {(key, str(value)) for key, value in rest}
        if rest and sum(as_text <= other for other in known) == 1:
            pairs = rest
    return pairs


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Pairs:
    """Every setting that `other` has and `one` has not, or has otherwise, but for the settings of an exchanged option.

    Example:
        >>> differing({"model": "sasrec", "model.dropout": 0.3, "seed": 0}, {"model": "ease", "model.l2": 9, "seed": 1})
        [('model', 'ease'), ('seed', 1)]
    """
    exchanged = {key for key in other if "." not in key and other[key] != one.get(key)} - {"seed"}
    return [
        (k, v) for k, v in other.items() if one.get(k) != v and (k in exchanged or k.split(".")[0] not in exchanged)
    ]


def words(pairs: Pairs, exact: bool = False) -> str:
    """Settings as on the command line: `fusion.alpha=0.3, gnn.num_layers=2`."""
    return ", ".join(f"{key}={value_in_words(value, exact)}" for key, value in pairs)


def value_in_words(value: Any, exact: bool = False) -> str:
    """A value as on the command line; numbers with four digits unless `exact`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not exact:
        return f"{value:.4g}"
    return str(value)
