"""RecBole's atomic interaction files: a table whose header says the type of each column.

Source: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

import glob
from dataclasses import dataclass, replace
from pathlib import PurePath

from hybrid_seq_gnn.data.delimited import read_delimited
from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.layout import FileLayout, header
from hybrid_seq_gnn.data.raw import Part, read_parts
from hybrid_seq_gnn.data.source import Source, unescaped
from hybrid_seq_gnn.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RecBole(Source):
    """NAME.inter: `user_id:token`, `item_id:token` and, where they are there, `rating:float` and `timestamp:float`.

    Attributes:
        user, item, timestamp, rating: names of the columns, without their types.
        separator: between fields.
    """

    user: str = "user_id"
    item: str = "item_id"
    timestamp: str = "timestamp"
    rating: str = "rating"
    separator: str = "\t"

    def content(self) -> list[Part]:
        """Of a folder, the files NAME.inter, if there are any: users and items have files beside them. NAME.train.inter
        comes first and NAME.test.inter last, as events without times are in the order of their rows."""
        path = self.file()
        if path.is_dir() and any(path.rglob("*.inter")):
            path = path.__class__(glob.escape(str(path)), "**", "*.inter")
        return sorted(read_parts(path, self.max_bytes), key=lambda part: place(part.name))

    def read(self, content: list[Part]) -> Events:
        """Ids are needed; a time or rating column is used where it is there, and needed where the user named it."""
        separator = unescaped(self.separator) or "\t"
        names = header(content[0], separator)
        typed = {untyped(name): name for name in names}
        columns, notes = {}, []
        bare = [untyped(name) for name in names]
        for field in ("user", "item", "timestamp", "rating"):
            name = getattr(self, field)
            optional = field in ("timestamp", "rating") and name == getattr(type(self), field)
            if bare.count(name) > 1:
                twice = ", ".join(each for each in names if untyped(each) == name)
                raise UserError(f"{content[0].name} has {bare.count(name)} columns {name!r} (data.{field}): {twice}.")
            if name in typed or not optional:
                columns[field] = typed.get(name, name)
            elif more := [part.name for part in content[1:] if name in map(untyped, header(part, separator))]:
                raise UserError(
                    f"{more[0]} has a column {name!r} (data.{field}), and {content[0].name} has none. Give it to all "
                    "files, or name those to read by a glob in data.path."
                )
            elif field == "timestamp":
                notes.append(f"no column {name!r} (data.timestamp): the order of the rows is taken as that of time")
        if "timestamp" not in columns and f"{self.item}_list:token_seq" in names:
            raise UserError(
                f"{content[0].name} holds histories ({self.item}_list:token_seq) and no times. Write one line a user, "
                "`user item item …`, and read it with data=sequences."
            )
        return replace(
            read_delimited(content, FileLayout(separator, columns, settings=self.settings)), notes=tuple(notes)
        )


def untyped(column: str) -> str:
    """The name of a column without its type."""
    return column.partition(":")[0]


def place(file: str) -> int:
    """Where a file stands among the others."""
    return sum({"train": -1, "test": 1}.get(word, 0) for word in PurePath(file).name.split("."))
