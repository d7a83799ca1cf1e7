"""Text files with one event per line: a fast parser, and a slow pass that finds the broken line if it fails."""

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

UNIT = "\x1f"  # replaces separators of several characters, which pandas reads slowly
NUMBERS = ("rating", "timestamp")


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in .gz.

    Raises:
        ValueError: the file does not exist, cannot be read or is empty.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file. Check data.path.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; this data source expects a file as data.path.")
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
        raw: content of the file. A byte-order mark and Windows line endings are accepted; empty lines are skipped.
        source: name of the file, for error messages.
        separator: between fields, one character or more.
        columns: names of the columns that hold `user`, `item` and, if present, `rating` and `timestamp`.
        names: all column names of a file without a header line; quotes have no special meaning in such a file.

    Raises:
        ValueError: a column is missing or a line is broken; the message quotes the line and its number.
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
        validate(raw, source, separator, columns, names, quotes)
    if broken is not None:
        raise ValueError(f"{source} cannot be read: {broken}") from broken
    if not len(fields["user"]):
        raise ValueError(f"{source} has a header line but no events.")
    return events(fields["user"], fields["item"], numbers.get("rating"), numbers.get("timestamp"))


def header(raw: bytes, separator: str) -> list[str]:
    """The column names in the first line."""
    first = raw.split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    return next(csv.reader([first], delimiter=separator)) if len(separator) == 1 else first.split(separator)


def check_columns(names: list[str], columns: dict[str, str], source: str, separator: str) -> None:
    """Raise ValueError if a required column is missing; the message lists the columns that exist."""
    for field, name in columns.items():
        if name not in names:
            hint = (
                f" The first line is a single column; if the separator is not {separator!r}, set data.separator."
                if len(names) == 1
                else f" Set data.{field} to the column that holds the {field}."
            )
            raise ValueError(f"{source} has no column {name!r} (data.{field}); it has {', '.join(names)}.{hint}")


def regular(raw: bytes, separator: str, names: list[str]) -> bool:
    """Whether the number of separators fits a file in which every line has exactly `len(names)` fields."""
    lines = raw.count(b"\n") + (not raw.endswith(b"\n"))
    return raw.count(separator.encode()) == lines * (len(names) - 1)


def validate(raw: bytes, source: str, separator: str, columns: dict[str, str], names: list[str], quotes: bool) -> None:
    """Read line by line, slowly, and raise ValueError at the first broken line; return if there is none."""
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
                "Fix or remove the line, or set data.separator if the file uses another one."
            )


def lines(raw: bytes, separator: str, quotes: bool) -> Iterator[tuple[int, str, list[str]]]:
    """Number (from 1), text and fields of every non-empty line."""
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
