"""RecBole's atomic interaction files: a table whose header gives the type of each column.

Source: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from dataclasses import dataclass

from hybrid_seq_gnn.data.delimited import header, read_bytes, read_delimited
from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.source import Source


@dataclass(frozen=True, kw_only=True)
class RecBole(Source):
    """NAME.inter: `user_id:token`, `item_id:token` and, if present, `rating:float` and `timestamp:float`.

    Attributes:
        user, item, timestamp, rating: column names, without their types.
        separator: between fields.
    """

    user: str = "user_id"
    item: str = "item_id"
    timestamp: str = "timestamp"
    rating: str = "rating"
    separator: str = "\t"

    def content(self) -> bytes:
        return read_bytes(self.file())

    def read(self, content: bytes) -> Events:
        """Ids are required; times and ratings are read if present."""
        content = content.removeprefix(b"\xef\xbb\xbf")
        typed = {name.partition(":")[0]: name for name in header(content, self.separator)}
        columns = {"user": typed.get(self.user, self.user), "item": typed.get(self.item, self.item)}
        for field, name in (("timestamp", self.timestamp), ("rating", self.rating)):
            if name in typed:
                columns[field] = typed[name]
        return read_delimited(content, str(self.path), separator=self.separator, columns=columns)
