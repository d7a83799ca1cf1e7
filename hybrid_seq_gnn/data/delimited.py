"""Text files with a line an event: read fast, and where that fails, say which line is wrong."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_seq_gnn.data.events import Events, events

UNIT = "\x1f"  # stands in for separators of several characters, which pandas would read slowly
NUMBERS = ("rating", "timestamp")


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if its name ends in .gz.

    Raises:
        ValueError: there is no such file, it cannot be read or it is empty.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file. Check data.path.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; data.path must name a file here.")
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    if not raw.strip():
        raise ValueError(f"{path} is empty.")
    return raw


def read_delimited(
    raw: bytes, source: str, *, separator: str, columns: dict[str, str], names: list[str] | None = None
) -> Events:
    """Events from delimited text.

    Args:
        raw: the file. A byte-order mark and Windows line ends are fine; empty lines are passed over.
        source: its name, for messages.
        separator: between fields, one character or more.
        columns: which column holds `user`, `item` and, where there are any, `rating` and `timestamp`.
        names: the columns, where the file has no header line; such files know no quotes.

    Raises:
        ValueError: a column is missing or a line is broken; the message names the line and its content.
    """
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    quotes = names is None
    if names is None:
        names = header(raw, separator)
        check_columns(names, columns, source, separator)
        skip = 1
    else:
        skip = 0
    single = separator if len(separator) == 1 else UNIT
    text = raw if len(separator) == 1 else raw.replace(separator.encode(), UNIT.encode())
    try:
        frame = pd.read_csv(
            io.BytesIO(text),
            sep=single,
            header=None,
            names=names,
            skiprows=skip,
            usecols=list(columns.values()),
            dtype=str,
            na_filter=False,
            index_col=False,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
            encoding="utf-8",
        )
        fields = {field: frame[name] for field, name in columns.items()}
        numbers = {field: pd.to_numeric(fields[field]).to_numpy(np.float64) for field in NUMBERS if field in fields}
        broken: Exception | None = None
        suspicious = (
            not all(np.isfinite(column).all() for column in numbers.values())
            or any((fields[field].isna() | (fields[field] == "")).any() for field in ("user", "item"))
            or not (quotes or regular(raw, separator, names))
        )
    except (ValueError, pd.errors.ParserError) as error:
        broken, suspicious = error, True
    if suspicious:
        complain(raw, source, separator, columns, names, quotes)
    if broken is not None:
        raise ValueError(f"{source} cannot be read: {broken}") from broken
    if not len(fields["user"]):
        raise ValueError(f"{source} has a header line and no events.")
    return events(fields["user"], fields["item"], numbers.get("rating"), numbers.get("timestamp"))


def header(raw: bytes, separator: str) -> list[str]:
    """The column names of the first line."""
    first = raw.split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    return next(csv.reader([first], delimiter=separator)) if len(separator) == 1 else first.split(separator)


def check_columns(names: list[str], columns: dict[str, str], source: str, separator: str) -> None:
    """Raise ValueError where a wanted column is not there, naming those that are."""
    for field, name in columns.items():
        if name not in names:
            hint = (
                f" The whole first line reads as one column; is the separator not {separator!r}? Set data.separator."
                if len(names) == 1
                else f" Set data.{field} to the column that holds the {field}."
            )
            raise ValueError(f"{source} has no column {name!r} (data.{field}); it has {', '.join(names)}.{hint}")


def regular(raw: bytes, separator: str, names: list[str]) -> bool:
    """Whether the number of separators fits a file in which every line has all fields and no more."""
    lines = raw.count(b"\n") + (not raw.endswith(b"\n"))
    return raw.count(separator.encode()) == lines * (len(names) - 1)


def complain(raw: bytes, source: str, separator: str, columns: dict[str, str], names: list[str], quotes: bool) -> None:
    """Read line by line, slowly, and raise ValueError at the first one that is broken; return if none is."""
    expected = separator.join(names)
    for number, line, row in lines(raw, separator, quotes):
        if number == 1 and quotes:
            continue
        problem = None
        if len(row) != len(names):
            problem = f"expected {expected}"
        else:
            value = dict(zip(names, row, strict=True))
            for field, name in columns.items():
                if field in NUMBERS and not finite(value[name]):
                    problem = f"expected a number as {field}"
                elif value[name] == "":
                    problem = f"expected a {field}"
        if problem:
            raise ValueError(
                f"{source}, line {number}: {problem}, got {line!r}. "
                "Mend or drop the line, or set data.separator if the file uses another one."
            )


def lines(raw: bytes, separator: str, quotes: bool) -> Iterator[tuple[int, str, list[str]]]:
    """Number (from 1), text and fields of each line that is not empty."""
    text = raw.decode("utf-8", "replace").split("\n")
    if quotes and len(separator) == 1:
        reader = csv.reader((line + "\n" for line in text), delimiter=separator)
        for row in reader:
            if row:
                yield reader.line_num, text[reader.line_num - 1].rstrip("\r"), row
        return
    for number, line in enumerate(text, start=1):
        line = line.rstrip("\r")
        if line:
            yield number, line, line.split(separator)


def finite(text: str) -> bool:
    """Whether the text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
