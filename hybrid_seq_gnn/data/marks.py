"""Commas, colons, brackets and quotes that white space leaves in ids: `1, 2, 3` would be the items "2," and "3"."""

import shlex

import pyarrow as pa
import pyarrow.compute as pc

from hybrid_seq_gnn.data.events import Events
from hybrid_seq_gnn.data.raw import Part, quoted_line, text_lines
from hybrid_seq_gnn.errors import UserError

BETWEEN = ",;|:"
CLOSING = {"[": "]", "(": ")", "{": "}", '"': '"', "'": "'"}
MARKED = r"""^[\[({"',;|:]|[\])}"',;|:]$"""


def check_marks(events: Events, content: list[Part]) -> None:
    """Raise UserError at the first line whose fields hold such signs; lines are read again only if some id does."""
    texts = [pa.array(ids, pa.string()) for ids in (events.user_ids, events.item_ids) if ids.dtype == object]
    if not any(pc.any(pc.match_substring_regex(ids, MARKED)).as_py() for ids in texts):
        return
    for part in content:
        for number, line in text_lines(part):
            if advice := marks(line):
                if_meant = "If the signs belong to the ids, set data.separator to what stands between them."
                raise UserError(
                    f"{part.name}, line {number}: expected white space alone between ids, got {quoted_line(line)}. "
                    f"{advice} {if_meant}"
                )


def marks(line: str) -> str:
    r"""What to do with a line that has such signs between its fields or around them; nothing if it has none.

    Example:
        >>> marks("7, 3, 4")
        'Set "data.separator=\', \'".'
        >>> marks("7 [3, 4]")
        "Take them out: tr ',[]' ' ' < OLD > NEW."
        >>> marks("7 a,b c")
        ''
    """
    if not (fields := line.split()):
        return ""
    user, *history = fields
    if not (enclosed(fields) or enclosed(history)):
        for one in (
            f"{before}{sign}{after}"
            for sign in BETWEEN
            for before, after in ((" ", " "), ("", " "), ("", "\t"), (" ", ""))
        ):
            rows = line.strip().split(one)
            if len(rows) > 1 and all(len(field.split()) == 1 for field in rows) and rows[-1][-1] not in BETWEEN:
                return f'Set "data.separator={one!r}".'
        if user[-1] not in BETWEEN and (len(history) < 2 or any(one[-1] not in BETWEEN for one in history[:-1])):
            return ""
    signs = {*line} & {*BETWEEN, *CLOSING, *CLOSING.values()}
    return f"Take them out: tr {shlex.quote(''.join(sorted(signs)))} ' ' < OLD > NEW."


def enclosed(fields: list[str]) -> bool:
    """Whether all fields stand in one pair of brackets or quotes, and not each in its own."""
    first, last = (fields[0], fields[-1]) if fields else (" ", " ")
    if CLOSING.get(first[0]) != last[-1]:
        return False
    return len(first) == 1 or first[-1] != last[-1] or (len(fields) == 1 and "," in first)
