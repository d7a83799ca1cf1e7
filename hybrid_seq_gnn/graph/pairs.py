"""Pairs of nearby events in the training part of histories, counted at once."""

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split


def training_events(sequences: Sequences, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """User and item of every training event, user by user in time order."""
    position = np.arange(len(sequences.items)) - np.repeat(sequences.indptr[:-1], sequences.lengths)
    user = np.repeat(np.arange(sequences.num_users), sequences.lengths)
    training = position < split.train_end[user]
    return user[training], sequences.items[training]


def ordered_pairs(
    sequences: Sequences, split: Split, window: int, decay: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How often item j follows item i by at most `window` events.

        weight_ij = sum over users and pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)

    Histories shorter than the window count with the pairs they have. An item does not follow itself.

    Returns:
        i, j (ascending), weight, and the number of pairs, each (E,). Cost: the events are sorted `window` times, and
        memory holds the different pairs of each distance, not every pair of events.
    """
    stride = sequences.num_items + 1
    user, items = training_events(sequences, split)
    keys, counts, weights = [], [], []
    for distance in range(1, window + 1):
        same_user = user[distance:] == user[:-distance]
        if not same_user.any():
            break  # no history is as long as this
        first, then = items[:-distance][same_user], items[distance:][same_user]
        differ = first != then
        key, count = np.unique(first[differ] * stride + then[differ], return_counts=True)
        keys.append(key)
        counts.append(count)
        weights.append(count * decay ** (distance - 1))
    if not keys:
        return items[:0], items[:0], np.zeros(0), items[:0]
    pairs, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    count = np.bincount(inverse, weights=np.concatenate(counts), minlength=len(pairs)).astype(np.int64)
    weight = np.bincount(inverse, weights=np.concatenate(weights), minlength=len(pairs))
    first, then = np.divmod(pairs, stride)
    return first, then, weight, count


def check_pairs(window: int, decay: float, group: str = "graph") -> None:
    """Raise ValueError, in the words of the command line, where a window or a decay is out of range."""
    if window < 1:
        raise ValueError(f"{group}.window={window}: must be 1 or more, in events.")
    if not 0 < decay <= 1:
        raise ValueError(f"{group}.decay={decay}: must lie in (0, 1].")
