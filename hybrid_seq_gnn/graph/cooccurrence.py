"""Items that stand near each other in the training part of histories."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.items import ItemGraph
from hybrid_seq_gnn.graph.normalize import Weighting, heaviest, reweight
from hybrid_seq_gnn.graph.pairs import ordered_pairs
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited


@dataclass(frozen=True, kw_only=True)
class Cooccurrence(Limited):
    """An undirected graph: how often two items stand at most `window` events apart in a user's training part.

        w_ij = sum over users and over pairs of events (s, t) with items i and j, 0 < |t - s| <= window,
               of decay ** (|t - s| - 1)

    An event pair counts once for each direction; histories shorter than the window count with the pairs they have.

    Attributes:
        window: most events between the two, in steps (1: neighbours only).
        min_count: least number of pairs for an edge.
        decay: weight of one more step of distance, in (0, 1]; 1 counts all distances alike.
        weighting: of the edges, see `normalize.reweight`.
        top_k: keep the heaviest so many edges of each item (and those that are among another item's); null keeps all.
        self_loops: an edge of each item to itself, as heavy as its heaviest other edge (1 if it has none).

    Raises:
        ValueError: a value is out of range.
    """

    window: AtLeast1 = 3
    min_count: AtLeast1 = 1
    decay: Decay = 1.0
    weighting: Weighting = "raw"
    top_k: AtLeast1 | None = None
    self_loops: bool = False

    def build(self, sequences: Sequences, split: Split) -> ItemGraph:
        """The graph of the training part; what is held out leaves no trace in it."""
        stride = sequences.num_items + 1
        first, then, weight, count = ordered_pairs(sequences, split, self.window, self.decay)
        low, high = np.minimum(first, then), np.maximum(first, then)
        pairs, inverse = np.unique(low * stride + high, return_inverse=True)
        weight = np.bincount(inverse, weights=weight, minlength=len(pairs))
        enough = np.bincount(inverse, weights=count, minlength=len(pairs)) >= self.min_count
        one, other = np.divmod(pairs[enough], stride)
        source, target = np.concatenate([one, other]), np.concatenate([other, one])
        weight = np.concatenate([weight[enough], weight[enough]])
        weight = reweight(source, target, weight, stride, self.weighting)
        keep = weight > 0
        if self.top_k is not None:
            mine = heaviest(source, target, weight, self.top_k)
            half = len(one)
            either = mine[:half] | mine[half:]
            keep &= np.concatenate([either, either])
        source, target, weight = source[keep], target[keep], weight[keep]
        if self.self_loops:
            most = np.zeros(stride)
            np.maximum.at(most, source, weight)
            nodes = np.arange(1, stride)
            source, target = np.concatenate([source, nodes]), np.concatenate([target, nodes])
            weight = np.concatenate([weight, np.where(most > 0, most, 1.0)[1:]])
        order = np.lexsort((target, source))
        return ItemGraph(sequences.num_items, source[order], target[order], weight[order])
