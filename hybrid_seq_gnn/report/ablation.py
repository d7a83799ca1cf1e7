"""What each single change does to a reference configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_seq_gnn.results.runs import Configuration

Pairs = list[tuple[str, Any]]


def change(reference: Mapping[str, Any], other: Mapping[str, Any]) -> Pairs:
    """What `other` has otherwise, an exchanged option counting as one change whatever settings come with it.

    Groups that only one of two models uses (the graph of a hybrid) belong to the change of the model.

    Example:
        >>> hybrid = {"model": "hybrid", "gnn": "lightgcn", "gnn.num_layers": 2, "training.lr": 0.001}
        >>> change(hybrid, {**hybrid, "gnn.num_layers": 3})
        [('gnn.num_layers', 3)]
        >>> change(hybrid, {"model": "sasrec", "training.lr": 0.001})
        [('model', 'sasrec')]
    """
    options = [key for key in {**reference, **other} if "." not in key]
    one_sided = {key for key in options if (key in reference) != (key in other)}
    exchanged = [key for key in options if key not in one_sided and reference[key] != other[key]]
    if one_sided and "model" not in exchanged:
        exchanged += sorted(one_sided)
    closed = {*exchanged, *one_sided, *(["model"] if "model" in exchanged else [])}
    found: Pairs = [(key, other.get(key)) for key in exchanged]
    keys = [key for key in {**reference, **other} if "." in key and key.split(".")[0] not in closed]
    return found + [(key, other.get(key)) for key in keys if reference.get(key) != other.get(key)]


def reference_of(
    configurations: Sequence[Configuration], baseline: Configuration | None
) -> tuple[Configuration, dict[str, Pairs]] | None:
    """The configuration with the most neighbours that differ from it in one thing, and their changes by name.

    At least two such neighbours besides the baseline make an ablation; None where there are not so many. Of several
    references, and of several neighbours with the same change (`fusion=fixed` with two values of alpha), the one that
    stands first wins. Values of `fusion.alpha` alone are no ablation but a grid.
    """
    best: tuple[Configuration, dict[str, Pairs]] | None = None
    for one in configurations:
        if one is baseline:
            continue
        found: dict[str, Pairs] = {}
        for other in configurations:
            pairs = change(one.settings, other.settings)
            if other is not one and other is not baseline and len(pairs) == 1 and pairs not in found.values():
                found[other.name] = pairs
        kinds = {pairs[0][0] for pairs in found.values()}
        if len(found) >= 2 and kinds != {"fusion.alpha"} and (best is None or len(found) > len(best[1])):
            best = one, found
    return best
