"""Commas, colons, brackets and quotes that white space leaves in ids: `1, 2, 3` would be the items "2," and "3"."""

import itertools
import shlex

from hybrid_seq_gnn.data.raw import Part, quoted_line, text_lines
from hybrid_seq_gnn.errors import UserError

BETWEEN = ",;|:"
CLOSING = {"[": "]", "(": ")", "{": "}", '"': '"', "'": "'"}
LOOKED_AT = 100  # lines of a file


def check_marks(content: list[Part]) -> None:
    """Raise UserError at the first line whose fields hold such signs, where half of a file's first lines have them."""
    for part in content:
        lines = list(itertools.islice(text_lines(part), LOOKED_AT))
        marked = [(number, line, advice) for number, line in lines if (advice := marks(line))]
        if marked and 2 * len(marked) >= len(lines):
            number, line, advice = marked[0]
            where = f"{part.name}, line {number}"
            raise UserError(
                f"{where}: expected white space alone between ids, got {quoted_line(line)}. {advice} "
                "If the signs belong to the ids, set data.separator to what stands between them."
            )


def marks(line: str) -> str:
    r"""What to do with a line that has such signs between its fields or around them; nothing if it has none.

    Example:
        >>> marks("7, 3, 4")
        'Set "data.separator=\', \'".'
        >>> marks("7 [3, 4]")
        "Take the signs out: tr ',[]' ' ' < OLD > NEW."
        >>> marks("7: a:b c:d")
        'Take the signs out at the ends of the fields.'
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
    signs = "".join(sorted({*line} & {*BETWEEN, *CLOSING, *CLOSING.values()}))
    inside = any({*field.strip(signs)} & {*signs} for field in fields)
    if inside and not (len(fields) < 3 and (enclosed(fields) or enclosed(history))):
        return "Take the signs out at the ends of the fields."
    return f"Take the signs out: tr {shlex.quote(signs)} ' ' < OLD > NEW."


def enclosed(fields: list[str]) -> bool:
    """Whether all fields stand in one pair of brackets or quotes, and not each in its own."""
    first, last = (fields[0], fields[-1]) if fields else (" ", " ")
    if CLOSING.get(first[0]) != last[-1]:
        return False
    return len(first) == 1 or first[-1] != last[-1] or (len(fields) == 1 and "," in first)
