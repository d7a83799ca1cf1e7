"""Negatives drawn by popularity."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.seen import Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited, NotNegative

ROUNDS = 20  # of rejection sampling; rows that still hold a seen item are then drawn exactly, one by one


class Popularity(Limited, nn.Module):
    """K items per row that the row's user has not seen in training; never padding.

        q_j = c_j^exponent / (sum over items i that the user has not seen of c_i^exponent),   c = 1 + count in training

    Rejection sampling from the distribution over all items gives exactly q; the few rows with a draw rejected twenty
    times are drawn from q directly.

    Args:
        sequences, split: give the items that each user has seen in training, and their popularity.
        num_negatives: K, items per row.
        exponent: 1 is by count, 0 uniform; 0.75 is usual (Mikolov et al. 2013, arXiv:1310.4546).

    Shape:
        users, targets: (M,); targets and scores are not used. Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: K < 1, a negative exponent, or a user has seen all items.
    """

    def __init__(
        self, sequences: Sequences, split: Split, *, num_negatives: AtLeast1 = 1, exponent: NotNegative = 0.75
    ) -> None:
        super().__init__()
        self.num_negatives = num_negatives
        self.seen = Seen(sequences, split)
        weight = (1.0 + sequences.training_counts(split)) ** exponent
        weight[0] = 0.0
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)
        self.register_buffer("cumulative", torch.from_numpy(np.cumsum(weight)), persistent=False)
        self.register_buffer("unseen", self.seen.unseen(self.weight), persistent=False)

    weight: Tensor
    cumulative: Tensor
    unseen: Tensor

    def draw(self, *shape: int) -> Int[Tensor, "..."]:
        """Draw items by weight, whether a user has seen them or not."""
        point = torch.rand(*shape, device=self.weight.device, dtype=torch.float64) * self.cumulative[-1]
        return torch.searchsorted(self.cumulative, point, right=True).clamp_(1, len(self.weight) - 1)

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: object
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        user = users.unsqueeze(1).expand(-1, self.num_negatives)
        items = self.seen.redraw(user, self.draw(*user.shape), self.draw, ROUNDS)
        for row in self.seen.has(user, items).any(1).nonzero().squeeze(1).tolist():
            allowed = self.weight.clone()
            allowed[self.seen.items_of(users[row])] = 0.0
            items[row] = torch.multinomial(allowed, self.num_negatives, replacement=True)
        return items, (self.weight[items] / self.unseen[users, None]).log().float()
