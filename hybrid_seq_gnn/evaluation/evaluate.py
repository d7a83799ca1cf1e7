"""Rank the held-out item of every user among all items."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybrid_seq_gnn.allocator import releasing
from hybrid_seq_gnn.data.batches import moved, ranking_batches
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.interfaces import Recommender

MORE_ON_A_GPU = 16  # times as many users at a time: a launch costs as much as a large product


@dataclass(frozen=True)
class Ranking:
    """One row per user, ordered by user.

    Attributes:
        users: (U,) rows of `Sequences`.
        ranks: (U,) rank of the held-out item among all items that are not masked, from 1; ties count against it.
        lengths: (U,) events before the held-out item.
        alpha: (U,) weight of the sequence side; None if the model has no fusion.
    """

    users: np.ndarray
    ranks: np.ndarray
    lengths: np.ndarray
    alpha: np.ndarray | None


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode and turn gradients off, then restore the previous mode."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def merge(parts: list[Ranking]) -> Ranking:
    """Join rankings of disjoint sets of users into one."""
    if len(parts) == 1:
        return parts[0]
    parts = [part for part in parts if len(part.users)] or parts[:1]
    users = np.concatenate([part.users for part in parts])
    by_user = users.argsort()
    alphas = [part.alpha for part in parts if part.alpha is not None]
    return Ranking(
        users=users[by_user],
        ranks=np.concatenate([part.ranks for part in parts])[by_user],
        lengths=np.concatenate([part.lengths for part in parts])[by_user],
        alpha=np.concatenate(alphas)[by_user] if alphas else None,
    )


def part_of(positions: np.ndarray, share: Callable[[int], slice]) -> np.ndarray:
    """`positions` for this process's share of the users, -1 for all others; shares have similar history lengths."""
    users = np.flatnonzero(positions >= 0)
    users = users[np.argsort(positions[users], kind="stable")]
    users = users[share(len(users))]
    part = np.full_like(positions, -1)
    part[users] = positions[users]
    return part


def rank_users(
    model: Recommender,
    sequences: Sequences,
    positions: np.ndarray,
    *,
    batch_size: int,
    mask: bool,
    device: torch.device,
) -> Ranking:
    """Rank each user's item at position `positions[u]`, given the events before it.

    Args:
        model: scores all items.
        sequences: all histories.
        positions: (users,) position of the held-out item, -1 where a user has none.
        batch_size: see `users_at_a_time`.
        mask: remove the user's full history from the ranking (never the held-out item itself).
        device: the model's device.
    """
    users = np.flatnonzero(positions >= 0)
    batch_size = batch_size if device.type == "cpu" else batch_size * MORE_ON_A_GPU
    ranks: list[Tensor] = []
    alphas: list[Tensor] = []
    order: list[Tensor] = []
    for ranking in releasing(ranking_batches(sequences, users, positions, model.max_length, batch_size)):
        targets, history = moved(device, ranking.targets, ranking.history if mask else ranking.history[:, :0])
        scores = model.next_item_scores(ranking.batch.to(device))
        ranks.append(rank_of_target(scores.all(), targets, history))
        order.append(ranking.batch.users)
        if scores.alpha is not None:
            alphas.append(scores.alpha)
    by_user = torch.cat(order).argsort() if order else torch.zeros(0, dtype=torch.long)
    return Ranking(
        users=users,
        ranks=torch.cat(ranks).cpu()[by_user].numpy() if ranks else np.zeros(0, dtype=np.int64),
        lengths=positions[users],
        alpha=torch.cat(alphas).cpu()[by_user].numpy() if alphas else None,
    )
