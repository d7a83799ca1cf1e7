"""Interactions as read from a file: one row per event, in file order."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Events:
    """Columns of equal length, in file order.

    Attributes:
        user, item: (events,) int64 codes into `user_ids`, `item_ids`, in order of first appearance.
        rating: (events,) float64, or None if the source has none.
        timestamp: (events,) int64 or float64 seconds, or None if the source has none.
        user_ids, item_ids: the ids in the source; integers if that changes no id (see `plain`), else text.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None
    timestamp: np.ndarray | None
    user_ids: np.ndarray
    item_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def keep(self, rows: np.ndarray) -> "Events":
        """The events where `rows` is true."""
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            rating=None if self.rating is None else self.rating[rows],
            timestamp=None if self.timestamp is None else self.timestamp[rows],
        )

    def per_user(self) -> np.ndarray:
        """(events,) number of events of each event's user."""
        return np.asarray(np.bincount(self.user, minlength=len(self.user_ids))[self.user])

    def per_item(self) -> np.ndarray:
        """(events,) number of events of each event's item."""
        return np.asarray(np.bincount(self.item, minlength=len(self.item_ids))[self.item])


def events(
    user: "pd.Series[str] | np.ndarray",
    item: "pd.Series[str] | np.ndarray",
    rating: np.ndarray | None = None,
    timestamp: np.ndarray | None = None,
) -> Events:
    """Events from columns; ids are text or integers."""
    user_code, user_ids = pd.factorize(np.asarray(user))
    item_code, item_ids = pd.factorize(np.asarray(item))
    if timestamp is not None and np.array_equal(timestamp, whole := timestamp.astype(np.int64)):
        timestamp = whole
    return Events(
        user_code.astype(np.int64), item_code.astype(np.int64), rating, timestamp, plain(user_ids), plain(item_ids)
    )


def plain(ids: np.ndarray) -> np.ndarray:
    """Text ids as int64 if converting back gives the same text for all of them ('7' does, '007' does not).

    Example:
        >>> plain(np.array(["7", "12"])).tolist(), plain(np.array(["7", "012"])).tolist()
        ([7, 12], ['7', '012'])
    """
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    text = ids.astype(str)
    try:
        numbers = text.astype(np.int64)
    except (ValueError, OverflowError):
        return text
    return numbers if np.array_equal(numbers.astype(str), text) else text
