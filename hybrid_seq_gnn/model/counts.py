"""What models that count, rather than learn, have in common."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split

UNLIMITED = 1 << 30  # max_length of models that read the whole history
USERS_AT_A_TIME = 1024


@dataclass(frozen=True)
class DenseScores:
    """Scores of all items, as they are.

    Attributes:
        scores: (B, N), column 0 is padding.
        alpha: None: nothing is mixed.
    """

    scores: Float[Tensor, "B N"]
    alpha: None = None

    def all(self) -> Float[Tensor, "B N"]:
        return self.scores


def user_rows(sequences: Sequences, split: Split) -> Iterator[Float[Tensor, "U N"]]:
    """Which items each user had in the training part (1 or 0), some users at a time."""
    user, items = sequences.training(split)
    for start in range(0, sequences.num_users, USERS_AT_A_TIME):
        here = (user >= start) & (user < start + USERS_AT_A_TIME)
        rows = torch.zeros(min(USERS_AT_A_TIME, sequences.num_users - start), sequences.num_items + 1)
        rows[torch.from_numpy(user[here] - start), torch.from_numpy(items[here])] = 1.0
        yield rows


def gram(sequences: Sequences, split: Split) -> Float[Tensor, "N N"]:
    """X.T @ X of the user-item matrix of the training part: how many users had both items.

    Raises:
        ValueError: the table would be larger than 16 GiB.
    """
    size = sequences.num_items + 1
    if size > 1 << 16:
        raise ValueError(
            f"{sequences.num_items:,} items are too many for this model, which holds a table of items by items; "
            "data.min_item_events or data.k_core leaves fewer."
        )
    total = torch.zeros(size, size)
    for rows in user_rows(sequences, split):
        total.addmm_(rows.T, rows)
    return total


def history_rows(batch: Batch, size: int, recency: float = 1.0) -> Float[Tensor, "B N"]:
    """Weight of every item in each user's history: recency ** (events since), the latest occurrence counts."""
    mask = batch.items > 0
    since = (mask.sum(1, keepdim=True) - mask.cumsum(1)).clamp(min=0)
    weight = torch.where(mask, recency ** since.float(), 0.0)
    rows = torch.zeros(len(batch.items), size, device=batch.items.device)
    return rows.scatter_reduce_(1, batch.items, weight, "amax")
