"""Recommends the most popular items to all users."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.model.counts import DenseScores


class PopularityRecommender(nn.Module):
    """score_j = number of events of item j in the training part. Nothing is learned.

    Args:
        sequences, split: only the training part is counted.
    """

    max_length = 1

    def __init__(self, sequences: Sequences, split: Split) -> None:
        super().__init__()
        self.register_buffer("count", torch.from_numpy(sequences.training_counts(split)).float())

    count: Float[Tensor, "N"]

    def next_item_scores(self, batch: Batch) -> DenseScores:
        return DenseScores(self.count.expand(len(batch.users), -1))
