"""Plain tables for terminals and Markdown."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import printable
from hybrid_seq_gnn.results.labels import Number, cell

if TYPE_CHECKING:
    import pandas as pd


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table that reads well as it is and as Markdown; numbers stand to the right."""
    text = [[escape_markdown(cell(value)) for value in row] for row in rows]
    widths = [max(len(line[k]) for line in [list(header), *text]) for k in range(len(header))]
    right = numeric(header, rows)

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
    return "\n".join([line(header), f"|{rule}|", *(line(row) for row in text)])


def escape_markdown(text: str) -> str:
    """A text in which nothing is a column, HTML or a command of a terminal."""
    return re.sub(r"<(?=[A-Za-z/!])", r"\<", printable(text).replace("\n", " ").replace("|", r"\|"))


def csv_of(frame: "pd.DataFrame") -> str:
    """CSV for people and programs. A text that a spreadsheet would run as a formula begins with a quote."""

    def harmless(value: Any) -> Any:
        formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
        return f"'{value}" if formula and not re.fullmatch(r"[-+][\d.eE+-]*", str(value)) else value

    return frame.map(harmless).rename(columns=harmless).to_csv(index=False)


def numeric(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Which columns hold numbers only, be they formatted already."""
    return [all(not isinstance(row[k], str) or isinstance(row[k], Number) for row in rows) for k in range(len(header))]


def latex(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    r"""The same table for LaTeX with \usepackage{booktabs}; every text is escaped."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(escape, cells)) + r" \\"

    body = [line([cell(value) for value in row]) for row in rows]
    columns = "".join("r" if right else "l" for right in numeric(header, rows))
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", line(header), r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}"])


TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$"}
TEX |= {character: f"\\{character}" for character in "&%$#_{}"} | {"<": "$<$", ">": "$>$", "|": "$|$", "[": "{[}"}


def escape(text: str) -> str:
    """A text in which nothing is a command of LaTeX."""
    return "".join(TEX.get(character, character) for character in text)


def left_out_paragraphs(notes: Sequence[str]) -> list[str]:
    """The paragraphs at the end of a command on what is not in its tables."""
    return ["Left out or replaced:", "\n".join(f"- {note}" for note in notes)] if notes else []
