"""Interactions as a file tells them: one row an event, in file order."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.ChunkedArray
BITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}  # of the whole numbers that each tells apart


@dataclass(frozen=True)
class Events:
    """Columns of equal length, in file order.

    Attributes:
        user, item: (events,) int64 codes into `user_ids`, `item_ids`, in order of first appearance.
        rating: (events,) float64, or None where the source has none.
        timestamp: (events,) int64 or float64, in the unit of the source; None where it has none.
        user_ids, item_ids: the ids of the source: int64 where all read back the same, else all text (dtype object).
        notes: what the log should say of how they were read.
        unit: of the timestamps, D, s, ms, us or ns since 1970; None if the source does not say.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None
    timestamp: np.ndarray | None
    user_ids: np.ndarray
    item_ids: np.ndarray
    notes: tuple[str, ...] = ()
    unit: str | None = None

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
        """(events,) how many events the user of each event has."""
        return np.asarray(np.bincount(self.user, minlength=len(self.user_ids))[self.user])

    def per_item(self) -> np.ndarray:
        """(events,) how many events the item of each event has."""
        return np.asarray(np.bincount(self.item, minlength=len(self.item_ids))[self.item])


class UnreadableColumn(ValueError):
    """A column that cannot be read as what it should hold.

    Attributes:
        field: user, item, rating or timestamp.
    """

    field: str = ""


def encode(column: Column | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0, 1, ... in order of first appearance, and the ids that they stand for.

    Raises:
        UnreadableColumn: the type cannot be an id, an id holds a line break, or floats are too large to be ids.
    """
    if isinstance(column, np.ndarray):
        column = pa.chunked_array([pa.array(column)])
    if pa.types.is_nested(column.type):
        raise UnreadableColumn(f"holds {column.type}, which is no id")
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            column = pc.cast(column, pa.string())
        except pa.ArrowInvalid as error:
            raise UnreadableColumn("holds binary values that are no UTF-8 text") from error
    column = unfloated(column)
    numbers = pa.types.is_string(column.type) and as_numbers(column[:100]) is not None  # a failed cast reads all values
    if numbers and (found := as_numbers(column)) is not None:
        column = found  # half as long to encode
    encoded = column.dictionary_encode()  # one dictionary for all chunks
    if not encoded.num_chunks:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks]).astype(np.int64)
    return codes, ids_array(encoded.chunk(0).dictionary)


def unfloated(column: Column) -> Column:
    """Floats as int64 where all are whole, as pandas makes floats of them; other columns as they are.

    Raises:
        UnreadableColumn: a value is no finite number, or so large that its neighbours are the same float.
    """
    if column.type not in BITS:
        return column
    check_floats(column)
    values = column.to_numpy()
    integers = values.astype(np.int64)
    return pa.chunked_array([integers if np.array_equal(integers, values) else values + 0])  # -0.0 is 0.0


def check_floats(column: Column) -> None:
    """Raise UnreadableColumn if a column has floats that are not finite, or so large that its type rounds them."""
    if column.type not in BITS:
        return
    values = column.to_numpy()
    if not np.isfinite(values).all():
        raise UnreadableColumn("holds values that are no finite numbers")
    if (np.abs(values) >= 2.0 ** BITS[column.type]).any():
        raise UnreadableColumn(
            f"holds floats beyond 2 ** {BITS[column.type]}, which do not tell whole numbers apart; write them as whole "
            "numbers or as text"
        )


def text_of(one: Any) -> str:
    """An id as text, of whatever type: 12.0 is "12", b"x" is "x", True is "true"."""
    if isinstance(one, float | np.floating):
        return str(int(one)) if float(one).is_integer() and abs(float(one)) < 2.0 ** BITS[pa.float64()] else str(one)
    if isinstance(one, bool | np.bool_):
        return str(one).lower()
    return one.decode("utf-8", "backslashreplace") if isinstance(one, bytes) else str(one)


def as_numbers(ids: pa.Array | Column) -> pa.Array | Column | None:
    """Whole numbers or text as int64, if every value reads back the same; None otherwise."""
    try:
        numbers = pc.cast(ids, pa.int64())
    except pa.ArrowInvalid:
        return None
    same = pa.types.is_integer(ids.type) or pc.all(pc.equal(pc.cast(numbers, pa.string()), ids)).as_py()
    return numbers if same else None


def ids_array(ids: pa.Array) -> np.ndarray:
    """Ids as int64 where every one reads back the same ("7" does, "007" and 2 ** 63 do not), else as text.

    Example:
        >>> ids_array(pa.array(["7", "12"])).tolist(), ids_array(pa.array(["7", "012"])).tolist()
        ([7, 12], ['7', '012'])
    """
    if pa.types.is_floating(ids.type):
        ids = pa.array([text_of(one) for one in ids.to_numpy()])
    elif not pa.types.is_integer(ids.type):
        ids = of_bytes(ids) if pa.types.is_fixed_size_binary(ids.type) else pc.cast(ids, pa.string())
        if pc.any(pc.match_substring_regex(ids, "[\r\n]")).as_py():
            raise UnreadableColumn("holds ids with a line break")
    if (numbers := as_numbers(ids)) is not None:
        return np.asarray(numbers.to_numpy())
    values = np.empty(len(ids), dtype=object)
    values[:] = pc.cast(ids, pa.string()).to_pylist()
    return values


def of_bytes(ids: pa.Array) -> pa.Array:
    """Ids of a fixed number of bytes as text; 16 bytes that are no printable text are a UUID.

    Raises:
        UnreadableColumn: other bytes are no UTF-8 text.
    """
    raw = ids.to_pylist()
    if ids.type.byte_width == 16 and not all(one.isascii() and one.decode().isprintable() for one in raw):
        return pa.array([str(UUID(bytes=one)) for one in raw], pa.string())
    try:
        return pa.array([one.decode() for one in raw], pa.string())
    except UnicodeDecodeError as error:
        raise UnreadableColumn("holds binary values that are no UTF-8 text") from error


def events(
    user: Column | np.ndarray,
    item: Column | np.ndarray,
    rating: np.ndarray | None = None,
    timestamp: np.ndarray | None = None,
) -> Events:
    """Events from columns of ids."""
    (user_codes, user_ids), (item_codes, item_ids) = encode(user), encode(item)
    return Events(user_codes, item_codes, rating, timestamp, user_ids, item_ids)
