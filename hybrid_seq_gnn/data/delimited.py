"""Delimited text, one event per line: read by Arrow; if that fails, find the line that is wrong."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from hybrid_seq_gnn.data.columns import checker, from_columns
from hybrid_seq_gnn.data.events import Events, UnreadableColumn
from hybrid_seq_gnn.data.raw import (
    ICONV,
    MIXED,
    NO_TEXT,
    PARQUET,
    Part,
    decoded,
    encoded,
    is_text,
    line_feeds,
    readable,
    shown,
)
from hybrid_seq_gnn.errors import UserError

UNIT = "\x1f"  # stands in for separators of several characters, which Arrow does not know
LONGEST = 1 << 26  # bytes of a line
MOST_COLUMNS = 10_000

Quotes = Literal["line", "multiline", "none"]


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out.

    Attributes:
        separator: between fields, one character or more.
        columns: which column holds `user`, `item` and, where there are any, `rating` and `timestamp`.
        names: of all columns; None: the first line names them.
        header: whether the first line is a header.
        quotes: `line` (quoted fields may contain separators), `multiline` (line breaks too) or `none` (a quote is an
            ordinary character).
        time_format: of dates, see `columns.times`.
        settings: of the source, which messages may advise.
    """

    separator: str
    columns: dict[str, str]
    names: list[str] | None = None
    header: bool = True
    quotes: Quotes = "line"
    time_format: str | None = None
    settings: frozenset[str] = frozenset()

    def advice(self, setting: str, text: str) -> str:
        """A sentence on a setting, or what helps where the source does not have it."""
        return text if setting in self.settings else "data=table reads files of other layouts."

    def column(self, field: str) -> str:
        """The name of a column, and the setting that gives it."""
        return f"{self.columns[field]!r}" + (f" (data.{field})" if field in self.settings else "")


def read_delimited(parts: list[Part], layout: Layout) -> Events:
    """Events of all parts, in order.

    Lines may end with \\n, \\r\\n or \\r. Empty lines, and one empty field at the end of a line, are ignored.

    Raises:
        ValueError: a column is missing or a line is broken; the message names the file, the line and its content.
    """
    table = pa.concat_tables([read_part(part, layout) for part in parts])
    if not len(table):
        raise UserError(f"{parts[0].name} has a header line but no events.")
    try:
        return from_columns({field: table[field] for field in layout.columns}, layout.time_format)
    except UnreadableColumn as error:
        for part in parts:
            validate(part, layout)
        raise UserError(f"{parts[0].name}: column {layout.column(error.field)} {error}.") from error


