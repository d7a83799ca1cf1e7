"""Items that stand near each other in the training part of histories."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.items import ItemGraph


@dataclass(frozen=True, kw_only=True)
class Cooccurrence:
    """A symmetric graph: how often two items stand at most `window` events apart in a user's training part.

        w_ij = sum over users and over pairs of events (s, t) with items i and j, 0 < |t - s| <= window,
               of decay ** (|t - s| - 1)

    An event pair counts once for each direction; histories shorter than the window count with the pairs they have.

    Attributes:
        window: most events between the two, in steps (1: neighbours only).
        min_count: least number of pairs for an edge.
        decay: weight of one more step of distance, in (0, 1]; 1 counts all distances alike.
        self_loops: an edge of each item to itself, as heavy as its heaviest other edge (1 if it has none).
        weighting: `raw` keeps w; `log` takes log(1 + w).

    Raises:
        ValueError: a value is out of range.
    """

    window: int = 3
    min_count: int = 1
    decay: float = 1.0
    self_loops: bool = False
    weighting: Literal["raw", "log"] = "raw"

    def __post_init__(self) -> None:
        """Check every value in the words of the command line."""
        for name in ("window", "min_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"graph.{name}={getattr(self, name)}: must be 1 or more.")
        if not 0 < self.decay <= 1:
            raise ValueError(f"graph.decay={self.decay}: must lie in (0, 1].")

    def build(self, sequences: Sequences, split: Split) -> ItemGraph:
        """The graph of the training part; what is held out leaves no trace in it.

        Cost: events * window pairs, sorted once.
        """
        stride = sequences.num_items + 1
        position = np.arange(len(sequences.items)) - np.repeat(sequences.indptr[:-1], sequences.lengths)
        user = np.repeat(np.arange(sequences.num_users), sequences.lengths)
        training = position < split.train_end[user]
        items, user = sequences.items[training], user[training]

        keys, weights = [], []
        for distance in range(1, self.window + 1):
            same_user = user[distance:] == user[:-distance]
            one, other = items[:-distance][same_user], items[distance:][same_user]
            differ = one != other  # a repeated item is no neighbour of itself
            keys.append(np.minimum(one, other)[differ] * stride + np.maximum(one, other)[differ])
            weights.append(np.full(len(keys[-1]), self.decay ** (distance - 1)))
        pairs, inverse, count = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
        weight = np.bincount(inverse, weights=np.concatenate(weights), minlength=len(pairs))
        enough = count >= self.min_count
        one, other = np.divmod(pairs[enough], stride)
        weight = weight[enough]
        if self.weighting == "log":
            weight = np.log1p(weight)

        source, target = np.concatenate([one, other]), np.concatenate([other, one])
        weight = np.concatenate([weight, weight])
        if self.self_loops:
            heaviest = np.zeros(stride)
            np.maximum.at(heaviest, source, weight)
            nodes = np.arange(1, stride)
            source, target = np.concatenate([source, nodes]), np.concatenate([target, nodes])
            weight = np.concatenate([weight, np.where(heaviest > 0, heaviest, 1.0)[1:]])
        order = np.lexsort((target, source))
        return ItemGraph(sequences.num_items, source[order], target[order], weight[order])
