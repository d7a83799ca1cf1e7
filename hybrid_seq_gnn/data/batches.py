"""Batches of histories for training (a target at every position) and for ranking (one target per user)."""

from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split


@dataclass(frozen=True)
class Batch:
    """Histories, padded with 0 on the right.

    A *position* is a place in (B, T) that holds an item. Models compute packed tensors: one row for each of the M
    positions, user after user, in time order, without padding. M is known to the CPU, so that a GPU need not be asked.

    Attributes:
        users: (B,) rows of `Sequences`.
        items: (B, T) the latest events, oldest first.
        length: (B, T) events seen up to and including each position, counted BEFORE truncation; 0 at padding.
        places: (M,) index of each position in the flattened (B, T).
    """

    users: Int[Tensor, "B"]
    items: Int[Tensor, "B T"]
    length: Int[Tensor, "B T"]
    known: InitVar[Tensor | None] = None  # the places, if they are known
    places: Int[Tensor, "M"] = field(init=False)

    def __post_init__(self, known: Tensor | None) -> None:
        found = (self.items > 0).flatten().nonzero()[:, 0] if known is None else known
        object.__setattr__(self, "places", found)

    def packed(self, values: Shaped[Tensor, "B T ..."]) -> Shaped[Tensor, "M ..."]:
        """The values at the positions."""
        rows = values.flatten(0, 1)
        return rows if len(rows) == len(self.places) else rows.index_select(0, self.places)

    def unpacked(self, rows: Shaped[Tensor, "M D"]) -> Shaped[Tensor, "B T D"]:
        """One row for each position, put in its place; 0 at padding."""
        if len(rows) < self.items.numel():
            rows = rows.new_zeros(self.items.numel(), rows.shape[1]).index_copy(0, self.places, rows)
        return rows.view(*self.items.shape, -1)

    @property
    def row(self) -> Int[Tensor, "M"]:
        """The history of each position, from 0 to B - 1."""
        return self.places // self.items.shape[1]

    @property
    def column(self) -> Int[Tensor, "M"]:
        """The place of each position in its history, from 0 to T - 1."""
        return self.places % self.items.shape[1]

    @property
    def size(self) -> Int[Tensor, "B"]:
        """Positions of each history."""
        return (self.items > 0).sum(1)

    @property
    def last(self) -> Int[Tensor, "B"]:
        """The latest position of each history, from 0 to M - 1."""
        return self.size.cumsum(0) - 1

    @property
    def back(self) -> Int[Tensor, "M"]:
        """Positions from each to the latest of its history: 0 for the latest event, 1 for the one before."""
        return self.last[self.row] - torch.arange(len(self.places), device=self.places.device)

    def to(self, device: torch.device) -> "Batch":
        return Batch(*moved(device, self.users, self.items, self.length, self.places))


def moved(device: torch.device, *tensors: Int[Tensor, "..."]) -> list[Tensor]:
    """Tensors of the CPU on a device. They travel in one copy, which a GPU makes while it computes."""
    if device.type == "cpu":
        return list(tensors)
    flat = torch.cat([each.flatten() for each in tensors]).pin_memory().to(device, non_blocking=True)
    parts = torch.split(flat, [each.numel() for each in tensors])
    return [part.view(each.shape) for part, each in zip(parts, tensors, strict=True)]


@dataclass(frozen=True)
class TrainingBatch:
    """Histories with the next item at every position.

    Attributes:
        batch: the histories.
        targets: (M,) the item after each position.
    """

    batch: Batch
    targets: Int[Tensor, "M"]

    def to(self, device: torch.device) -> "TrainingBatch":
        batch = self.batch
        *parts, targets = moved(device, batch.users, batch.items, batch.length, batch.places, self.targets)
        return TrainingBatch(Batch(*parts), targets)


@dataclass(frozen=True)
class RankingBatch:
    """Histories with one held-out item per user.

    Attributes:
        batch: the histories, truncated to what the model reads.
        targets: (B,) the held-out item.
        history: (B, H) all items of the user before the target, NOT truncated; 0 is padding.
    """

    batch: Batch
    targets: Int[Tensor, "B"]
    history: Int[Tensor, "B H"]


def padded_rows(values: np.ndarray, first: np.ndarray, size: np.ndarray) -> Tensor:
    """(B, max(size)) rows `values[first : first + size]`, padded with 0 on the right."""
    column = np.arange(int(size.max(initial=1)))
    inside = column < size[:, None]
    index = np.where(inside, first[:, None] + column, 0)
    return torch.from_numpy(np.where(inside, values[index], 0))


def padded_lengths(seen: np.ndarray, size: np.ndarray) -> Tensor:
    """(B, max(size)) `seen + 1, seen + 2, ...` for `size` positions, 0 at padding."""
    column = np.arange(int(size.max(initial=1)))
    return torch.from_numpy(np.where(column < size[:, None], seen[:, None] + column + 1, 0))


