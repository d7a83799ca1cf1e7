"""Interaction histories in compressed sparse rows: one row per user, in time order."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from hybrid_seq_gnn.data.events import Events

if TYPE_CHECKING:
    from hybrid_seq_gnn.data.split import Split


@dataclass(frozen=True)
class Sequences:
    """Every user's events in time order (ties keep file order).

    Attributes:
        indptr: (users + 1,) int64. User u's events are `items[indptr[u]:indptr[u + 1]]`.
        items: (events,) int64, item ids 1..num_items; 0 is reserved for padding.
        timestamps: (events,) int64 or float64, in the unit of the source; None if it has no times.
        user_ids: (users,) the ids in the source, int64 or text.
        item_ids: (num_items,) the same for items; `item_ids[i - 1]` is the id of item i.
        cache: folder where slow results derived from these data may be cached, such as graphs; None: nowhere.
    """

    indptr: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray | None
    user_ids: np.ndarray
    item_ids: np.ndarray
    cache: Path | None = None

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items, without padding."""
        return len(self.item_ids)

    @property
    def lengths(self) -> np.ndarray:
        """(users,) events of each user."""
        return np.diff(self.indptr)

    def history(self, user: int | np.integer, end: int | np.integer) -> np.ndarray:
        """The first `end` items of one user's sequence."""
        start = self.indptr[user]
        return self.items[start : start + end]

    def training(self, split: "Split") -> tuple[np.ndarray, np.ndarray]:
        """User and item of every training event, user by user in time order."""
        position = np.arange(len(self.items)) - np.repeat(self.indptr[:-1], self.lengths)
        user = np.repeat(np.arange(self.num_users), self.lengths)
        mask = position < split.train_end[user]
        return user[mask], self.items[mask]

    def training_counts(self, split: "Split") -> np.ndarray:
        """(num_items + 1,) events of each item in the training part."""
        return np.bincount(self.training(split)[1], minlength=self.num_items + 1)

    def hash(self) -> str:
        """sha256 over ids and order of all events; the same on every machine."""
        digest = hashlib.sha256()
        for part in (self.indptr, self.items):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\n".join(map(str, ids.tolist())).encode() + b"\0")
        return digest.hexdigest()


def by_user(events: Events) -> Sequences:
    """Histories in time order. A user's events with equal timestamps keep their order in the file.

    The sort is stable: half of MovieLens-1M's timestamps are tied, and a different tie rule gives different test items.
    Users and items are numbered in order of first appearance in the file.
    """
    user, kept_users = pd.factorize(events.user)  # in order of first appearance
    item, kept_items = pd.factorize(events.item)
    row = np.arange(len(user)) if events.timestamp is None else np.argsort(events.timestamp, kind="stable")
    one_a_row = csr_array((row, user[row], np.arange(len(row) + 1)), shape=(len(row), len(kept_users)))
    by_column = one_a_row.tocsc()  # a counting sort by user, and stable
    order = by_column.data
    return Sequences(
        indptr=by_column.indptr.astype(np.int64),
        items=item[order] + 1,
        timestamps=None if events.timestamp is None else events.timestamp[order],
        user_ids=events.user_ids[kept_users],
        item_ids=events.item_ids[kept_items],
    )
