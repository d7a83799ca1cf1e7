"""Negatives that the model scores highest among uniform draws."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.interfaces import TrainingScores
from hybrid_seq_gnn.limits import AtLeast1, Limited
from hybrid_seq_gnn.negatives.uniform import Uniform


class Dynamic(Limited, nn.Module):
    """The K highest-scored of `pool` uniform draws per row.

    log q is that of the uniform draws: the choice among them depends on the model and has no simple probability.

    Source: Zhang et al. 2013, "Optimizing Top-N Collaborative Filtering via Dynamic Negative Item Sampling".

    Args:
        sequences, split: give the items that each user has seen in training.
        num_negatives: K, items per row.
        pool: uniform draws per row; at least K.

    Shape:
        users, targets: (M,). scores: M rows. Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: K < 1, the pool is smaller than K, or a user has seen all items.
    """

    def __init__(self, sequences: Sequences, split: Split, *, num_negatives: AtLeast1 = 1, pool: int = 16) -> None:
        super().__init__()
        if pool < num_negatives:
            raise UserError(f"negatives.pool={pool} is smaller than negatives.num_negatives={num_negatives}.")
        self.num_negatives = num_negatives
        self.uniform = Uniform(sequences, split, num_negatives=pool)

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: TrainingScores
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Ids of the negatives, and the log-probability of each draw."""
        pool, log_q = self.uniform(users, targets, scores)
        with torch.no_grad():
            best = scores.at(pool).topk(self.num_negatives, dim=1).indices
        return pool.gather(1, best), log_q.gather(1, best)
