"""A table with a row an event: delimited text or Parquet, one file or many parts."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybrid_seq_gnn.data.columns import alike, check_format, from_columns, place_of
from hybrid_seq_gnn.data.delimited import read_delimited
from hybrid_seq_gnn.data.events import Events, UnreadableColumn
from hybrid_seq_gnn.data.layout import FileLayout, Quotes, check_columns
from hybrid_seq_gnn.data.raw import PARQUET, Part, quoted_line
from hybrid_seq_gnn.data.source import Source, unescaped
from hybrid_seq_gnn.errors import UserError, as_user_error

NUMBER = 8  # bytes
TEXT = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_binary)


@dataclass(frozen=True, kw_only=True)
class Table(Source):
    """Columns by name. Rows of one user at the same time keep their order.

    `path` is a file, a folder or a glob of parts. A file that begins as Parquet does is Parquet, any other is text.

    Attributes:
        user, item: columns with the ids.
        timestamp: column with the time: numbers, or dates; null takes the order of the rows.
        rating: column with the rating, a number; null if there is none.
        columns: names of all columns, for text without a header line; null reads them from the first line.
        header: whether the first line of a text is a header; null: yes, unless `columns` names them.
        separator: between fields; null is a tab for .tsv and .tab, else a comma.
        quotes: `line` (quoted fields may hold separators), `multiline` (line breaks too) or `none`.
        time_format: of dates that are not ISO 8601, as for strptime; null: ISO 8601.
    """

    user: str = "user"
    item: str = "item"
    timestamp: str | None = "timestamp"
    rating: str | None = None
    columns: tuple[str, ...] | None = None
    header: bool | None = None
    separator: str | None = None
    quotes: Quotes = "line"
    time_format: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.header is False and self.columns is None:
            raise UserError("data.header=false needs the names of the columns: data.columns=[user,item,timestamp].")
        if self.time_format is not None:
            check_format(self.time_format)

    def read(self, content: list[Part]) -> Events:
        named = {"user": self.user, "item": self.item, "timestamp": self.timestamp, "rating": self.rating}
        known = [end for end in Path(content[0].name.lower()).suffixes if end in (".csv", ".txt", ".tsv", ".tab")]
        tabs = known and known[-1] in (".tsv", ".tab")  # others may follow: .tsv.gz
        layout = FileLayout(
            separator=unescaped(self.separator) or ("\t" if tabs else ","),
            columns={field: name for field, name in named.items() if name is not None},
            names=None if self.columns is None else list(self.columns),
            header=self.columns is None if self.header is None else self.header,
            quotes=self.quotes,
            time_format=self.time_format,
            settings=self.settings,
            guessed=self.header is None and self.columns is None,
        )
        parquet = [part.raw.startswith(PARQUET) for part in content]
        if any(parquet) and not all(parquet):
            raise UserError(f"{self.path} holds Parquet and other files; data.path may name some of them by a glob.")
        if not any(parquet):
            return read_delimited(content, layout)
        given = {"columns": self.columns, "header": self.header, "separator": self.separator}
        given["quotes"] = None if self.quotes == "line" else self.quotes
        if of_text := [f"data.{name}" for name, value in given.items() if value is not None]:
            raise UserError(
                f"{content[0].name} is Parquet, whose columns have names and types; {' and '.join(of_text)} "
                "would change nothing. Leave it out, and name columns with data.user, data.item and data.timestamp."
            )
        return read_parquet(content, layout, self.max_bytes)


def read_parquet(parts: list[Part], layout: FileLayout, max_bytes: int) -> Events:
    """Like text, but for the types.

    Raises:
        UserError: no Parquet, a column is missing, or a value is missing or of the wrong kind.
    """
    tables = []
    for part in parts:
        with as_user_error(f"{part.name} cannot be read as Parquet"):
            file = pq.ParquetFile(pa.BufferReader(part.raw))
            check_columns(file.schema_arrow.names, layout, part)
            if size_of(file, len(layout.columns)) > max_bytes:
                raise UserError(f"{part.name} unpacks to more than data.max_bytes={max_bytes:,}.")
            table = file.read(list(dict.fromkeys(layout.columns.values())))
            table.validate(full=True)
            columns = {field: plain_column(table[name]) for field, name in layout.columns.items()}
        for field, column in columns.items():
            row = column.is_null().index(True).as_py() if column.null_count else -1
            if row < 0 and field in ("user", "item") and any(is_kind(column.type) for is_kind in TEXT):
                row = pc.index(column, pa.scalar("", column.type)).as_py()
            if row >= 0:
                raise UserError(f"{part.name}, row {row + 1}: column {layout.column(field)} has no value.")
            try:
                columns[field] = alike(field, column)
            except UnreadableColumn as error:
                error.field = field
                raise unreadable(error, [part], [pa.table({field: column})], layout) from error
        tables.append(pa.table(columns))
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"{other_types(parts, tables)}: {error}.") from error
    if not len(table):
        raise UserError(f"{parts[0].name} has no rows.")
    try:
        return from_columns({field: table[field] for field in layout.columns}, layout.time_format)
    except UnreadableColumn as error:
        raise unreadable(error, parts, tables, layout) from error


def unreadable(error: UnreadableColumn, parts: list[Part], tables: list[pa.Table], layout: FileLayout) -> UserError:
    """The error, with the file, the row and the value."""
    k, row = place_of(error, tables, layout.time_format)
    where, got = parts[k].name, ""
    if row is not None:
        where, got = f"{where}, row {row + 1}", f", got {quoted_line(str(tables[k][error.field][row].as_py()))}"
    return UserError(f"{where}: column {layout.column(error.field)} {error}{got}.")


def other_types(parts: list[Part], tables: list[pa.Table]) -> str:
    """Which part does not go with those before it."""
    for k in range(1, len(parts)):
        try:
            pa.concat_tables(tables[: k + 1], promote_options="permissive")
        except pa.ArrowException:
            return f"{parts[k].name} has columns of other types than the files before it"
    return f"{parts[0].name} and the other parts have columns of other types"


def size_of(file: pq.ParquetFile, columns: int) -> int:
    """Bytes of a file when it is read, at least: a column that repeats one value takes nearly none in the file."""
    about = file.metadata
    pages = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return int(max(pages, about.num_rows * columns * NUMBER))


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without dictionaries, long or viewed strings, and extension types such as UUIDs."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column.cast(pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind)
