"""Pairs of nearby events in the training part of histories, counted at once."""

from collections.abc import Iterator

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split

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
    found = list(blocks(sequences, split, window, decay))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0), nothing
    first, then, weight, count = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, then, weight, count


def blocks(sequences: Sequences, split: Split, window: int, decay: float) -> Iterator[Pairs]:
    """The pairs of `ordered_pairs`, those of some items i at a time, ascending, so that memory is bounded."""
    user, items = sequences.training(split)
    size = sequences.num_items + 1
    after = np.minimum(np.cumsum(np.bincount(user))[user] - 1 - np.arange(len(user)), window)  # events in the window
    up_to = np.cumsum(np.bincount(items, weights=after, minlength=size)).astype(np.int64)  # pairs that lead from 0..i
    low = 0
    while low < size:
        before = up_to[low - 1] if low else 0
        high = max(int(np.searchsorted(up_to, before + PAIRS_AT_A_TIME, side="right")), low + 1)
        if up_to[high - 1] > before:
            yield pairs_of(items, after, (low, high), decay, size)
        low = high


def pairs_of(items: np.ndarray, after: np.ndarray, between: tuple[int, int], decay: float, size: int) -> Pairs:
    """The pairs whose first item lies in [low, high)."""
    event = np.flatnonzero((items >= between[0]) & (items < between[1]) & (after > 0))
    found = []
    for distance in range(1, int(after[event].max()) + 1):
        event = event[after[event] >= distance]
        first, then = items[event], items[event + distance]
        differ = first != then
        found.append(np.unique(first[differ] * size + then[differ], return_counts=True))
    pairs = np.sort(np.concatenate([key for key, _ in found]))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique would hash them, which takes ten times as long
    weight, count = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=np.int64)
    for steps, (key, times) in enumerate(found):
        place = np.searchsorted(pairs, key)
        count[place] += times
        weight[place] += times * decay**steps
    first, then = np.divmod(pairs, size)
    return first, then, weight, count
