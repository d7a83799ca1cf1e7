"""A mixture of hard and uniform negatives."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited, Weight
from hybrid_seq_gnn.negatives.hard import Hard
from hybrid_seq_gnn.negatives.uniform import Uniform


class Mixed(Limited, nn.Module):
    """Each of the K items per row is hard with probability `hard_share`, else uniform; see `Hard` and `Uniform`.

        q_j = hard_share * q_hard(j) + (1 - hard_share) * q_uniform(j)

    Args:
        sequences, split: give the items that each user has seen in training, and their popularity.
        num_negatives: K, items per row.
        hard_share: probability that a negative is hard, in [0, 1].
        pool: number of most popular unseen items from which hard negatives are drawn.

    Shape:
        users, targets: (M,); targets and scores are not used. Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: a value is out of range, or a user has seen all items.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        num_negatives: AtLeast1 = 4,
        hard_share: Weight = 0.5,
        pool: AtLeast1 = 100,
    ) -> None:
        super().__init__()
        self.num_negatives, self.hard_share = num_negatives, hard_share
        self.hard = Hard(sequences, split, num_negatives=num_negatives, pool=pool)
        self.uniform = Uniform(sequences, split, num_negatives=num_negatives)

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: object
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        hard, log_hard = self.hard(users, targets, scores)
        uniform, log_uniform = self.uniform(users, targets, scores)
        is_hard = torch.rand(hard.shape, device=users.device) < self.hard_share
        items = torch.where(is_hard, hard, uniform)
        in_pool = (self.hard.pools[users].unsqueeze(1) == items.unsqueeze(2)).any(2)
        q = self.hard_share * log_hard.exp() * in_pool + (1 - self.hard_share) * log_uniform.exp()
        return items, q.log()
