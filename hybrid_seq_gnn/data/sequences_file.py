"""A text file with a line a user: `user item item ...`, in time order, plain or .gz."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.delimited import read_bytes
from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.source import Source


@dataclass(frozen=True, kw_only=True)
class SequencesFile(Source):
    """Histories without times and ratings, as many papers share them.

    Attributes:
        separator: between the fields of a line; null is any white space.
    """

    separator: str | None = None

    def content(self) -> bytes:
        return read_bytes(self.file())

    def read(self, content: bytes) -> Events:
        """Every item of every line, in order.

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
                raise ValueError(f"{self.path}, line {number}: user {user} has a line already, line {seen[user]}.")
            seen[user] = number
            users.append(user)
            items.append(history)
        lengths = [len(history) for history in items]
        return events(np.repeat(np.array(users, dtype=object), lengths), np.array(sum_of(items), dtype=object))


def sum_of(lists: list[list[str]]) -> list[str]:
    """All elements, in order."""
    return [element for one in lists for element in one]
