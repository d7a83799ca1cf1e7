"""The items that each user has seen in training, which samplers must exclude."""

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError


class Seen(nn.Module):
    """Distinct items of each user's training part, sorted, as one array of keys user * (num_items + 1) + item.

    Raises:
        ValueError: a user has seen all items, so no negative is left.
    """

    def __init__(self, sequences: Sequences, split: Split) -> None:
        super().__init__()
        self.num_items, self.stride = sequences.num_items, sequences.num_items + 1
        user, items = sequences.training(split)
        key = np.unique(user * self.stride + items)
        first = np.searchsorted(key, np.arange(sequences.num_users + 1) * self.stride)
        if len(full := np.flatnonzero(np.diff(first) >= sequences.num_items)):
            raise UserError(
                f"user {sequences.user_ids[full[0]]} has seen all {sequences.num_items} items, so no negative is left; "
                "use loss=cross_entropy."
            )
        self.register_buffer("key", torch.from_numpy(key), persistent=False)
        self.register_buffer("first", torch.from_numpy(first), persistent=False)

    key: Tensor
    first: Tensor

    def has(self, users: Int[Tensor, "*M"], items: Int[Tensor, "*M"]) -> Bool[Tensor, "*M"]:
        """Whether users[m] has seen items[m], for each m."""
        key = users * self.stride + items
        place = torch.searchsorted(self.key, key).clamp_(max=max(len(self.key) - 1, 0))
        return self.key[place] == key if len(self.key) else torch.zeros_like(key, dtype=torch.bool)

    def count(self, users: Int[Tensor, "M"]) -> Int[Tensor, "M"]:
        """Distinct items of each user."""
        return self.first[users + 1] - self.first[users]

    def of(self, users: Int[Tensor, "M"]) -> tuple[Int[Tensor, "S"], Int[Tensor, "S"]]:
        """Row in `users` and item id of every item that the users have seen."""
        count = self.count(users)
        row = torch.arange(len(users), device=users.device).repeat_interleave(count)
        within = torch.arange(len(row), device=users.device) - (count.cumsum(0) - count)[row]
        return row, self.key[self.first[users][row] + within] % self.stride
