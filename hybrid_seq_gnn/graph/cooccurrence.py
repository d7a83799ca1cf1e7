"""The graph of items that occur near each other in the training part of histories."""

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
    """An undirected graph: how often two items are at most `window` events apart in a user's training part.

        w_ij = sum over users and over pairs of events (s, t) with items i and j, 0 < |t - s| <= window,
               of decay ** (|t - s| - 1)

    A pair of events counts once in each direction; histories shorter than the window contribute the pairs they have.

    Attributes:
        window: maximum distance between the two events, in steps (1: adjacent events only).
        min_count: minimum number of pairs for an edge.
        decay: weight factor per extra step of distance, in (0, 1]; 1 weighs all distances equally.
        weighting: of the edges, see `normalize.reweight`.
        top_k: keep an edge if it is among the top_k heaviest of either of its items; null keeps all.
        self_loops: add an edge from each item to itself, as heavy as its heaviest other edge (1 if it has none).

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
        """Build the graph from the training part; held-out events do not affect it."""
        stride = sequences.num_items + 1
        i, j, weight, count = ordered_pairs(sequences, split, self.window, self.decay)
        low, high = np.minimum(i, j), np.maximum(i, j)
        pairs, inverse = np.unique(low * stride + high, return_inverse=True)
        weight = np.bincount(inverse, weights=weight, minlength=len(pairs))
        enough = np.bincount(inverse, weights=count, minlength=len(pairs)) >= self.min_count
        low, high = np.divmod(pairs[enough], stride)
        source, target = np.concatenate([low, high]), np.concatenate([high, low])
        weight = np.concatenate([weight[enough], weight[enough]])
        weight = reweight(source, target, weight, stride, self.weighting)
        keep = weight > 0
        if self.top_k is not None:
            heavy = heaviest(source, target, weight, self.top_k)
            half = len(low)
            either = heavy[:half] | heavy[half:]
            keep &= np.concatenate([either, either])
        source, target, weight = source[keep], target[keep], weight[keep]
        if self.self_loops:
            largest = np.zeros(stride)
            np.maximum.at(largest, source, weight)
            nodes = np.arange(1, stride)
            source, target = np.concatenate([source, nodes]), np.concatenate([target, nodes])
            weight = np.concatenate([weight, np.where(largest > 0, largest, 1.0)[1:]])
        order = np.lexsort((target, source))
        return ItemGraph(sequences.num_items, source[order], target[order], weight[order])
