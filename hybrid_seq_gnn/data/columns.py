"""From the columns of a file to events: ids come through unchanged, whole numbers stay whole."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hybrid_seq_gnn.data.events import Column, Events, UnreadableColumn, encode
from hybrid_seq_gnn.errors import UserError

EXACT = 1 << 53  # float64 holds every whole number up to here


def from_columns(columns: dict[str, Column], time_format: str | None) -> Events:
    """Events from the columns of a file.

    Raises:
        UnreadableColumn: one of them does not hold what it should.
    """
    found: dict[str, Any] = {}
    for field, column in columns.items():
        try:
            if field == "timestamp":
                found[field] = times(column, time_format)
            else:
                found[field] = ratings(column) if field == "rating" else encode(column)
        except UnreadableColumn as error:
            error.field = field
            raise
    (user, user_ids), (item, item_ids) = found["user"], found["item"]
    return Events(user, item, found.get("rating"), found.get("timestamp"), user_ids, item_ids)


def ratings(column: Column) -> np.ndarray:
    """float64, all finite.

    Raises:
        UnreadableColumn: a value is no number.
    """
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        numbers = pc.cast(column, pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableColumn("holds no numbers") from error
    if not np.isfinite(numbers).all():
        raise UnreadableColumn("holds values that are no finite numbers")
    return np.asarray(numbers)


def times(column: Column, time_format: str | None = None) -> np.ndarray:
    """Times that sort as the column's do: int64 where they are whole numbers or dates, else float64.

    Numbers and dates of a date type keep their unit. Dates as text (ISO 8601, or `time_format`) become nanoseconds
    since 1970, or microseconds where those do not fit; without a zone they count as UTC.

    Raises:
        UnreadableColumn: a value is neither; or numbers beyond 2 ** 53 are not whole, so that their order may be lost.
    """
    kind = column.type
    if pa.types.is_temporal(kind):
        width = pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()
        return np.asarray(pc.cast(column, width).to_numpy()).astype(np.int64)
    if pa.types.is_string(kind):
        if time_format is not None:
            return formatted(column, time_format)
        column = pc.utf8_trim_whitespace(column)
    for target in (pa.int64(), pa.float64(), *DATES):
        try:
            values = pc.cast(column, target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        if pa.types.is_temporal(target):
            return np.asarray(pc.cast(values, pa.int64()).to_numpy())
        return whole(values.to_numpy())
    raise UnreadableColumn("holds neither numbers nor ISO 8601 dates (data=table reads others with data.time_format)")


DATES = [pa.timestamp(unit, zone) for unit in ("ns", "us") for zone in ("UTC", None)]


def whole(values: np.ndarray) -> np.ndarray:
    """Numbers as int64 where all are whole."""
    if values.dtype.kind == "i":
        return values
    if not np.isfinite(values).all():
        raise UnreadableColumn("holds values that are no finite numbers")
    if (np.abs(values) >= EXACT).any():
        raise UnreadableColumn("holds numbers beyond 2 ** 53 that are not written as whole int64 numbers")
    integers = values.astype(np.int64)
    return integers if np.array_equal(integers, values) else values


def formatted(column: Column, time_format: str) -> np.ndarray:
    """Dates written as `time_format` says, in nanoseconds since 1970, or microseconds where those do not fit."""
    dates = pd.to_datetime(column.to_pandas(), format=time_format, utc=True, errors="coerce")
    if dates.isna().any():
        raise UnreadableColumn(f"holds values that are not written as data.time_format={time_format}")
    try:
        dates = dates.dt.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        dates = dates.dt.as_unit("us")
    return np.asarray(dates.astype("int64"))


def check_format(time_format: str) -> None:
    """Refuse a format that pandas cannot read dates by, whatever they are."""
    try:
        pd.to_datetime(["x"], format=time_format, utc=True, errors="coerce")
    except (ValueError, re.error) as error:
        raise UserError(
            f"data.time_format={time_format}: {str(error).partition(' in format')[0]}. Expected a format as for "
            "Python's strptime, such as %d.%m.%Y %H:%M. Leave it out where times are numbers or ISO 8601 dates."
        ) from error


def checker(field: str, time_format: str | None) -> Callable[[str], str | None]:
    """What is wrong with a text in a field, said slowly, one by one; None where nothing is.

    The first time decides whether the others have to be numbers or dates.
    """
    kinds = ["a number"] if field == "rating" else ["a number", "an ISO 8601 date"]
    if field == "timestamp" and time_format is not None:
        kinds = [f"a date written {time_format}"]

    def reads(text: str, kind: str) -> bool:
        try:
            if kind == "a number":
                return math.isfinite(float(text))
            if kind == "an ISO 8601 date":
                return bool(datetime.fromisoformat(text.strip()))
            return bool(datetime.strptime(text, time_format or ""))
        except ValueError:
            return False

    def check(text: str) -> str | None:
        nonlocal kinds
        if field in ("user", "item"):
            return None if text else f"expected a {field}"
        fits = [kind for kind in kinds if reads(text, kind)]
        wanted = " or ".join(kinds)
        kinds = fits or kinds
        return None if fits else f"expected {wanted} as {field}"

    return check
