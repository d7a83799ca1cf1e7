"""Counts of nearby item pairs in the training part of histories."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split

PAIRS_AT_A_TIME = 1 << 25  # pairs of events in a block


def ordered_pairs(sequences: Sequences, split: Split, window: int, decay: float) -> csr_array:
    """How often item j follows item i within at most `window` events, as a sparse matrix of items i and j.

        weight_ij = sum over users and pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)

    Histories shorter than the window contribute the pairs they have. Pairs with i = j are not counted.

    Shape:
        (N, N), columns ascending. Cost: window * events; memory holds 12 bytes a distinct pair (i, j), and one block.
    """
    parts = list(blocks(sequences, split, window, decay))
    return parts[0] if len(parts) == 1 else vstack(parts, format="csr")


def blocks(sequences: Sequences, split: Split, window: int, decay: float) -> Iterator[csr_array]:
    """The matrix of `ordered_pairs` in blocks of rows, so that memory is bounded."""
    user, items = sequences.training(split)
    size = sequences.num_items + 1
    after = np.minimum(np.cumsum(np.bincount(user))[user] - 1 - np.arange(len(user)), window)  # later events in window
    total = np.cumsum(np.bincount(items, weights=after, minlength=size)).astype(np.int64)  # pairs from items 0..i
    items = items.astype(np.int32)
    low = 0
    while low < size:
        before = total[low - 1] if low else 0
        high = max(int(np.searchsorted(total, before + PAIRS_AT_A_TIME, side="right")), low + 1)
        yield rows_of(items, after, (low, high), decay, size)
        low = high


def rows_of(items: np.ndarray, after: np.ndarray, between: tuple[int, int], decay: float, size: int) -> csr_array:
    """The rows [low, high) = `between`."""
    low, high = between
    event = np.flatnonzero((items >= low) & (items < high) & (after > 0))
    rows = csr_array((high - low, size))
    for steps in range(int(after[event].max(initial=0))):
        event = event[after[event] > steps]
        i, j = items[event], items[event + steps + 1]
        differ = i != j
        pairs = np.ones(differ.sum(), dtype=np.int32), (i[differ] - low, j[differ])
        counted = coo_array(pairs, shape=rows.shape).tocsr() * decay**steps
        rows = rows + counted if steps else counted
    return rows
