"""A text file with a line an event: `user item`, in time order, as SASRec's authors publish their data.

Source: https://github.com/kang205/SASRec (data/*.txt).
"""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.events import Events, events
from hybrid_seq_gnn.data.marks import check_marks
from hybrid_seq_gnn.data.raw import Part, headed, quoted_line, text_lines
from hybrid_seq_gnn.data.source import Source, unescaped
from hybrid_seq_gnn.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Pairs(Source):
    """Events without times and ratings; each user's are in the order of the file.

    Attributes:
        separator: between user and item; null is any white space.
    """

    separator: str | None = None

    def read(self, content: list[Part]) -> Events:
        """All lines.

        Raises:
            UserError: a line has not two fields, or white space leaves signs in ids.
        """
        if self.separator is None:
            check_marks(content)
        rows: list[list[str]] = []
        for part in content:
            for number, line in text_lines(part):
                fields = line.split(unescaped(self.separator))
                if len(fields) != 2 or not all(fields):
                    hint = "data=sequences reads a line a user, data=table columns by name."
                    raise UserError(
                        f"{part.name}, line {number}: expected user item, got {quoted_line(line)}. {hint}{headed(line)}"
                    )
                rows.append(fields)
        table = np.array(rows, dtype=object).reshape(-1, 2)
        return events(table[:, 0], table[:, 1])
