"""EASE: a linear item-item model with a closed-form solution.

Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data" (arXiv:1905.03375), Eq. 8.
"""

import torch
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import Decay, Limited, Positive
from hybrid_seq_gnn.model.counts import UNLIMITED, DenseScores, gram, sum_of_history


class EASE(Limited, nn.Module):
    """score = history @ B, with B the ridge regression of the user-item matrix X on itself with a zero diagonal.

        P = (X.T X + l2 I)^-1,    B_ij = -P_ij / P_jj,    B_jj = 0

    Args:
        sequences, split: X is the training part (1 if a user had an item).
        l2: ridge penalty; > 0.
        recency: weight factor per event further back in the history, in (0, 1]; 1 as in the paper.

    Raises:
        UserError: a value is out of range.
    """

    max_length = UNLIMITED

    def __init__(self, sequences: Sequences, split: Split, *, l2: Positive = 200.0, recency: Decay = 1.0) -> None:
        super().__init__()
        self.recency = recency
        if not sequences.num_users:  # weights are about to be loaded
            self.register_buffer("weights", torch.zeros(0))
            return
        precision = torch.linalg.inv(gram(sequences, split).double() + l2 * torch.eye(sequences.num_items + 1).double())
        weights = -precision / precision.diagonal()
        weights.fill_diagonal_(0.0)
        self.register_buffer("weights", weights.float())

    weights: Tensor

    def next_item_scores(self, batch: Batch) -> DenseScores:
        return DenseScores(sum_of_history(batch, self.weights, self.recency))
