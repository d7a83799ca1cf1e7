"""A text file with a line a user: `user item item ...`, in time order."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.marks import check_marks
from hybrid_seq_gnn.data.raw import Part, headed, quoted_line, text_lines
from hybrid_seq_gnn.data.source import Source, unescaped
from hybrid_seq_gnn.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SequencesFile(Source):
    r"""Histories without times and ratings, as many papers share them. Lines end with \n, \r\n or \r.

    Attributes:
        separator: between the fields of a line; null is any white space.
    """

    separator: str | None = None

    def read(self, content: list[Part]) -> Events:
        """Every item of every line, in order.

        Raises:
            UserError: a line has no item or an empty field, a user has two lines, or white space leaves signs in ids.
        """
        if self.separator is None:
            check_marks(content)
        seen: dict[str, tuple[str, int]] = {}
        lengths: list[int] = []
        items: list[str] = []
        for part in content:
            for number, line in text_lines(part):
                fields = line.split(unescaped(self.separator))
                while fields and not fields[-1]:
                    fields.pop()
                if not all(fields):
                    hint = "Fill it, or leave out data.separator, if white space separates."
                    raise UserError(f"{part.name}, line {number}: a field is empty, got {quoted_line(line)}. {hint}")
                if len(fields) == 1:
                    hint = f"Set data.separator if the file uses another one.{headed(line)}"
                    raise UserError(
                        f"{part.name}, line {number}: expected user item item …, got {quoted_line(line)}. {hint}"
                    )
                if not fields:
                    continue
                user, *history = fields
                if user in seen:
                    other = "pairs reads" if len(history) == 1 else "table with data.columns and data.separator reads"
                    hint = f" If a line is an event, data={other} such files." if {len(history)} >= {*lengths} else ""
                    name, first = seen[user]
                    there = f"line {first}" if name == part.name else f"line {first} of {name}"
                    raise UserError(
                        f"{part.name}, line {number}: user {quoted_line(user)} has a line already, {there}.{hint}"
                    )
                seen[user] = part.name, number
                lengths.append(len(history))
                items += history
        users = np.repeat(np.array(list(seen), dtype=object), lengths)
        return events(users, np.array(items, dtype=object))
