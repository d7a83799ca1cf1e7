"""The best items for each history."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch, history_batches
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.use.histories import Histories
from hybrid_seq_gnn.use.load import Trained

USERS_AT_A_TIME = 64
SPARE = 6  # items beyond the k best, among which ties are sought first
A_PART = 1 << 13  # users whose recommendations are in memory at once


@dataclass(frozen=True)
class Recommended:
    """The K best items of U users, the best first.

    Attributes:
        histories: what the recommendations are for.
        items: (U, K) numbers, 0 where a user has fewer candidates than K.
        scores: (U, K) the model's scores, -inf there; comparable within a user only.
        alpha: (U,) weight of the sequence side; None if nothing is mixed. NaN for an empty history.
    """

    histories: Histories
    items: np.ndarray
    scores: np.ndarray
    alpha: np.ndarray | None


def recommend(trained: Trained, histories: Histories, k: int, *, include_seen: bool = False) -> Iterator[Recommended]:
    """The k best items for each history, in parts of `A_PART` users, so that memory does not grow with their number.

    Items with the same score stand in the order of their numbers. A history without events gets the most popular items.

    Args:
        include_seen: whether items of the history are candidates.

    Raises:
        UserError: k is not from 1 to the number of items, or the model knows no other users than its own.
    """
    if not 1 <= k <= trained.num_items:
        raise UserError(f"k={k}: expected a whole number from 1 to {trained.num_items}, the number of items.")
    require_users(trained, histories)
    for part in histories.parts(A_PART):
        yield of_part(trained, part, k, include_seen)


def require_users(trained: Trained, histories: Histories) -> None:
    """Refuse users that a model cannot serve.

    Raises:
        UserError: it knows its own users only, and these are others.
    """
    if trained.has_user_embeddings and histories.rows is None:
        raise UserError(
            "this model (lightgcn) has learned a vector for each user of its training data and has none for others. "
            "Choose users of those data, or train another model."
        )


def of_part(trained: Trained, histories: Histories, k: int, include_seen: bool) -> Recommended:
    """`recommend` for users that fit in memory."""
    lengths = histories.lengths
    items, scores = np.zeros((len(lengths), k), dtype=np.int64), np.full((len(lengths), k), -np.inf, dtype=np.float32)
    alpha: np.ndarray | None = None
    for rows, batch, seen in batches(trained, histories):
        with torch.inference_mode():
            found = trained.model.next_item_scores(batch)  # type: ignore[operator]
            best = top_k(found.all(), k, None if include_seen else seen)
        items[rows], scores[rows] = best[0].numpy(), best[1].float().numpy()
        if found.alpha is not None:
            alpha = np.full(len(lengths), np.nan) if alpha is None else alpha
            alpha[rows] = found.alpha.cpu().numpy()
    if (lengths == 0).any():
        popular = by_popularity(trained, k)
        items[lengths == 0], scores[lengths == 0] = popular
    return Recommended(histories, items, scores, alpha)


def batches(trained: Trained, histories: Histories) -> Iterator[tuple[np.ndarray, Batch, Int[Tensor, "B H"]]]:
    """Rows of users with a history, longest first, their batch for the model, and their whole history."""
    known = np.flatnonzero(histories.lengths > 0)
    users = known if histories.rows is None else histories.rows[known]
    first, length, size = histories.indptr[known], histories.lengths[known], USERS_AT_A_TIME
    found = history_batches(histories.items, first, length, users, trained.max_length, size, trained.num_items)
    for rows, batch, whole in found:
        yield known[rows], batch.to(trained.device), whole.to(trained.device)


def top_k(
    scores: Float[Tensor, "B N"], k: int, seen: Int[Tensor, "B H"] | None
) -> tuple[Int[Tensor, "B k"], Float[Tensor, "B k"]]:
    """Items and scores of the k best, ties in the order of items; item 0 and -inf where there are fewer candidates.

    Padding, items with a score of NaN or -inf, and those of `seen` are no candidates.
    """
    scores = scores.masked_fill(scores.isnan(), -torch.inf)
    scores[:, 0] = -torch.inf
    if seen is not None:
        scores.scatter_(1, seen, -torch.inf)
    best, items = scores.topk(min(k + SPARE, scores.shape[1]), dim=1)
    kth = best[:, k - 1 : k]
    if (best[:, -1:] == kth).any() and best.shape[1] < scores.shape[1]:  # topk breaks ties in no order that is promised
        best, items = scores.topk(min(int((scores >= kth).sum(1).max()), scores.shape[1]), dim=1)
    items, order = items.sort(dim=1)
    best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    items, best = items.gather(1, order)[:, :k], best[:, :k]
    return items.masked_fill(best == -torch.inf, 0).cpu(), best.cpu()


def by_popularity(trained: Trained, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the k items with the most events in training, and their logarithm of the share of events."""
    counts = trained.counts[1:]
    best = np.argsort(-counts, kind="stable")[:k]
    return best + 1, np.log(np.maximum(counts[best], 1) / max(counts.sum(), 1)).astype(np.float32)
