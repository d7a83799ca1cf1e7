"""Counts of nearby item pairs in the training part of histories."""

from collections.abc import Iterator

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split

PAIRS_AT_A_TIME = 1 << 24  # pairs of events in memory, before equal pairs are merged

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ordered_pairs(sequences: Sequences, split: Split, window: int, decay: float) -> Pairs:
    """How often item j follows item i within at most `window` events.

        weight_ij = sum over users and pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)

    Histories shorter than the window contribute the pairs they have. Pairs with i = j are not counted.

    Returns:
        i, j (ascending), weight, and the number of pairs, each (E,). Cost: the events are sorted `window` times, and
        memory holds the distinct pairs of each distance, not every pair of events.
    """
    parts = list(blocks(sequences, split, window, decay))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0), empty
    i, j, weight, count = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, weight, count


def blocks(sequences: Sequences, split: Split, window: int, decay: float) -> Iterator[Pairs]:
    """The pairs of `ordered_pairs` in blocks of items i, ascending, so that memory is bounded."""
    user, items = sequences.training(split)
    size = sequences.num_items + 1
    after = np.minimum(np.cumsum(np.bincount(user))[user] - 1 - np.arange(len(user)), window)  # later events in window
    total = np.cumsum(np.bincount(items, weights=after, minlength=size)).astype(np.int64)  # pairs from items 0..i
    low = 0
    while low < size:
        before = total[low - 1] if low else 0
        high = max(int(np.searchsorted(total, before + PAIRS_AT_A_TIME, side="right")), low + 1)
        if total[high - 1] > before:
            yield pairs_of(items, after, (low, high), decay, size)
        low = high


def pairs_of(items: np.ndarray, after: np.ndarray, between: tuple[int, int], decay: float, size: int) -> Pairs:
    """The pairs whose first item is in [low, high) = `between`."""
    event = np.flatnonzero((items >= between[0]) & (items < between[1]) & (after > 0))
    by_distance = []
    for distance in range(1, int(after[event].max()) + 1):
        event = event[after[event] >= distance]
        i, j = items[event], items[event + distance]
        differ = i != j
        by_distance.append(np.unique(i[differ] * size + j[differ], return_counts=True))
    pairs = np.sort(np.concatenate([key for key, _ in by_distance]))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique would use a hash table, which takes ten times as long
    weight, count = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=np.int64)
    for steps, (key, times) in enumerate(by_distance):
        place = np.searchsorted(pairs, key)
        count[place] += times
        weight[place] += times * decay**steps
    i, j = np.divmod(pairs, size)
    return i, j, weight, count
