"""Quotes that Arrow reads in silence and otherwise than they are meant: unclosed ones, and text after closed ones.

Such a field goes on to the next quote, over lines if it has to, or loses its quotes, so that two ids become one.
"""

import csv
import io
import re
from collections.abc import Iterator

from hybrid_seq_gnn.data.layout import FileLayout, fields_of
from hybrid_seq_gnn.data.raw import decoded, line_feeds, quoted_line
from hybrid_seq_gnn.errors import UserError

NONE = "data.quotes=none (quotes are ordinary characters)"
AFTER = "a field has text after its closing quote"
OPEN = "a quote opens a field and does not close it"


def check_quotes(text: bytes, name: str, layout: FileLayout, used: set[int], swallowed: bool) -> str:
    """Raise UserError at the first line with such a field; returns what the log should say of others.

    Text after a closed quote counts in columns that are used, and in any where quoted fields may run over lines. Lines
    are read one by one, which is slow, only where a quote stands within a field or a field has run over lines.

    Args:
        text: with `layout.delimiter` between fields.
        name: of the file.
        used: places of the columns in use.
        swallowed: whether there are fewer rows than lines, so that each has to be read.
    """
    if layout.quotes == "none" or b'"' not in text:
        return ""
    text, one = line_feeds(text), re.escape(layout.delimiter.encode())
    within = quote_within(text, layout)
    if layout.quotes == "multiline":
        if swallowed or text.count(b'"') % 2 or within:
            return check_records(text, name, layout)
        return ""
    if not (within or swallowed):
        return ""
    inside = re.compile(rb'[^%b\r\n]"[^%b\r\n"]' % (one, one))
    wrong = re.compile(
        rb'(?:^|%b)"[^"]*(?:""[^"]*)*(?:"(?!")[^%b]|$)' % (one, one)
    )  # in a line, faster than its fields
    end = re.escape(layout.delimiter)
    field = re.compile(rf'(?:^|{end})(?:"[^"]*(?:""[^"]*)*"(?!")(?P<after>[^{end}]*)|(?P<plain>[^{end}]*))')
    for number, raw in numbered_lines(text) if swallowed else lines_with(inside, text):
        if wrong.search(raw := raw.removesuffix(b"\r")) is None:
            continue
        line = decoded(raw)
        for place, found in enumerate(field.finditer(line)):
            if (found["plain"] or "").startswith('"'):
                hint = f"Or set {NONE} or data.quotes=multiline (quoted fields may contain line breaks)."
                raise broken(name, number, OPEN, line, layout, hint)
            if found["after"] and place in used:
                raise broken(name, number, AFTER, line, layout, f"Or set {NONE}.")
    return ""


def quote_within(text: bytes, layout: FileLayout) -> bool:
    """Whether a quote stands between two characters of a field, of which the second is no quote."""
    ends = layout.delimiter.encode() + b"\r\n"
    marked = text.translate(bytes(one if one == ord('"') else ord("," if one in ends else "x") for one in range(256)))
    return b'x"x' in marked or b'""x' in marked  # four times as fast as an expression


def check_records(text: bytes, name: str, layout: FileLayout) -> str:
    """The same where quoted fields may run over lines."""
    lines = io.TextIOWrapper(io.BytesIO(text), "utf-8", "surrogateescape", newline="\n")
    reader, before, found = fields_of(lines, layout.delimiter, strict=True), 0, ""
    pattern = event_lines(layout)
    try:
        for record in reader:
            if reader.line_num > before + 1 and not found and (count := events_in(record, pattern, layout)):
                found = f"warning: {name}, line {before + 1}: a quoted field runs over {count:,} lines that look like "
                found += f"events; if quotes mean nothing there, set {NONE}"
            before = reader.line_num
    except csv.Error as error:
        first, number = before + 1, reader.line_num
        if "expected after" in str(error):
            problem = AFTER
            problem += "" if first == number else f" (the record begins on line {first}, maybe with a quote too many)"
        elif "unexpected end of data" in str(error):
            problem, number = OPEN, first
        else:  # a carriage return
            return found
        line = decoded(text.split(b"\n", number)[number - 1].removesuffix(b"\r"))
        raise broken(name, number, problem, line, layout, f"Or set {NONE}.") from None
    return found


def event_lines(layout: FileLayout) -> re.Pattern[str]:
    """A line after another that has as many fields as an event, with a number or date where an event has one."""
    one, names = re.escape(layout.delimiter), layout.names or []
    typed = {layout.columns[field] for field in ("timestamp", "rating") if field in layout.columns}
    signs = re.escape("".join({*"-+.:/TZe 0123456789"} - {layout.delimiter}))
    fields = [rf"[-+]?\d[{signs}]*" if name in typed else rf"[^{one}\r\n]*" for name in names]
    return re.compile(rf"\n{one.join(fields)}\r?(?=\n|\Z)")


def events_in(record: list[str], pattern: re.Pattern[str], layout: FileLayout) -> int:
    """Lines within the fields of a record that look like events; all of three or more where an event has no numbers."""
    count, least = 0, len(layout.names or []) - 1
    for field in record:
        if field.count(layout.delimiter) >= least and "\n" in field and (found := len(pattern.findall(field))):
            count += found if len(layout.columns) > 2 or found == field.count("\n") > 2 else 0
    return count


def numbered_lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    """All lines, numbered from 1."""
    return ((number, raw.rstrip(b"\n")) for number, raw in enumerate(io.BytesIO(text), start=1))


def lines_with(pattern: re.Pattern[bytes], text: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that a pattern is found in, numbered from 1."""
    number, at = 1, 0
    while (found := pattern.search(text, at)) is not None:
        start = text.rfind(b"\n", 0, found.start()) + 1
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        number += text.count(b"\n", at, start)
        yield number, text[start:end]
        at = end


def broken(name: str, number: int, problem: str, line: str, layout: FileLayout, hint: str) -> UserError:
    """The error."""
    line = quoted_line(line.replace(layout.delimiter, layout.separator))
    return UserError(f"{name}, line {number}: {problem}, {line}. Fix it. {layout.advice('quotes', hint)}")