class TrainingWindows:
    """The training part of every user, cut into windows of at most `max_length` positions that share no target.

    A user with n training events has n - 1 targets. Long histories are cut from the end, so only the oldest window can
    be short. Source: ours; SASRec (Kang & McAuley 2018) drops events older than `max_length` instead.

    Args:
        sequences, split: histories, and which of their events are for training.
        max_length: maximum number of positions in a window.
        batch_size: windows per batch.
        users: use only the first `users` users; None uses all.
        share: maps the number of rows in a batch to the rows that this process takes; by default all.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        max_length: int,
        batch_size: int,
        users: int | None = None,
        share: Callable[[int], slice] = slice,
    ) -> None:
        self.share = share
        self.items = sequences.items
        self.batch_size = batch_size
        targets = np.maximum(split.train_end - 1, 0)
        if users is not None:
            targets[users:] = 0
        windows = -(-targets // max_length)
        self.user = np.repeat(np.arange(sequences.num_users), windows)
        # the k-th window from the end has targets [end - max_length, end)
        k = np.arange(len(self.user)) - np.repeat(np.cumsum(windows) - windows, windows)
        end = targets[self.user] - k * max_length
        self.seen = np.maximum(end - max_length, 0)  # events before the window's first input
        self.size = end - self.seen
        self.first = sequences.indptr[self.user] + self.seen

    @property
    def num_targets(self) -> int:
        """Number of positions with a target in one epoch."""
        return int(self.size.sum())

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.user) // self.batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[TrainingBatch]:
        """All windows in random order, in batches; each batch is reduced to this process's share."""
        order = rng.permutation(len(self.user))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            rows = rows[self.share(len(rows))]
            first, size = self.first[rows], self.size[rows]
            items = padded_rows(self.items, first, size)
            targets = padded_rows(self.items, first + 1, size)
            batch = Batch(torch.from_numpy(self.user[rows]), items, padded_lengths(self.seen[rows], size))
            yield TrainingBatch(batch, batch.packed(targets))


SCORES_AT_A_TIME = 1 << 25  # most scores in memory at once: 128 MiB of float32
SHORT, MORE = 50, 4  # events read of a history; how many times as many users at a time, where they are shorter


def users_at_a_time(read: np.ndarray, batch_size: int, num_items: int) -> Iterator[slice]:
    """Parts of users, so that steps with short histories have as much to do as those with long ones.

    Args:
        read: (U,) events that the model reads of each user, longest first.
        batch_size: users at a time; up to `MORE` times as many with less than `SHORT` events each, and fewer where the
            scores of all items would exceed `SCORES_AT_A_TIME`.
    """
    most, start = max(1, SCORES_AT_A_TIME // (num_items + 1)), 0
    while start < len(read):
        times = min(max(SHORT // max(int(read[start]), 1), 1), MORE)
        stop = start + min(batch_size * times, most)
        yield slice(start, stop)
        start = stop


def history_batches(
    items: np.ndarray,
    first: np.ndarray,
    length: np.ndarray,
    users: np.ndarray,
    max_length: int,
    batch_size: int,
    num_items: int,
) -> Iterator[tuple[np.ndarray, Batch, Int[Tensor, "B H"]]]:
    """Histories `items[first : first + length]`, the longest first: later batches reuse the memory of earlier ones.

    Args:
        items: item numbers of all histories.
        first, length, users: (U,) begin, number of events and user number of each history.
        max_length: the model reads only the latest `max_length` events.
        batch_size, num_items: see `users_at_a_time`.

    Shape:
        Yields rows (B,) in the order of length, their batch, and their whole histories, padded with 0.
    """
    order = np.argsort(-length, kind="stable")
    read = np.minimum(length[order], max_length)
    for part in users_at_a_time(read, batch_size, num_items):
        rows, size = order[part], read[part]
        seen = length[rows] - size
        latest = padded_rows(items, first[rows] + seen, size)
        batch = Batch(torch.from_numpy(users[rows]), latest, padded_lengths(seen, size))
        yield rows, batch, padded_rows(items, first[rows], length[rows])


def ranking_batches(
    sequences: Sequences, users: np.ndarray, positions: np.ndarray, max_length: int, batch_size: int
) -> Iterator[RankingBatch]:
    """Each user's history before position `positions[u]`, and the item at it.

    Args:
        sequences: all histories.
        users: (U,) users to rank, as rows of `sequences`; each has a target.
        positions: (users,) position of the target in each user's sequence; all events before it are the history.
        max_length: the model reads only the latest `max_length` events.
        batch_size: see `users_at_a_time`.
    """
    first, length = sequences.indptr[users], positions[users]
    targets = sequences.items[first + length]
    found = history_batches(sequences.items, first, length, users, max_length, batch_size, sequences.num_items)
    for rows, batch, history in found:
        yield RankingBatch(batch, torch.from_numpy(targets[rows]), history)
