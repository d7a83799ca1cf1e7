"""Delimited text, one event per line: read by Arrow; if that fails, find the line that is wrong."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from hybrid_seq_gnn.data.columns import checker, from_columns, place_of
from hybrid_seq_gnn.data.events import Events, UnreadableColumn
from hybrid_seq_gnn.data.layout import LONGEST, FileLayout, blank_lines, check_columns, check_skipped, fields_of, header
from hybrid_seq_gnn.data.quotes import check_quotes
from hybrid_seq_gnn.data.raw import (
    ICONV,
    MIXED,
    NO_TEXT,
    PARQUET,
    Part,
    decoded,
    encoded,
    headed,
    is_text,
    line_feeds,
    quoted_line,
    readable,
)
from hybrid_seq_gnn.errors import UserError


def read_delimited(parts: list[Part], layout: FileLayout) -> Events:
    """Events of all parts, in order.

    Lines may end with \\n, \\r\\n or \\r. Empty lines, and one empty field at the end of a line, are ignored.

    Raises:
        UserError: a column is missing or a line is broken; the message names the file, the line and its content.
    """
    for part in parts:
        if part.raw.startswith(PARQUET):
            raise UserError(f"{part.name} is Parquet. data=table reads it.")
        check_columns(layout.names or header(part, layout.separator), layout, part, parts)
        if layout.names is not None and layout.header:
            check_skipped(part, layout, parts[0])
    tables, notes = zip(*(read_part(part, layout) for part in parts), strict=True)
    table = pa.concat_tables(tables)
    if not len(table):
        raise UserError(f"{parts[0].name} has a header line but no events.")
    try:
        found = from_columns({field: table[field] for field in layout.columns}, layout.time_format)
        return replace(found, notes=tuple(note for note in notes if note))
    except UnreadableColumn as error:
        for part in parts:
            validate(part, layout)
        k, row = place_of(error, list(tables), layout.time_format)
        where, got = parts[k].name, ""
        if row is not None:
            head = blank_lines(parts[k].raw) + 1 if layout.header else 0
            events = (record for record in split_lines(parts[k], layout) if record[0] > head)
            number, line, _ = next(islice(events, row, None))
            where, got = f"{where}, line {number}", f", got {quoted_line(line)}"
        raise UserError(f"{where}: column {layout.column(error.field)} {error}{got}.") from error


def read_part(part: Part, layout: FileLayout) -> tuple[pa.Table, str]:
    """The columns in use as text, named by field, and what the log should say of quotes."""
    names = layout.names or header(part, layout.separator)
    if part.raw.count(b"\r") > part.raw.count(b"\r\n") and b"\n" in part.raw.replace(b"\r\n", b""):
        raise UserError(f"{part.name} {MIXED}")
    text = part.raw
    if layout.delimiter != layout.separator:
        text = text.replace(layout.separator.encode(), layout.delimiter.encode())
    places = {field: names.index(name) for field, name in layout.columns.items()}
    types = {str(k): pa.string() for k in places.values()}
    named = replace(layout, names=names)
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
                delimiter=layout.delimiter,
                quote_char=False if layout.quotes == "none" else '"',
                newlines_in_values=layout.quotes == "multiline",
            ),
            pa.csv.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if not line_feeds(part.raw).lstrip().partition(b"\n")[2].strip() and layout.header:
            return pa.table({field: pa.array([], types[str(k)]) for field, k in places.items()}), ""
        check_quotes(text, part.name, named, {*places.values()}, True)
        if (shorter := without_trailing(part, layout, len(names))) is not None:
            return read_part(Part(part.name, shorter), layout)
        validate(part, layout)
        raise UserError(f"{part.name} cannot be read: {error}.") from error
    many = swallowed(part.raw, layout, len(table))
    note = check_quotes(text, part.name, named, {*places.values()}, many)
    for field in ("user", "item"):
        if pc.any(pc.equal(table[str(places[field])], "")).as_py():
            validate(part, layout)
    columns = {field: table[str(k)] for field, k in places.items()}
    if layout.delimiter != layout.separator and layout.quotes != "none":  # it may stand in quotes
        columns = {f: pc.replace_substring(c, layout.delimiter, layout.separator) for f, c in columns.items()}
    return pa.table(columns), note


def swallowed(raw: bytes, layout: FileLayout, rows: int) -> bool:
    """Whether a text has other lines than rows: a quoted field has run over the end of a line."""
    if layout.quotes == "none" or b'"' not in raw:
        return False
    raw = line_feeds(raw)
    if raw.rstrip(b"\n").count(b"\n") + 1 - layout.header == rows:
        return False
    return sum(1 for line in io.BytesIO(raw) if line.strip(b"\r\n")) - layout.header != rows  # without empty lines


def without_trailing(part: Part, layout: FileLayout, width: int) -> bytes | None:
    """The text without the last field of each line that has one more than `width` and leaves it empty; None if none."""
    records, cut, number = [], False, 1
    for first, record, fields in split_lines(part, layout):
        records += [""] * (first - number)  # empty lines, so that lines keep their numbers
        number = first + 1 + record.count("\n")
        if len(fields) == width + 1 and not fields[-1]:
            shorter = record.removesuffix('""').removesuffix(layout.separator)
            record, cut = shorter, cut or shorter != record
        records.append(record)
    return encoded("\n".join(records)) if cut else None


def validate(part: Part, layout: FileLayout) -> None:
    """Raise UserError at the first line that is broken, if there is one; slow."""
    names = layout.names or header(part, layout.separator)
    places = {field: names.index(name) for field, name in layout.columns.items()}
    checks = {field: checker(field, layout.time_format) for field in places}
    head = blank_lines(part.raw) + 1 if layout.header else 0
    for number, line, fields in split_lines(part, layout):
        if number <= head:
            continue
        if len(fields) == len(names) + 1 and not fields[-1]:
            fields = fields[:-1]
        if len(fields) != len(names):
            problem = f"expected {readable(layout.separator.join(names))}"
            other = layout.advice("separator", "Or set data.separator if the file uses another one.")
            hint = f"Fix or remove the line. {other}{headed(line)}"
        elif not all(is_text(fields[k]) for k in places.values()):
            problem, hint = NO_TEXT, ICONV.format("latin1")
        else:
            problem = next((p for field, k in places.items() if (p := checks[field](fields[k]))), "")
            hint = "Fix or remove the line"
            formats = "timestamp" in problem and layout.time_format is None
            hint += "; data=table reads dates of other forms with data.time_format." if formats else "."
        if problem:
            raise UserError(f"{part.name}, line {number}: {problem}, got {quoted_line(line)}. {hint}")


def split_lines(part: Part, layout: FileLayout) -> Iterator[tuple[int, str, list[str]]]:
    """Number (from 1), text and fields of each line that is not empty; a quoted field may make it several lines.

    Raises:
        UserError: a carriage return stands within a line and no quotes.
    """
    text, one = decoded(part.raw), layout.delimiter
    lines = text.split("\n") if "\n" in text else text.split("\r")
    lines = [line.removesuffix("\r") for line in lines]
    if layout.quotes == "none":
        yield from ((k, line, line.split(layout.separator)) for k, line in enumerate(lines, start=1) if line)
        return
    reader, before = fields_of((line.replace(layout.separator, one) + "\n" for line in lines), one), 0
    try:
        for fields in reader:
            if fields:
                record = "\n".join(lines[before : reader.line_num])
                yield before + 1, record, [field.replace(one, layout.separator) for field in fields]
            before = reader.line_num
    except csv.Error as error:  # "new-line character seen in unquoted field"
        raise UserError(
            f"{part.name}, line {before + 1}: a carriage return (\\r) stands within the line, "
            f"{quoted_line(lines[before])}. Remove it, or put the field in quotes."
        ) from error
