"""Negatives drawn alike from all items that a user has not had."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split


class Uniform(nn.Module):
    """K items a row, uniform over those that are not in the training part of the row's user; never padding.

        log q = -log(num_items - distinct items of the user)

    Exact and without rejection: the r-th unseen item is r + 1 + (number of seen items s_k, the k-th in order from 0,
    with s_k - k - 1 <= r), found by one binary search a draw. Draws are independent, so an item may come twice.

    Args:
        sequences, split: say what each user has had in training.
        num_negatives: K, items a row.

    Shape:
        users, targets: (M,); the targets do not matter here. Returns ids (M, K) and log q (M, K).

    Raises:
        ValueError: K < 1, or a user has had every item.
    """

    def __init__(self, sequences: Sequences, split: Split, *, num_negatives: int = 1) -> None:
        super().__init__()
        if num_negatives < 1:
            raise ValueError(f"negatives.num_negatives={num_negatives}: must be 1 or more.")
        self.num_negatives = num_negatives
        self.stride = sequences.num_items + 1
        position = np.arange(len(sequences.items)) - np.repeat(sequences.indptr[:-1], sequences.lengths)
        user = np.repeat(np.arange(sequences.num_users), sequences.lengths)
        training = position < split.train_end[user]
        seen_user, seen_item = np.divmod(
            np.unique(user[training] * self.stride + sequences.items[training]), self.stride
        )
        first = np.searchsorted(seen_user, np.arange(sequences.num_users + 1))
        rank = np.arange(len(seen_user)) - first[seen_user]
        self.register_buffer("first", torch.from_numpy(first[:-1]), persistent=False)
        self.register_buffer("unseen", torch.from_numpy(sequences.num_items - np.diff(first)), persistent=False)
        self.register_buffer("key", torch.from_numpy(seen_user * self.stride + seen_item - rank - 1), persistent=False)
        if len(full := np.flatnonzero(np.diff(first) >= sequences.num_items)):
            raise ValueError(
                f"user {sequences.user_ids[full[0]]} has had all {sequences.num_items} items, so no negative is left; "
                "use loss=cross_entropy."
            )

    first: Tensor
    unseen: Tensor
    key: Tensor

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"]
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Ids of the negatives, and the log of their probability."""
        unseen = self.unseen[users].unsqueeze(1)  # (M, 1)
        draw = torch.rand(len(users), self.num_negatives, device=users.device, dtype=torch.float64)
        rank = (draw * unseen).long().clamp_(max=unseen - 1)
        key = users.unsqueeze(1) * self.stride + rank
        before = torch.searchsorted(self.key, key, right=True) - self.first[users].unsqueeze(1)
        return rank + 1 + before, -unseen.log().expand_as(rank)
