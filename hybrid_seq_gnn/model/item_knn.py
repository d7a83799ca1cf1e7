"""Item-based nearest neighbours: items with users in common."""

import torch
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited, NotNegative
from hybrid_seq_gnn.model.counts import UNLIMITED, DenseScores, gram, sum_of_history


class ItemKNN(Limited, nn.Module):
    """Nearest neighbours by the cosine of item vectors over users. Nothing is learned.

        s_ij = n_ij / (sqrt(n_i n_j) + shrink),    score_j = sum over items i of the history of recency^k s_ij

    where n_ij is the number of users who had both items, k is the number of events after i, and only the `neighbours`
    largest s_ij of each j are used, and those that equal the last of them.

    Source: Deshpande & Karypis 2004, "Item-Based Top-N Recommendation Algorithms".

    Args:
        sequences, split: only the training part is counted.
        neighbours: number of neighbours per item.
        shrink: pulls similarities based on few users towards 0; >= 0.
        recency: weight factor per event further back, in (0, 1]; 1 ignores the order.

    Raises:
        UserError: a value is out of range.
    """

    max_length = UNLIMITED

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        neighbours: AtLeast1 = 100,
        shrink: NotNegative = 10.0,
        recency: Decay = 1.0,
    ) -> None:
        super().__init__()
        self.recency = recency
        if not sequences.num_users:  # similarities are about to be loaded
            self.register_buffer("similar", torch.zeros(0))
            return
        both = gram(sequences, split)
        users = both.diagonal().clone()
        similar = both / ((users[:, None] * users).sqrt() + shrink).clamp(min=1e-12)
        similar.fill_diagonal_(0.0)
        if neighbours < len(similar):
            threshold = similar.topk(neighbours, dim=0).values[-1]
            similar = torch.where(similar >= threshold, similar, 0.0)
        self.register_buffer("similar", similar)  # (i, j)

    similar: Tensor

    def next_item_scores(self, batch: Batch) -> DenseScores:
        return DenseScores(sum_of_history(batch, self.similar, self.recency))
