"""The graph of which item follows which in the training part of histories."""

from dataclasses import dataclass

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.items import ItemGraph
from hybrid_seq_gnn.graph.normalize import Weighting, fitting_top_k, heaviest, reweight
from hybrid_seq_gnn.graph.pairs import ordered_pairs
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited


@dataclass(frozen=True, kw_only=True)
class Transition(Limited):
    """A directed graph: an edge from i to j if j follows i within at most `window` events.

        w_ij = sum over users and pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)

    A product with it gives each item a weighted sum of the items that follow it.

    Attributes:
        window: maximum number of steps from i to j.
        min_count: minimum number of pairs for an edge.
        decay: weight factor per extra step of distance, in (0, 1].
        weighting: of the edges, see `normalize.reweight`.
        top_k: number of heaviest outgoing edges kept per item. null keeps all; if they are more than 2 ** 23, it keeps
            as many per item as fit.

    Raises:
        UserError: a value is out of range.
    """

    window: AtLeast1 = 3
    min_count: AtLeast1 = 1
    decay: Decay = 0.7
    weighting: Weighting = "raw"
    top_k: AtLeast1 | None = None

    def build(self, sequences: Sequences, split: Split) -> ItemGraph:
        """Build the graph from the training part; held-out events do not affect it."""
        weight = ordered_pairs(sequences, split, self.window, self.decay)
        if self.min_count > 1:
            enough = ordered_pairs(sequences, split, self.window, decay=1.0) >= self.min_count
            weight = weight.multiply(enough).tocsr()
        weight = reweight(weight, self.weighting)
        top_k = self.top_k or fitting_top_k(weight)
        return ItemGraph.of(weight if top_k is None else heaviest(weight, top_k), top_k)
