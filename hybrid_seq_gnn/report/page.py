"""A page of sections: paragraphs, tables, figures, gaps; rendered by report.html.j2, where everything is escaped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.report.style import needs, save, style
from hybrid_seq_gnn.results.tables import cell, numeric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Block:
    """One piece of a section.

    Attributes:
        kind: text, list, gap, table, figure, pre.
        text: a paragraph, a caption, what is missing, or text to show as it is.
        items: of a list.
        header, rows, right: of a table; right says which columns are numbers.
        svg, name: of a figure: itself, and the name of its files.
        summary: fold the piece away under this line.
    """

    kind: str
    text: str = ""
    items: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    right: Sequence[bool] = ()
    svg: str = ""
    name: str = ""
    summary: str = ""


@dataclass
class Section:
    """A section of the page."""

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def text(self, text: str) -> None:
        """A paragraph."""
        self.blocks.append(Block("text", text))

    def list(self, items: Sequence[str]) -> None:
        """Points."""
        if items:
            self.blocks.append(Block("list", items=items))

    def gap(self, text: str) -> None:
        """Something that should be here and is not, and why."""
        self.blocks.append(Block("gap", text))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]], *, note: str = "", summary: str = "") -> None:
        """A table; numbers are shown as in all our tables."""
        right = numeric(header, rows)
        shown = [[cell(value) for value in row] for row in rows]
        self.blocks.append(Block("table", note, header=header, rows=shown, right=right, summary=summary))

    def pre(self, text: str, summary: str = "") -> None:
        """Text as it is, like a command or a configuration."""
        self.blocks.append(Block("pre", text, summary=summary))


@dataclass
class Figures:
    """The folder of the figures."""

    folder: Path
    names: list[str] = field(default_factory=list)

    def add(self, section: Section, name: str, caption: str, draw: "Callable[[], Figure | None]") -> bool:
        """Draw a figure into a section and its files into the folder; False where there is nothing to draw."""
        with style():
            drawn = draw()
        if drawn is None:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        section.blocks.append(Block("figure", caption, svg=save(drawn, self.folder, name), name=name))
        self.names.append(name)
        return True


def render(title: str, headline: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page.

    Raises:
        ValueError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise ValueError(needs("jinja2")) from error
    source = files("hybrid_seq_gnn.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["batched_by_kind"] = by_kind
    template = environment.from_string(source)
    return template.render(title=title, headline=headline, subtitle=subtitle, sections=sections, as_it_is=Markup)


def by_kind(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Neighbours of the same kind together, so that figures stand side by side."""
    return [{"kind": kind, "blocks": list(run)} for kind, run in groupby(blocks, key=lambda block: block.kind)]
