"""A table with one row per event: CSV, TSV (plain or .gz) or Parquet."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hybrid_seq_gnn.data.delimited import check_columns, read_bytes, read_delimited
from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.source import Source


@dataclass(frozen=True, kw_only=True)
class Table(Source):
    """Columns by name. A user's rows with equal timestamps keep their order.

    Attributes:
        user, item: columns with the ids.
        timestamp: column with the time, a number; null uses the order of the rows.
        rating: column with the rating, a number; null if there is none.
        separator: between fields; null is a tab for .tsv and .tsv.gz, else a comma. Not used for Parquet.
    """

    user: str = "user"
    item: str = "item"
    timestamp: str | None = "timestamp"
    rating: str | None = None
    separator: str | None = None

    def columns(self) -> dict[str, str]:
        """Column name of each field."""
        names = {"user": self.user, "item": self.item, "timestamp": self.timestamp, "rating": self.rating}
        return {field: name for field, name in names.items() if name is not None}

    def content(self) -> bytes:
        return read_bytes(self.file())

    def read(self, content: bytes) -> Events:
        path = self.file()
        if path.suffix in (".parquet", ".pq"):
            return self.read_parquet(content)
        tabs = path.name.removesuffix(".gz").endswith((".tsv", ".tab"))
        separator = self.separator or ("\t" if tabs else ",")
        return read_delimited(content, str(path), separator=separator, columns=self.columns())

    def read_parquet(self, content: bytes) -> Events:
        """Like a text table, but typed: ids are integers or text, times are numbers or dates.

        Raises:
            ValueError: not a Parquet file, a column or value is missing, or a value is not a number.
        """
        columns = self.columns()
        try:
            frame = pd.read_parquet(io.BytesIO(content))
        except Exception as error:
            raise ValueError(f"{self.path} cannot be read as Parquet: {error}.") from error
        check_columns([str(c) for c in frame.columns], columns, str(self.path), ",")
        if frame.empty:
            raise ValueError(f"{self.path} has no rows.")
        for field, name in columns.items():
            if frame[name].isna().any():
                row = int(frame[name].isna().to_numpy().argmax())
                raise ValueError(f"{self.path}, row {row + 1}: column {name!r} (data.{field}) has no value.")

        def numbers(field: str) -> np.ndarray | None:
            if field not in columns:
                return None
            values = frame[columns[field]]
            if pd.api.types.is_datetime64_any_dtype(values):
                return values.astype("datetime64[ns]").astype(np.int64).to_numpy() / 1e9
            if not pd.api.types.is_numeric_dtype(values):
                raise ValueError(f"{self.path}: column {columns[field]!r} (data.{field}) is not numeric.")
            return values.to_numpy(np.float64)

        def ids(field: str) -> np.ndarray:
            values = frame[columns[field]]
            return values.to_numpy(np.int64) if pd.api.types.is_integer_dtype(values) else values.astype(str).to_numpy()

        return events(ids("user"), ids("item"), numbers("rating"), numbers("timestamp"))
