"""Histories to recommend for: users of the training data, of another file, or typed by hand."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from hybrid_seq_gnn.data.columns import times
from hybrid_seq_gnn.data.filters import filter_events
from hybrid_seq_gnn.data.prepare import Prepared, prepare
from hybrid_seq_gnn.data.sequences import by_user
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.table import plain_column
from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.identity import Config
from hybrid_seq_gnn.use.load import Trained, places

Before = Literal["now", "test", "validation"]
SHOWN = 5  # unknown ids that a message names
EVERYONE = {"max_users": None, "k_core": 0, "min_item_events": 1, "min_user_events": 1, "split": "global_time"}


@dataclass(frozen=True)
class Histories:
    """Events of U users, oldest first, in the numbers of a trained model.

    Attributes:
        users: (U,) their ids.
        indptr: (U + 1,) user u's events are `items[indptr[u]:indptr[u + 1]]`.
        items: numbers 1..N.
        rows: (U,) their rows in the training data; None for users of other data.
        lost: (U,) events of items that the model does not know, which are left out; None is none.
    """

    users: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    rows: np.ndarray | None = None
    lost: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)

    def of(self, row: int) -> np.ndarray:
        """The events of one user."""
        return self.items[self.indptr[row] : self.indptr[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """(U,) events of each user."""
        return np.diff(self.indptr)

    @property
    def unknown(self) -> int:
        """Events that are left out, of all users."""
        return 0 if self.lost is None else int(self.lost.sum())

    def parts(self, size: int) -> Iterator["Histories"]:
        """Parts of `size` users."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def take(self, chosen: np.ndarray) -> "Histories":
        """Some users, in the given order."""
        rows, lost = (None if part is None else part[chosen] for part in (self.rows, self.lost))
        some = cut(self.users[chosen], self.indptr[chosen], self.indptr[chosen + 1], self.items, rows)
        return replace(some, lost=lost)


def cut(users: np.ndarray, first: np.ndarray, end: np.ndarray, items: np.ndarray, rows: np.ndarray | None) -> Histories:
    """Histories `items[first:end]`."""
    size = end - first
    indptr = np.concatenate([[0], np.cumsum(size)])
    index = np.arange(indptr[-1]) + np.repeat(first - indptr[:-1], size)
    return Histories(users, indptr, items[index], rows)


def of_lists(trained: Trained, users: Iterable[Any], lists: Sequence[Collection[Any]]) -> Histories:
    """Histories of item ids."""
    sizes = np.array([len(one) for one in lists], dtype=np.int64)
    flat = (item for one in lists for item in (one.tolist() if isinstance(one, np.ndarray) else one))
    ids = np.asarray(users if hasattr(users, "__array__") else list(users))  # a list of uint64 would become floats
    return known(ids, np.concatenate([[0], np.cumsum(sizes)]), trained.numbers(flat))


def known(users: np.ndarray, indptr: np.ndarray, numbers: np.ndarray) -> Histories:
    """Histories without unknown items, whose number is 0."""
    kept = np.concatenate([[0], np.cumsum(numbers > 0)])
    return Histories(users, kept[indptr], numbers[numbers > 0], lost=np.diff(indptr) - np.diff(kept[indptr]))


def typed(trained: Trained, ids: Iterable[Any]) -> Histories:
    """One history, as item ids.

    Raises:
        UserError: none of the items is known.
    """
    ids = list(ids)
    found = of_lists(trained, ["new"], [ids])
    require_some(trained, len(found.items), ids, "history")
    return found


