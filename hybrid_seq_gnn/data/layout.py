"""How a text file is laid out, and whether its first line fits."""

import csv
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_seq_gnn.data.raw import ICONV, PARQUET, Part, decoded, headed, is_text, quoted_line, readable
from hybrid_seq_gnn.errors import UserError

UNIT = "\x1f"  # stands in for separators of several bytes, which Arrow does not know
LONGEST = 1 << 26  # bytes of a line
MOST_COLUMNS = 10_000
SEPARATORS = ("\t", "\x01", "::", ";", "|", ",", " ")  # to try where another one does not fit
VALUE = re.compile(r"[-+]?[\d.]*\d[\d.]*(e[-+]?\d+)?|\d{4}-\d\d(-\d\d)?[T \d:.,Z+-]*", re.IGNORECASE)  # number or date

Quotes = Literal["line", "multiline", "none"]


@dataclass(frozen=True)
class FileLayout:
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
        guessed: whether nobody said that the first line is a header.
    """

    separator: str
    columns: dict[str, str]
    names: list[str] | None = None
    header: bool = True
    quotes: Quotes = "line"
    time_format: str | None = None
    settings: frozenset[str] = frozenset()
    guessed: bool = False

    @property
    def delimiter(self) -> str:
        """One byte that stands for the separator."""
        return delimiter(self.separator)

    def advice(self, setting: str, text: str) -> str:
        """A sentence on a setting, or what helps where the source does not have it."""
        return text if setting in self.settings else "data=table reads files of other layouts."

    def column(self, field: str) -> str:
        """The name of a column, and the setting that gives it."""
        return f"{self.columns[field]!r}" + (f" (data.{field})" if field in self.settings else "")


def delimiter(separator: str) -> str:
    """The separator, or `UNIT` where it has several bytes."""
    return separator if len(separator.encode()) == 1 else UNIT


def header(part: Part, separator: str) -> list[str]:
    """The fields of the first line that is not blank.

    Raises:
        UserError: there are more than any table has.
    """
    blank, one = blank_lines(part.raw), delimiter(separator)
    first = decoded(re.split(rb"\r\n|\n|\r", part.raw[:LONGEST], maxsplit=blank + 1)[blank])
    if (columns := first.count(separator) + 1) > MOST_COLUMNS:
        raise UserError(f"{part.name} has {columns:,} columns in its first line; is the separator right?")
    fields: list[str] = next(fields_of([first.replace(separator, one)], one), [])
    return [field.replace(one, separator) for field in fields]


def blank_lines(raw: bytes) -> int:
    """Lines before the first that is not blank."""
    space = re.match(rb"\s*", raw[:LONGEST])
    return len(re.findall(rb"\r\n|\n|\r", space[0])) if space else 0


def fields_of(lines: Iterable[str], separator: str, strict: bool = False) -> Any:
    """A reader of the fields of each line, however long they are."""
    csv.field_size_limit(sys.maxsize)
    return csv.reader(lines, delimiter=separator, strict=strict)


def check_columns(names: list[str], layout: FileLayout, part: Part, beside: Sequence[Part] = ()) -> None:
    """Raise UserError if a column in use is missing or there twice, or its name is the value of an event.

    Args:
        beside: the files that the part is one of.
    """
    parquet = part.raw.startswith(PARQUET)
    if layout.columns["user"] == layout.columns["item"]:
        raise UserError(f"data.user and data.item both name the column {layout.columns['user']!r}; name two columns.")
    for field, name in layout.columns.items():
        if (times := names.count(name)) > 1:
            where = " in data.columns" if layout.names else ""
            raise UserError(f"{part.name} has {times} columns {layout.column(field)}. Name them differently{where}.")
        guessed = layout.guessed and not parquet and not numbered(names)
        if times and field == "timestamp" and guessed and VALUE.fullmatch(name):
            raise UserError(
                f"{part.name}: the column {layout.column(field)} has the name of a time. If its first line is an "
                f"event, name the columns: {named(names)}; if it is a header, set data.header=true."
            )
        if times:
            continue
        if not parquet and "".join(names[:1]).startswith("sep="):
            hint = "Its first line tells Excel the separator; remove it: tail -n +2 OLD > NEW."
        elif len(names) == 1 and not parquet:
            hint = "The whole first line reads as one column; "
            likely = next((one for one in SEPARATORS if one in names[0]), None)
            helps = f"data.separator={layout.separator!r} does not fit it"
            helps += "." if likely is None else f', "data.separator={likely!r}" may.'
            hint += layout.advice("separator", helps) + headed(names[0])
        elif not all(map(is_text, names)):
            hint = f"Its first line is no UTF-8 text. {ICONV.format('latin1')}"
        elif any(map(VALUE.fullmatch, names)) and not numbered(names) and not parquet:
            hint = f"The first line looks like an event; {layout.advice('columns', named(names))}"
        else:
            none = ", or data.timestamp=null if it has none: the order of the rows is used"
            none = none if field == "timestamp" and "time_format" in layout.settings else ""
            hint = layout.advice(field, f"Set data.{field} to the column that holds the {field}{none}.")
            if name in header(part, f"{layout.separator} ") and not parquet:
                blank = f'The names have blanks; "data.separator={layout.separator + " "!r}" may take them off.'
                hint = layout.advice("separator", blank)
        cut = [name[:60] for name in names[:20]]
        have = ", ".join(repr(name) if name != name.strip() else name for name in map(readable, cut))
        have += ", …" if len(names) > 20 else ""
        hint += elsewhere(layout, part, beside)
        raise UserError(f"{part.name} has no column {layout.column(field)}; it has {have}. {hint}")


def check_skipped(part: Part, layout: FileLayout, first: Part) -> None:
    """Raise UserError if the first line of a part, passed over as a header beside names, is an event.

    Without times and ratings it is one if it is not that of the first part.
    """
    fields, names = header(part, layout.separator), layout.names or []
    places = [names.index(layout.columns[field]) for field in ("timestamp", "rating") if field in layout.columns]
    value = any(VALUE.fullmatch(fields[k]) for k in places if k < len(fields)) and not numbered(fields)
    if value or (not places and fields != header(first, layout.separator)):
        raise UserError(
            f"{part.name}: data.header=true passes over its first line, {quoted_line(layout.separator.join(fields))}, "
            f"which {'looks like an event' if value else f'is not that of {first.name}'}. Leave out data.header, and "
            "remove the header of the files that have one: tail -n +2 OLD > NEW."
        )


def named(names: list[str]) -> str:
    """How columns without a header get names."""
    return f"data.columns=[user,item,timestamp] names columns without a header, here {len(names)} of them."


def numbered(names: list[str]) -> bool:
    """Whether names are 0, 1, 2, …, as pandas writes them."""
    start = int(names[:1] == [""])  # its index
    return names[start:] == [str(k) for k in range(len(names) - start)]


def elsewhere(layout: FileLayout, part: Part, beside: Sequence[Part]) -> str:
    """A sentence that names a file beside this one which has all columns, if there is one."""
    for other in beside:
        with suppress(UserError):
            names = [] if other is part or other.raw.startswith(PARQUET) else header(other, layout.separator)
            if {*layout.columns.values()} <= {*names}:
                return (
                    f" It is one of {len(beside)} files: data.path={other.name!r}, or a glob, reads those with events."
                )
    return ""
