"""A text file with one line per user: `user item item ...`, in time order, plain or .gz."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.delimited import read_bytes
from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.source import Source


@dataclass(frozen=True, kw_only=True)
class SequencesFile(Source):
    """Histories without times and ratings, the format in which many papers publish data.

    Attributes:
        separator: between the fields of a line; null is any whitespace.
    """

    separator: str | None = None

    def content(self) -> bytes:
        return read_bytes(self.file())

    def read(self, content: bytes) -> Events:
        """All items of all lines, in order.

        Raises:
            ValueError: a line has no item, or a user has two lines.
        """
        users: list[str] = []
        items: list[list[str]] = []
        seen: dict[str, int] = {}
        for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1):
            if not line.strip():
                continue
            user, *history = [field for field in line.split(self.separator) if field]
            if not history:
                shown = line if len(line) <= 60 else f"{line[:60]}…"
                raise ValueError(
                    f"{self.path}, line {number}: expected user item item …, got {shown!r}. "
                    "Set data.separator if the file uses another one."
                )
            if user in seen:
                raise ValueError(
                    f"{self.path}, line {number}: user {user} already has line {seen[user]}; put all items on one line."
                )
            seen[user] = number
            users.append(user)
            items.append(history)
        lengths = [len(history) for history in items]
        flat = [item for history in items for item in history]
        return events(np.repeat(np.array(users, dtype=object), lengths), np.array(flat, dtype=object))