def of_frame(trained: Trained, frame: pd.DataFrame) -> Histories:
    """The users of a frame with columns user, item and, unless it is in time order, timestamp, read as in training.

    Raises:
        UserError: a column is missing, there twice, or has no times; a value is missing; or none of the items is known.
    """
    if missing := {"user", "item"} - set(frame.columns):
        raise UserError(f"recommend: the frame lacks the column {', '.join(sorted(missing))}.")
    names = [name for name in ("user", "item", "timestamp") if name in frame]
    frame = frame[names].reset_index(drop=True)
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise UserError(f"recommend: the frame has several columns {twice[0]}. Name them differently.")
    for name in names:
        if len(rows := np.flatnonzero(frame[name].isna())):
            raise UserError(f"recommend: the frame has no {name} in row {rows[0] + 1}. Fill it, or leave the row out.")
    if "timestamp" in frame:
        with as_user_error(
            "recommend: the timestamp of the frame cannot be read (pandas.to_datetime makes dates of text)"
        ):
            column = plain_column(pa.Table.from_pandas(frame[["timestamp"]])["timestamp"])
            dates = pa.types.is_temporal(column.type)
            when, _ = times(column, None if dates else trained.config["data"].get("time_format"))
        frame = frame.iloc[np.argsort(when, kind="stable")]
    lists = frame.groupby("user", sort=False, observed=True)["item"].agg(list)
    found = of_lists(trained, lists.index, lists.tolist())
    require_some(trained, len(found.items), frame["item"].tolist(), "recommend")
    return found


def require_some(trained: Trained, known: int, ids: list[Any], what: str) -> None:
    """Refuse item ids of which none is known, since everybody would get what is popular."""
    if ids and not known:
        some = ", ".join(map(str, trained.item_ids[:SHOWN].tolist()))
        commas = what == "history" and any("," in str(one) for one in ids)
        raise UserError(
            f"{what}: this model knows none of {', '.join(map(str, ids[:SHOWN]))}. It knows the items of its training "
            f"data, such as {some}."
            + (" --history takes ids with spaces between them (and --users with commas)." if commas else "")
        )


def of_training(trained: Trained, users: Iterable[Any] | None = None, before: Before = "now") -> Histories:
    """Users of the data that the model was trained on.

    Args:
        users: their ids; None means all.
        before: `now` gives all events of a user, `test` and `validation` those before the held-out one.

    Raises:
        UserError: the data are no longer there or have changed, or a user is not among them.
    """
    conform("before", before, Before)
    prepared = training_data(trained)
    sequences = prepared.sequences
    rows = np.arange(sequences.num_users)
    if users is not None:
        users = list(users)
        rows = places(pd.Index(sequences.user_ids), users)
        if len(lost := np.flatnonzero(rows < 0)):
            names, some = (
                [str(users[k]) for k in lost[:SHOWN]],
                ", ".join(map(str, sequences.user_ids[:SHOWN].tolist())),
            )
            raise UserError(
                f"users: {', '.join(names)} {'is' if len(lost) == 1 else 'are'} not in the training data, whose users "
                f"are {some}, … Give the history of a new user instead. --users takes ids with commas between them, or "
                "a file that is there, with one id per line and neither header nor quotes."
            )
    first, end = sequences.indptr[rows], sequences.indptr[rows + 1]
    if before != "now":
        position = (prepared.split.test if before == "test" else prepared.split.valid)[rows]
        first, end, rows = (part[position >= 0] for part in (first, first + position, rows))
    return cut(sequences.user_ids[rows], first, end, sequences.items, rows)


def training_data(trained: Trained) -> Prepared:
    """The data that the model was trained on.

    Raises:
        UserError: they are not there, or are others.
    """
    prepared = prepare(build(trained.config["data"]))
    if prepared.split_hash != trained.split_hash:
        raise UserError(
            f"the data of {trained.folder} have changed since it was trained (split {prepared.split_hash[:12]}, then "
            f"{trained.split_hash[:12]}). Name other data with data=… data.path=…, or train again."
        )
    return prepared


def of_source(trained: Trained, node: Config) -> Histories:
    """All users of other data, whose items have the same ids. Ratings and repeats are filtered as the settings say, and
    no user is too short.

    Raises:
        UserError: none of the items is known.
    """
    source: Source = replace(build(node), **EVERYONE, cache=False)
    events, _ = filter_events(source.read(source.content()), source)
    sequences = by_user(events)
    numbers = np.concatenate([[0], trained.numbers(sequences.item_ids)])[sequences.items]
    require_some(trained, int((numbers > 0).sum()), sequences.item_ids.tolist(), source.path or "data")
    return known(sequences.user_ids, sequences.indptr, numbers)
