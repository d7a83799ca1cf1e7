"""Negatives from the popular items that the user has not seen."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.seen import Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited


class Hard(Limited, nn.Module):
    """K items per row, uniform over the `pool` most popular ones that the row's user has not seen in training.

        log q = -log(size of the user's pool)

    Source: ours. In the place of popular items that a user has seen, the next popular ones are in the pool. The pools
    are computed once: `pool` items per user.

    Args:
        sequences, split: give the items that each user has seen in training, and their popularity.
        num_negatives: K, items per row.
        pool: number of most popular unseen items to draw from.

    Shape:
        users, targets: (M,); targets and scores are not used. Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: K < 1, pool < 1, or a user has seen all items.
    """

    def __init__(
        self, sequences: Sequences, split: Split, *, num_negatives: AtLeast1 = 1, pool: AtLeast1 = 100
    ) -> None:
        super().__init__()
        self.num_negatives = num_negatives
        seen = Seen(sequences, split)
        by_popularity = 1 + np.argsort(-sequences.training_counts(split)[1:], kind="stable")
        place = np.empty(sequences.num_items + 1, dtype=np.int64)  # place of each item in the order of popularity
        place[by_popularity] = np.arange(sequences.num_items)
        pools = np.zeros((sequences.num_users, min(pool, sequences.num_items)), dtype=np.int64)
        size = np.zeros(sequences.num_users, dtype=np.int64)
        key, first = seen.key.numpy(), seen.first.numpy()
        for user in range(sequences.num_users):
            seen_places = place[key[first[user] : first[user + 1]] % seen.stride]
            reach = min(pools.shape[1] + len(seen_places), sequences.num_items)
            unseen = np.ones(reach, dtype=bool)
            unseen[seen_places[seen_places < reach]] = False
            items = by_popularity[:reach][unseen][: pools.shape[1]]
            pools[user, : len(items)], size[user] = items, len(items)
        self.register_buffer("pools", torch.from_numpy(pools), persistent=False)
        self.register_buffer("pool_size", torch.from_numpy(size), persistent=False)

    pools: Tensor
    pool_size: Tensor

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: object
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        size = self.pool_size[users].unsqueeze(1)
        draw = torch.rand(len(users), self.num_negatives, device=users.device, dtype=torch.float64)
        place = (draw * size).long().clamp_(max=size - 1)
        return self.pools[users.unsqueeze(1), place], -size.log().expand_as(place)
