"""The graph of items that occur near each other in the training part of histories."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.items import ItemGraph
from hybrid_seq_gnn.graph.normalize import Weighting, fitting_top_k, heaviest, reweight
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
        top_k: keep an edge if it is among the top_k heaviest of either of its items. null keeps all; if they are more
            than 2 ** 23, it keeps as many per item as fit.
        self_loops: add an edge from each item to itself, as heavy as its heaviest other edge (1 if it has none).

    Raises:
        UserError: a value is out of range.
    """

    window: AtLeast1 = 3
    min_count: AtLeast1 = 1
    decay: Decay = 1.0
    weighting: Weighting = "raw"
    top_k: AtLeast1 | None = None
    self_loops: bool = False

    def build(self, sequences: Sequences, split: Split) -> ItemGraph:
        """Build the graph from the training part; held-out events do not affect it."""

        def both_directions(decay: float) -> csr_array:
            follows = ordered_pairs(sequences, split, self.window, decay)
            return follows + follows.T.tocsr()

        weight = both_directions(self.decay)
        if self.min_count > 1:
            enough = both_directions(1.0) >= self.min_count
            weight = weight.multiply(enough).tocsr()
        weight = reweight(weight, self.weighting)
        top_k = self.top_k or fitting_top_k(weight, directions=2)
        if top_k is not None:
            kept = heaviest(weight, top_k).astype(bool)
            weight = weight.multiply(kept + kept.T).tocsr()
        if self.self_loops:
            largest = weight.max(axis=1).toarray()
            loops = np.where(largest > 0, largest, 1.0)
            loops[0] = 0.0  # padding
            weight = (weight + diags_array(loops)).tocsr()
        return ItemGraph.of(weight, top_k)
