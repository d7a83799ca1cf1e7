"""Helpers for models that use counts and learn nothing by gradient descent."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError

UNLIMITED = 1 << 30  # max_length of models that read the whole history
USERS_AT_A_TIME = 1024


@dataclass(frozen=True)
class DenseScores:
    """Scores of all items as a dense matrix.

    Attributes:
        scores: (B, N), column 0 is padding.
        alpha: always None, since nothing is mixed.
    """

    scores: Float[Tensor, "B N"]
    alpha: None = None

    def all(self) -> Float[Tensor, "B N"]:
        return self.scores


def user_rows(sequences: Sequences, split: Split) -> Iterator[Float[Tensor, "U N"]]:
    """Which items each user has in the training part (1 or 0), in chunks of users."""
    user, items = sequences.training(split)
    for start in range(0, sequences.num_users, USERS_AT_A_TIME):
        chunk = (user >= start) & (user < start + USERS_AT_A_TIME)
        rows = torch.zeros(min(USERS_AT_A_TIME, sequences.num_users - start), sequences.num_items + 1)
        rows[torch.from_numpy(user[chunk] - start), torch.from_numpy(items[chunk])] = 1.0
        yield rows


def gram(sequences: Sequences, split: Split) -> Float[Tensor, "N N"]:
    """X.T @ X for the user-item matrix X of the training part: the number of users who had both items.

    Raises:
        UserError: the matrix would be larger than 16 GiB.
    """
    size = sequences.num_items + 1
    if size > 1 << 16:
        raise UserError(
            f"{sequences.num_items:,} items are too many for this model, which stores an items-by-items matrix; "
            "raise data.min_item_events or data.k_core to keep fewer."
        )
    total = torch.zeros(size, size)
    for rows in user_rows(sequences, split):
        total.addmm_(rows.T, rows)
    return total


def events_since(batch: Batch) -> Int[Tensor, "B T"]:
    """Number of later events in the history, for each event; 0 for the latest one and for padding."""
    mask = batch.items > 0
    return (mask.sum(1, keepdim=True) - mask.cumsum(1)).clamp(min=0)


def history_rows(batch: Batch, size: int, recency: float = 1.0) -> Float[Tensor, "B N"]:
    """Weight of every item in each user's history: recency ** (number of events since its latest occurrence)."""
    weight = torch.where(batch.items > 0, recency ** events_since(batch).float(), 0.0)
    rows = torch.zeros(len(batch.items), size, device=batch.items.device)
    return rows.scatter_reduce_(1, batch.items, weight, "amax")


def sum_of_history(batch: Batch, weights: Float[Tensor, "N N"], recency: float = 1.0) -> Float[Tensor, "B N"]:
    """The sum of the rows of the history's distinct items, each times recency ** (events since its latest occurrence).

    Cost: N for each cell of (B, T), where a product with a row of all items would cost N * N for each user.
    """
    items, order = batch.items.sort(dim=1, stable=True)
    latest = F.pad(items[:, 1:] != items[:, :-1], (0, 1), value=True) & (items > 0)
    each = torch.where(latest, recency ** events_since(batch).gather(1, order).to(weights.dtype), 0.0)
    return F.embedding_bag(items, weights, per_sample_weights=each, mode="sum")
