"""A Markov chain over items."""

import numpy as np
import torch
from torch import nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.normalize import entries
from hybrid_seq_gnn.graph.pairs import ordered_pairs
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited
from hybrid_seq_gnn.model.counts import DenseScores, history_rows

POPULARITY = 1e-9  # weight of popularity, which ranks the items that never followed


class Markov(Limited, nn.Module):
    """A Markov chain on the user's last items. Nothing is learned.

        score_j = sum_k recency^k C[i_k, j] / R[i_k],    k < last,  i_0 the latest item

    C counts how often j followed i within at most `window` steps in the training part, where each extra step multiplies
    the weight of a pair by `decay`; R is its row sum. Of an item that is among the last more than once, the latest time
    counts. The defaults give a first-order chain.

    Args:
        sequences, split: only the training part is counted.
        window: maximum number of steps from an item to one that follows it.
        decay: weight factor per extra step, in (0, 1].
        last: number of latest items to look up.
        recency: weight factor per item further back, in (0, 1].

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        window: AtLeast1 = 1,
        decay: Decay = 1.0,
        last: AtLeast1 = 1,
        recency: Decay = 0.8,
    ) -> None:
        super().__init__()
        self.max_length, self.recency = last, recency
        self.size = sequences.num_items + 1
        source, target, weight = entries(ordered_pairs(sequences, split, window, decay))
        total = np.bincount(source, weights=weight, minlength=self.size)
        self.follows = SparseMatrix(target, source, weight / total[source], self.size)
        self.register_buffer("count", torch.from_numpy(sequences.training_counts(split)).float())

    count: torch.Tensor

    def next_item_scores(self, batch: Batch) -> DenseScores:
        weight = history_rows(batch, self.size, self.recency)
        return DenseScores(self.follows(weight.T.contiguous()).T + POPULARITY * self.count)
