"""A page of sections: paragraphs, tables, figures, gaps; rendered by page.html.j2, where everything is escaped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.report.style import needs, save, style
from hybrid_seq_gnn.results.labels import cell
from hybrid_seq_gnn.results.tables import numeric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Block = dict[str, Any]  # kind, text, and what page.html.j2 asks of its kind; `summary` folds it away under a line


@dataclass
class Section:
    """A section of the page; `folder` is that of the figures."""

    key: str
    title: str
    folder: Path
    blocks: list[Block] = field(default_factory=list)

    def add(self, kind: str, text: str = "", **more: Any) -> None:
        self.blocks.append({"kind": kind, "text": text, **more})

    def text(self, text: str) -> None:
        self.add("text", text)

    def list(self, points: Sequence[str]) -> None:
        if points:
            self.add("list", points=points)

    def gap(self, text: str) -> None:
        """Something that should be here and is not, and why."""
        self.add("gap", text)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]], *, note: str = "", summary: str = "") -> None:
        """A table; numbers are shown as in all our tables."""
        shown = [[cell(value) for value in row] for row in rows]
        self.add("table", note, header=header, rows=shown, right=numeric(header, rows), summary=summary)

    def pre(self, text: str, summary: str = "") -> None:
        self.add("pre", text, summary=summary)

    def figure(self, name: str, caption: str, draw: "Callable[..., Figure | None]", *numbers: Any) -> bool:
        """What `draw(*numbers)` draws, and its files in the folder; False where there is nothing to draw."""
        with style():
            drawn = draw(*numbers)
        if drawn is None:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        self.add("figure", caption, svg=save(drawn, self.folder, name), name=name)
        return True


def render(headline: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page.

    Raises:
        UserError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise UserError(needs("jinja2")) from error
    source = files("hybrid_seq_gnn.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["batched_by_kind"] = by_kind
    return environment.from_string(source).render(headline=headline, subtitle=subtitle, sections=sections)


def by_kind(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Neighbours of the same kind together, so that figures stand side by side."""
    return [{"kind": kind, "blocks": list(run)} for kind, run in groupby(blocks, key=lambda block: block["kind"])]
