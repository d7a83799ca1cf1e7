"""Pairs of nearby events in the training part of histories, counted at once."""

from collections.abc import Iterator

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.normalize import heaviest

PAIRS_AT_A_TIME = 1 << 24  # of events, before equal ones are counted together

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ordered_pairs(sequences: Sequences, split: Split, window: int, decay: float) -> Pairs:
    """How often item j follows item i by at most `window` events.

        weight_ij = sum over users and pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)

    Histories shorter than the window count with the pairs they have. An item does not follow itself.

    Returns:
        i, j (ascending), weight, and the number of pairs, each (E,). Cost: the events are sorted `window` times, and
        memory holds the different pairs of each distance, not every pair of events.
    """
    return together(list(blocks(sequences, split, window, decay)))


def successors(
    sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int | None]:
    """The same, with only the heaviest `top_k` successors of each item.

    Memory is bounded in events and items: pairs are counted for some items i at a time, and pruned at once.

    Args:
        top_k: None keeps all, unless that may be more than `most` edges; then as many an item as fit.

    Returns:
        i, j (ascending), weight, each (E,), and the number of successors that were kept, None where all were.
    """
    found, edges = [], 0
    for first, then, weight, count in blocks(sequences, split, window, decay):
        if top_k is not None:
            keep = heaviest(first, then, weight, top_k)
            first, then, weight, count = first[keep], then[keep], weight[keep], count[keep]
        edges += len(first)
        if edges > most:
            fits = max(1, most // max(sequences.num_items, 1))
            assert top_k is None or fits < top_k
            return successors(sequences, split, window, decay, fits, max(most, fits * sequences.num_items))
        found.append((first, then, weight, count))
    first, then, weight, _ = together(found)
    return first, then, weight, top_k


def together(found: list[Pairs]) -> Pairs:
    """Blocks of pairs as one."""
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0), nothing
    first, then, weight, count = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, then, weight, count


def blocks(sequences: Sequences, split: Split, window: int, decay: float) -> Iterator[Pairs]:
    """The pairs of `ordered_pairs`, those of some items i at a time, in ascending order."""
    user, items = sequences.training(split)
    window = min(window, int(sequences.lengths.max(initial=1)))  # a longer one has no more pairs
    leading = np.cumsum(window * np.bincount(items, minlength=sequences.num_items + 1))
    for block in range(1 + int(leading[-1]) // PAIRS_AT_A_TIME if len(items) else 0):
        low, high = np.searchsorted(leading, [block * PAIRS_AT_A_TIME, (block + 1) * PAIRS_AT_A_TIME], side="right")
        pairs = pairs_of(user, items, (int(low), int(high)), window, decay, sequences.num_items + 1)
        if pairs is not None:
            yield pairs


def pairs_of(
    user: np.ndarray, items: np.ndarray, between: tuple[int, int], window: int, decay: float, stride: int
) -> Pairs | None:
    """The pairs whose first item lies in [low, high); None if there are none."""
    keys, counts, weights = [], [], []
    inside = (items >= between[0]) & (items < between[1])
    for distance in range(1, window + 1):
        same_user = user[distance:] == user[:-distance]
        if not same_user.any():
            break  # no history is as long as this
        pair = np.flatnonzero(same_user & inside[:-distance])
        first, then = items[pair], items[pair + distance]
        differ = first != then
        key, count = np.unique(first[differ] * stride + then[differ], return_counts=True)
        keys.append(key)
        counts.append(count)
        weights.append(count * decay ** (distance - 1))
    if not keys:
        return None
    pairs, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    count = np.bincount(inverse, weights=np.concatenate(counts), minlength=len(pairs)).astype(np.int64)
    weight = np.bincount(inverse, weights=np.concatenate(weights), minlength=len(pairs))
    first, then = np.divmod(pairs, stride)
    return first, then, weight, count
