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

from hybrid_seq_gnn.data.events import Column, Events, UnreadableColumn, check_floats, encode
from hybrid_seq_gnn.errors import UserError

EXACT = 1 << 53  # float64 holds every whole number up to here


def from_columns(columns: dict[str, Column], time_format: str | None) -> Events:
    """Events from the columns of a file.

    Raises:
        UnreadableColumn: one of them does not hold what it should.
    """
    found = {field: values_of(field, column, time_format) for field, column in columns.items()}
    (user, user_ids), (item, item_ids) = found["user"], found["item"]
    when, unit = found.get("timestamp", (None, None))
    return Events(user, item, found.get("rating"), when, user_ids, item_ids, unit=unit)


def values_of(field: str, column: Column, time_format: str | None) -> Any:
    """Codes and ids, ratings, or times and their unit.

    Raises:
        UnreadableColumn: the column does not hold what it should.
    """
    try:
        if field == "timestamp":
            return times(column, time_format)
        return ratings(column) if field == "rating" else encode(column)
    except UnreadableColumn as error:
        error.field = field
        raise
    except pa.ArrowException as error:
        unreadable = UnreadableColumn(f"holds {column.type}, which cannot be read ({error})")
        unreadable.field = field
        raise unreadable from error


def unreadable_row(field: str, column: Column, time_format: str | None) -> int | None:
    """The first row that cannot be read beside row 0, which says whether times are numbers or dates, found by halves;
    None if the type of the column is at fault, or no row alone."""

    def reads(*slices: Column) -> bool:
        rows = pa.chunked_array([chunk for each in slices for chunk in each.chunks], column.type)
        try:
            values_of(field, rows, time_format)
        except UnreadableColumn:
            return False
        return True

    first, low, high = column[:1], 1, len(column)
    if not reads():
        return None
    if not reads(first):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reads(first, column[low:middle]) else (low, middle)
    return None if reads(first, column[low:high]) else low


def place_of(error: UnreadableColumn, tables: list[pa.Table], time_format: str | None) -> tuple[int, int | None]:
    """The first table, and its row, with a value that cannot be read; row None if no value alone is at fault."""
    column = pa.concat_tables(tables, promote_options="permissive")[error.field]
    row = unreadable_row(error.field, column, time_format)
    for k, table in enumerate(tables):
        if row is None or row < len(table):
            return k if row is not None else 0, row
        row -= len(table)
    return 0, None


def alike(field: str, column: Column) -> Column:
    """A column of a file so that it may follow one of another type: a rating is the number that its type shows, 6.7
    where float32 holds 6.6999998; other floats are refused if their type has rounded them.

    Raises:
        UnreadableColumn: they are.
    """
    if field != "rating":
        check_floats(column)
    elif column.type == pa.float16():  # of which Arrow shows 6.69921875
        some, where = np.unique(column.to_numpy(), return_inverse=True)
        column = pa.chunked_array([some.astype(str).astype(np.float64)[where]])
    elif column.type == pa.float32() or pa.types.is_decimal(column.type):
        some = column.unique()
        column = pc.take(pc.cast(pc.cast(some, pa.string()), pa.float64()), pc.index_in(column, some))
    return column


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


def times(column: Column, time_format: str | None = None) -> tuple[np.ndarray, str | None]:
    """Times that sort as the column's do: int64 where they are whole numbers or dates, else float64; and their unit
    (D, s, ms, us or ns), if they are dates.

    Numbers and dates of a date type keep their unit. Dates as text (ISO 8601, or `time_format`) become nanoseconds
    since 1970, or microseconds where those do not fit; without a zone they count as UTC. With a `time_format`, numbers
    are the digits of a date.

    Raises:
        UnreadableColumn: a value is neither, or a time of day; numbers beyond 2 ** 53 are not whole, or floats so large
            that they are rounded, so that their order may be lost; or there is a `time_format` for dates.
    """
    kind = column.type
    if pa.types.is_time(kind):
        raise UnreadableColumn("holds times of day, which have no date")
    if pa.types.is_temporal(kind):
        if time_format is not None:
            raise UnreadableColumn(f"holds dates already; leave out data.time_format={time_format}")
        width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        unit = kind.unit if pa.types.is_timestamp(kind) else {pa.date32(): "D", pa.date64(): "ms"}.get(kind)
        return np.asarray(pc.cast(column, width).to_numpy()).astype(np.int64), unit
    check_floats(column)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        column = pc.cast(column, pa.string())
    if time_format is not None:
        text = pa.types.is_string(column.type) and cast(column, pa.int64()) is None
        return formatted(column if text else digits(column, time_format), time_format)
    text = pa.types.is_string(column.type)
    column = pc.utf8_trim_whitespace(column) if text else column
    for target in (pa.int64(), pa.float64()):
        if (values := cast(column, target)) is not None:
            return whole(values.to_numpy()), None
    for some_have_zones in (False, True) if text else ():
        dates = zoned(column) if some_have_zones else column
        for unit, zone in DATES:
            if (values := cast(dates, pa.timestamp(unit, zone))) is not None:
                return np.asarray(pc.cast(values, pa.int64()).to_numpy()), unit
    raise UnreadableColumn("holds neither numbers nor ISO 8601 dates (data=table reads others with data.time_format)")


DATES = [(unit, zone) for unit in ("ns", "us") for zone in ("UTC", None)]


def cast(column: Column, target: pa.DataType) -> Column | None:
    """A column as another type, if all its values can be."""
    try:
        return pc.cast(column, target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def zoned(column: Column) -> Column:
    """ISO 8601 dates of which some have a zone and some have none: all with one."""
    day = pc.match_substring_regex(column, r"^\d{4}-\d\d-\d\d$")
    column = pc.if_else(day, pc.binary_join_element_wise(column, "T00:00:00", ""), column)
    has = pc.match_substring_regex(column, r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$")
    return pc.if_else(has, column, pc.binary_join_element_wise(column, "Z", ""))


def digits(column: Column, time_format: str) -> Column:
    """Whole numbers as text, with the zeros at the start that a date would have.

    Raises:
        UnreadableColumn: they are not whole.
    """
    if (numbers := cast(column, pa.int64())) is None:
        raise UnreadableColumn(f"holds {column.type}, which is no date written data.time_format={time_format}")
    width = len(datetime(2000, 12, 30, 23, 59, 58, 999_999).strftime(time_format))
    return pc.utf8_lpad(pc.cast(numbers, pa.string()), width, "0")


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


def formatted(column: Column, time_format: str) -> tuple[np.ndarray, str]:
    """Dates written as `time_format` says, in nanoseconds since 1970, or microseconds where those do not fit."""
    unit = "ns"
    dates = pd.to_datetime(column.to_pandas(), format=time_format, utc=True, errors="coerce")
    if dates.isna().any():
        raise UnreadableColumn(f"holds values that are not written as data.time_format={time_format}")
    try:
        dates = dates.dt.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        unit, dates = "us", dates.dt.as_unit("us")
    return np.asarray(dates.astype("int64")), unit


def check_format(time_format: str) -> None:
    """Refuse a format that pandas cannot read dates by, whatever they are, or that leaves it to pandas, as "mixed"."""
    try:
        if "%" not in time_format:
            raise ValueError("it has no directive")
        if "p" in (signs := re.findall("%(.)", time_format)) and "I" not in signs:
            raise ValueError("%p counts only with %I, the hour to 12; use %I with %p")
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
