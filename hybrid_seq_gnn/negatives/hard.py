"""Negatives that everybody knows and this user has not had."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited
from hybrid_seq_gnn.negatives.seen import Seen


class Hard(Limited, nn.Module):
    """K items a row, uniform over the `pool` most popular ones that the row's user has not had in training.

        log q = -log(size of the user's pool)

    As in the plan of the study, which draws from the 100 most popular items; there a user who has had them all has no
    negative, here the pool is filled from the next popular ones. The pools are made once: `pool` items a user.

    Args:
        sequences, split: say what each user has had in training, and how often each item came.
        num_negatives: K, items a row.
        pool: most popular unseen items to draw from.

    Shape:
        users, targets: (M,); targets and scores do not matter here. Returns ids (M, K) and log q (M, K).

    Raises:
        ValueError: K < 1, pool < 1, or a user has had every item.
    """

    def __init__(
        self, sequences: Sequences, split: Split, *, num_negatives: AtLeast1 = 1, pool: AtLeast1 = 100
    ) -> None:
        super().__init__()
        self.num_negatives = num_negatives
        seen = Seen(sequences, split)
        by_popularity = 1 + np.argsort(-sequences.training_counts(split)[1:], kind="stable")
        place = np.empty(sequences.num_items + 1, dtype=np.int64)  # of each item in the order of popularity
        place[by_popularity] = np.arange(sequences.num_items)
        pools = np.zeros((sequences.num_users, min(pool, sequences.num_items)), dtype=np.int64)
        size = np.zeros(sequences.num_users, dtype=np.int64)
        key, first = seen.key.numpy(), seen.first.numpy()
        for user in range(sequences.num_users):
            had = place[key[first[user] : first[user + 1]] % seen.stride]
            reach = min(pools.shape[1] + len(had), sequences.num_items)
            free = np.ones(reach, dtype=bool)
            free[had[had < reach]] = False
            mine = by_popularity[:reach][free][: pools.shape[1]]
            pools[user, : len(mine)], size[user] = mine, len(mine)
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
