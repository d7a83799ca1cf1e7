"""Negatives drawn uniformly from all items that a user has not seen."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.seen import Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited


class Uniform(Limited, nn.Module):
    """K items per row, uniform over the items that the row's user has not seen in training; never padding.

        log q = -log(num_items - distinct items of the user)

    Exact, without rejection: with the seen items s_0 < s_1 < ..., the r-th unseen item is r + 1 + (number of k with
    s_k - k - 1 <= r). One binary search per draw finds it. Draws are independent, so an item may occur twice.

    With per=user, rows of the same user that follow each other share their K items. Each row has the same probabilities
    as before, the gradient is noisier, and large catalogues train several times as fast: a history costs K random
    reads of the item table instead of K for each of its positions.

    Args:
        sequences, split: give the items that each user has seen in training.
        num_negatives: K, items per row.
        per: `position` draws anew for every row, `user` once for all rows of a history.

    Shape:
        users, targets: (M,); targets and scores are not used. Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: K < 1, or a user has seen all items.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        num_negatives: AtLeast1 = 1,
        per: Literal["position", "user"] = "position",
    ) -> None:
        super().__init__()
        self.num_negatives, self.per = num_negatives, per
        self.seen = Seen(sequences, split)
        rank = torch.arange(len(self.seen.key)) - self.seen.first[self.seen.key // self.seen.stride]
        self.register_buffer("gaps", self.seen.key - rank - 1, persistent=False)  # s_k - k - 1, by user

    gaps: Tensor

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: object
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        if self.per == "user":
            users, row = torch.unique_consecutive(users, return_inverse=True)
        unseen = (self.seen.num_items - self.seen.count(users)).unsqueeze(1)  # (M, 1)
        draw = torch.rand(len(users), self.num_negatives, device=users.device, dtype=torch.float64)
        rank = (draw * unseen).long().clamp_(max=unseen - 1)
        key = users.unsqueeze(1) * self.seen.stride + rank
        before = torch.searchsorted(self.gaps, key, right=True) - self.seen.first[users].unsqueeze(1)
        items, log_q = rank + 1 + before, -unseen.log().expand_as(rank)
        return (items, log_q) if self.per == "position" else (items[row], log_q[row])