def read_part(part: Part, layout: Layout) -> pa.Table:
    """The columns in use as text, named by field."""
    names = layout.names or header(part, layout.separator)
    check_columns(names, layout, part)
    if part.raw.count(b"\r") > part.raw.count(b"\r\n") and b"\n" in part.raw.replace(b"\r\n", b""):
        raise UserError(f"{part.name} {MIXED}")
    single = len(layout.separator) == 1
    text = part.raw if single else part.raw.replace(layout.separator.encode(), UNIT.encode())
    delimiter = layout.separator if single else UNIT
    places = {field: names.index(name) for field, name in layout.columns.items()}
    types = {str(k): pa.string() for k in places.values()}
    try:
        table = pa.csv.read_csv(
            io.BytesIO(text),
            pa.csv.ReadOptions(
                column_names=[str(k) for k in range(len(names))],  # names may be empty or stand twice
                skip_rows=blank_lines(part.raw) + 1 if layout.header else 0,
                block_size=min(max(len(text) + 1, 1 << 16), LONGEST),
                use_threads=False,
            ),
            pa.csv.ParseOptions(
                delimiter=delimiter,
                quote_char=False if layout.quotes == "none" else '"',
                newlines_in_values=layout.quotes == "multiline",
            ),
            pa.csv.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if not line_feeds(part.raw).lstrip().partition(b"\n")[2].strip() and layout.header:
            return pa.table({field: pa.array([], types[str(k)]) for field, k in places.items()})
        check_quotes(part, layout)
        if (shorter := without_trailing(part.raw, layout, len(names))) is not None:
            return read_part(Part(part.name, shorter), layout)
        validate(part, layout)
        raise UserError(f"{part.name} cannot be read: {error}.") from error
    if layout.quotes == "line" and b'"' in part.raw:
        lines = line_feeds(part.raw).rstrip(b"\n").count(b"\n") + 1
        if lines - layout.header != len(table):  # empty lines, or a quote has swallowed line ends
            lines = sum(1 for line in io.BytesIO(line_feeds(part.raw)) if line.strip(b"\r\n"))
        if lines - layout.header != len(table):
            check_quotes(part, layout)
    for field in ("user", "item"):
        if pc.any(pc.equal(table[str(places[field])], "")).as_py():
            validate(part, layout)
    return table.select([str(k) for k in places.values()]).rename_columns(list(places))


def header(part: Part, separator: str) -> list[str]:
    """The fields of the first line that is not blank.

    Raises:
        ValueError: there are more than any table has.
    """
    blank = blank_lines(part.raw)
    first = decoded(re.split(rb"\r\n|\n|\r", part.raw[:LONGEST], maxsplit=blank + 1)[blank])
    if (columns := first.count(separator) + 1) > MOST_COLUMNS:
        raise UserError(f"{part.name} has {columns:,} columns in its first line; is the separator right?")
    return next(fields_of([first], separator), []) if len(separator) == 1 else first.split(separator)


def blank_lines(raw: bytes) -> int:
    """Lines before the first that is not blank."""
    space = re.match(rb"\s*", raw[:LONGEST])
    return len(re.findall(rb"\r\n|\n|\r", space[0])) if space else 0


def fields_of(lines: Iterable[str], separator: str, strict: bool = False) -> Any:
    """A reader of the fields of each line, however long they are."""
    csv.field_size_limit(sys.maxsize)
    return csv.reader(lines, delimiter=separator, strict=strict)


def check_columns(names: list[str], layout: Layout, part: Part) -> None:
    """Raise ValueError if a column in use is missing, and list those that exist."""
    for field, name in layout.columns.items():
        if name in names:
            continue
        if len(names) == 1 and not part.raw.startswith(PARQUET):
            hint = "The whole first line reads as one column; "
            hint += layout.advice("separator", f"data.separator={layout.separator!r} does not fit it.")
        elif not all(map(is_text, names)):
            hint = f"Its first line is no UTF-8 text. {ICONV.format('latin1')}"
        elif all(re.fullmatch(r"[-+.\d]+", value) for value in names):
            named = "data.columns=[user,item,timestamp] names columns without a header."
            hint = f"The first line looks like an event; {layout.advice('columns', named)}"
        else:
            hint = layout.advice(field, f"Set data.{field} to the column that holds the {field}.")
        have = ", ".join(readable(name[:60]) for name in names[:20])
        have += ", …" if len(names) > 20 else ""
        raise UserError(f"{part.name} has no column {layout.column(field)}; it has {have}. {hint}")


def check_quotes(part: Part, layout: Layout) -> None:
    """Raise ValueError at the first line where a quoted field is not closed, unless it may run over lines; slow."""
    if layout.quotes != "line" or b'"' not in part.raw:
        return
    for number, raw in enumerate(io.BytesIO(line_feeds(part.raw)), start=1):
        line = decoded(raw.rstrip(b"\n").removesuffix(b"\r"))
        try:
            next(fields_of([line], layout.separator, strict=True))
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                hint = (
                    "Or set data.quotes=none (quotes are ordinary characters) or data.quotes=multiline (quoted "
                    "fields may contain line breaks)."
                )
                raise UserError(
                    f"{part.name}, line {number}: a quote opens a field and does not close it, {shown(line)}. "
                    f"Fix it. {layout.advice('quotes', hint)}"
                ) from None


def without_trailing(raw: bytes, layout: Layout, width: int) -> bytes | None:
    """The text without the last field of each line that has one more than `width` and leaves it empty; None if none."""
    records, cut, number = [], False, 1
    for first, record, fields in split_lines(raw, layout):
        records += [""] * (first - number)  # empty lines, so that lines keep their numbers
        number = first + 1 + record.count("\n")
        if len(fields) == width + 1 and not fields[-1]:
            shorter = record.removesuffix('""').removesuffix(layout.separator)
            record, cut = shorter, cut or shorter != record
        records.append(record)
    return encoded("\n".join(records)) if cut else None


def validate(part: Part, layout: Layout) -> None:
    """Raise ValueError at the first line that is broken, if there is one; slow."""
    names = layout.names or header(part, layout.separator)
    places = {field: names.index(name) for field, name in layout.columns.items()}
    checks = {field: checker(field, layout.time_format) for field in places}
    head = blank_lines(part.raw) + 1 if layout.header else 0
    for number, line, fields in split_lines(part.raw, layout):
        if number <= head:
            continue
        if len(fields) == len(names) + 1 and not fields[-1]:
            fields = fields[:-1]
        if len(fields) != len(names):
            problem = f"expected {readable(layout.separator.join(names))}"
            other = layout.advice("separator", "Or set data.separator if the file uses another one.")
            hint = f"Fix or remove the line. {other}"
        elif not all(is_text(fields[k]) for k in places.values()):
            problem, hint = NO_TEXT, ICONV.format("latin1")
        else:
            problem = next((p for field, k in places.items() if (p := checks[field](fields[k]))), "")
            hint = "Fix or remove the line"
            hint += "; data=table reads dates of other forms with data.time_format." if "timestamp" in problem else "."
        if problem:
            raise UserError(f"{part.name}, line {number}: {problem}, got {shown(line)}. {hint}")


def split_lines(raw: bytes, layout: Layout) -> Iterator[tuple[int, str, list[str]]]:
    """Number (from 1), text and fields of each line that is not empty; a quoted field may make it several lines."""
    text = decoded(raw)
    lines = text.split("\n") if "\n" in text else text.split("\r")
    lines = [line.removesuffix("\r") for line in lines]
    if layout.quotes == "none" or len(layout.separator) > 1:
        yield from ((k, line, line.split(layout.separator)) for k, line in enumerate(lines, start=1) if line)
        return
    reader, before = fields_of((line + "\n" for line in lines), layout.separator), 0
    for fields in reader:
        if fields:
            yield before + 1, "\n".join(lines[before : reader.line_num]), fields
        before = reader.line_num
