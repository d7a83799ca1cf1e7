"""Files with titles of items."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybrid_seq_gnn.data.events import UnreadableColumn, encode, text_of
from hybrid_seq_gnn.data.layout import fields_of
from hybrid_seq_gnn.data.raw import PARQUET, Part, quoted_line, read_bytes
from hybrid_seq_gnn.data.table import plain_column
from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.files import expanded

MOVIELENS = ("movies.dat", "u.item", "movies.csv")  # files with titles in the data sets of GroupLens
EVENTS = re.compile(r"(?i)((user|session|visitor|customer)[ _]?(id)?|uid|rating|timestamp)(:.*)?")  # columns of a log
MAX_BYTES = 1 << 32
KINDS = "a CSV, TSV or Parquet file with the columns item and title, or movies.dat, u.item or movies.csv of MovieLens"

Titles = dict[int | str, str]


def titles_in(path: str | Path, items: np.ndarray | None = None) -> Titles:
    """The titles of a file that a user has named, see `find` and `read_titles`.

    Raises:
        UserError: it has none, cannot be read, or has titles of other items.
    """
    if (part := find(expanded(str(path)))) is None:
        raise UserError(f"{path} has no titles of items; expected {KINDS}.")
    return read_titles(part, items)


def find(path: Path) -> Part | None:
    """A file; or the file with titles in a folder or zip of MovieLens, None if there is none.

    Raises:
        UserError: there is nothing, or it cannot be read.
    """
    if path.is_dir():
        there = [
            file for name in MOVIELENS for file in (path / name, *sorted(path.glob(f"*/{name}"))) if file.is_file()
        ]
        return Part(str(there[0]), read_bytes(there[0], MAX_BYTES)) if there else None
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected {KINDS}.")
    if path.suffix != ".zip":
        return Part(str(path), read_bytes(path, MAX_BYTES))
    with as_user_error(f"{path} cannot be read as a zip"), zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if PurePosixPath(name).name in MOVIELENS]
        if not members:
            return None
        if (size := archive.getinfo(members[0]).file_size) > MAX_BYTES:
            raise UserError(f"{path}: {members[0]} unpacks to {size:,} bytes; is it what you expect?")
        return Part(f"{path}: {members[0]}", archive.read(members[0]))


def read_titles(part: Part, items: np.ndarray | None = None) -> Titles:
    """The titles of a file: item::title::…, item|title|…, or CSV, TSV or Parquet.

    A table has the columns `item` and `title`; of those that it lacks, it is the first one instead. An item without a
    title is left out; of one that is there twice, the first title counts.

    Args:
        items: ids, at least one of which must be there.

    Raises:
        UserError: names the file, the line and what was expected.
    """
    rows = parquet_rows(part) if part.raw.startswith(PARQUET) else text_rows(part)
    column, _ = next(rows, ("", ""))  # names come first
    titles: Titles = {}
    for item, title in rows:
        if title := " ".join(title.split()):
            titles.setdefault(item, title)
            if re.fullmatch(r"0|-?[1-9]\d*", item):
                titles.setdefault(int(item), title)
    if not titles:
        raise UserError(f"{part.name} has no titles of items; expected {KINDS}.")
    if items is not None and len(items) and not any(one in titles for one in items.tolist()):
        raise UserError(
            f"{part.name} has titles of other items: the column read as item is {column!r}, with ids such as "
            f"{next(iter(titles))}, and the model has items such as {items[0]}. Name the columns item and title."
        )
    return titles


def parquet_rows(part: Part) -> Iterator[tuple[str, str]]:
    """Names of the two columns, then item and title of each row; missing values are left out."""
    with as_user_error(f"{part.name} cannot be read as Parquet"):
        file = pq.ParquetFile(pa.BufferReader(part.raw))
        names = file.schema_arrow.names
        chosen = [names[k] for k in places(names, part.name)]
        table = file.read(chosen)
        item, title = (plain_column(table[name]) for name in chosen)
        there = pc.and_(item.is_valid(), title.is_valid())
        titles = title.filter(there).to_pylist()
        try:
            codes, ids = encode(item.filter(there))  # as ids of events are read
        except UnreadableColumn as error:
            raise UserError(f"{part.name}: column {chosen[0]!r} {error}.") from error
    yield chosen[0], chosen[1]
    for one, name in zip(ids[codes].tolist(), titles, strict=True):
        yield str(one), text_of(name)


def text_rows(part: Part) -> Iterator[tuple[str, str]]:
    """Names of the two columns, then item and title of each line, as UTF-8 or, if it is none, as Latin-1."""
    try:
        text = part.raw.decode()
    except UnicodeDecodeError:
        text = part.raw.decode("latin-1")
    first = text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    most = max(",", "|", "\t", ";", key=first.count)
    if "::" in first or most == "|":
        yield from plain_rows(part, text, "::" if "::" in first else "|")
    else:
        yield from table_rows(part, text, most)


def plain_rows(part: Part, text: str, separator: str) -> Iterator[tuple[str, str]]:
    """Lines without a header or quotes."""
    yield "the first of each line", "the second"
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.rstrip("\r"):
            item, *rest = line.split(separator)
            log = len(rest) > 2 and all(part.isdecimal() for part in (item, *rest))  # user::item::rating::timestamp
            if not item or not rest or log:
                raise UserError(f"{part.name}, line {number}: expected item{separator}title, got {quoted_line(line)}.")
            yield item, rest[0]


def table_rows(part: Part, text: str, separator: str) -> Iterator[tuple[str, str]]:
    """Lines after a header; quoted fields may hold separators and line breaks."""
    lines, start = fields_of(io.StringIO(text, newline=""), separator, strict=True), 1
    names: list[str] | None = None
    item, title = 0, 1
    try:
        for fields in lines:
            if fields and names is None:
                names, (item, title) = fields, places(fields, f"{part.name}, line {start}")
                yield fields[item], fields[title]
            elif fields and names is not None:
                if len(fields) != len(names) or not fields[item]:
                    wrong = f"expected {separator.join(names)}, got {quoted_line(separator.join(fields))}"
                    raise UserError(f"{part.name}, line {start}: {wrong}. Quote titles that hold a separator.")
                yield fields[item], fields[title]
            start = lines.line_num + 1
    except csv.Error as error:
        raise UserError(f"{part.name}, line {start}: expected a closed quote or none ({error}).") from error


def places(names: list[str], where: str) -> tuple[int, int]:
    """Where `item` and `title` are; of those that are missing, the first other column.

    Raises:
        UserError: there are fewer than two columns, they are no names, or they are those of a log of events.
    """
    if len(names) < 2 or re.fullmatch(r"-?\d+", names[0].strip()):
        raise UserError(
            f"{where}: expected a header with the columns item and title, got {quoted_line(','.join(names))}."
        )
    item = names.index("item") if "item" in names else int(names[0] == "title")
    title = names.index("title") if "title" in names else int(item == 0)
    for what, column in (("item", names[item]), ("title", names[title])):
        if EVENTS.fullmatch(column):
            raise UserError(
                f"{where}: the column read as {what} is {column!r}, as in a log of events. Expected {KINDS}."
            )
    return item, title
