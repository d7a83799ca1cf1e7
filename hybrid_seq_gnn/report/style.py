"""How every figure looks: colours, markers and the three files that it becomes.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart, without yellow, which white
paper swallows. Each series also has a marker and a line style of its own, so a grey print can be read too.
In the page a figure is an SVG with real text and CSS variables for colours, so it follows the reader's theme.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, GRID, PAPER = "#1a1c1e", "#d9dcdf", "#fefefe"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
VARIABLES = {INK: "--ink", GRID: "--grid", PAPER: "--paper"} | {c: f"--s{k}" for k, c in enumerate(COLOURS, start=1)}
MARKERS = ("s", "^", "D", "v", "P", "X")
LINES = ((0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)))
WIDTH, HEIGHT = 5.0, 3.3  # inches: readable on a phone, two side by side on a desktop
INKED = ("axes.edgecolor", "axes.labelcolor", "legend.labelcolor", "text.color", "xtick.color", "ytick.color")
CJK = ["Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"]
CJK += ["Droid Sans Fallback", "Microsoft YaHei", "PingFang SC", "Yu Gothic", "Hiragino Sans", "Malgun Gothic"]
RC: dict[Any, Any] = dict.fromkeys(INKED, INK) | {
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "hybrid_seq_gnn",
    "text.parse_math": False,  # a dollar in a name is a dollar
}


class Look(NamedTuple):
    """How one series is drawn."""

    colour: str
    marker: str
    line: Any


class Interval(NamedTuple):
    """A number with its 95 % interval, and the single seeds where they are known."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()


BASELINE = Look(INK, "o", "solid")
SERIES = tuple(Look(*each) for each in zip(COLOURS, MARKERS, LINES, strict=True))


def looks(names: Collection[str], known: Mapping[str, Look]) -> dict[str, Look]:
    """A look for each name; those in `known` keep theirs unless one before has the same. After six they start anew."""
    found: dict[str, Look] = {}
    for name, look in known.items():
        if name in names and look not in found.values():
            found[name] = look
    free = [look for look in SERIES if look not in found.values()] or list(SERIES)
    rest = [name for name in names if name not in found]
    return found | {name: free[k % len(free)] for k, name in enumerate(rest)}


@contextmanager
def style() -> Iterator[None]:
    """Our look for what is drawn or saved inside, whatever the user's matplotlibrc says.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(needs("matplotlib")) from error
    from matplotlib.font_manager import fontManager

    here = {font.name for font in fontManager.ttflist}
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # the page's tables have the name
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC | {"font.family": [*RC["font.family"], *(font for font in CJK if font in here)]})
        yield


def needs(package: str) -> str:
    """What to say where a package of the report is missing."""
    return f"the report needs {package}, which is not installed: pip install 'hybrid_seq_gnn[report]'"


def figure(rows: int = 1, columns: int = 1, height: float = HEIGHT, **options: Any) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    fig = Figure(figsize=(WIDTH, height), layout="constrained")
    return fig, fig.subplots(rows, columns, **options)


def ordered(series: Collection[str], known: Mapping[str, Look]) -> list[tuple[str, Look]]:
    """Names with their looks, the baseline last so that it lies on top."""
    found = looks(series, known)
    return [(name, found[name]) for name in sorted(series, key=lambda name: found[name] == BASELINE)]


def marks(look: Look, points: int, log: bool = False) -> dict[str, Any]:
    """A few markers along a curve; `log` where its points are even in events and the axis is not."""
    even = range(points // 12, points, max(points // 6, 1))
    at = np.unique(np.geomspace(1, max(points - 1, 1), 8).astype(int)) if log else even
    return {"marker": look.marker, "markevery": [k for k in at if k < points], "ms": 4.5}


def log_events(ax: "Axes") -> None:
    """The axis of the length of the history: a log scale with whole numbers of events."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [int(tick) for tick in log_ticks(low, high, (1, 2, 5), least=2) if tick >= 1 and tick == int(tick)]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low, high)
    ax.set_xlabel("length of the history, events (log scale)")


def legend(ax: "Axes", columns: int = 1) -> None:
    """The legend under the axes, where it covers nothing."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        figure_of = ax.get_figure()
        assert figure_of is not None
        wrapped = distinct(labels, 52 // columns)
        figure_of.legend(handles, wrapped, loc="outside lower left", ncols=columns, handlelength=3.2)


def short(name: str, width: int = 30, lines: int = 2) -> str:
    """A name on at most so many lines, without its middle; the page's tables have it whole."""
    wrapped = textwrap.wrap(name, width, break_long_words=True) or [""]
    if len(wrapped) > lines:
        wrapped[lines - 1 :] = ["…" + name[1 - width :].lstrip()]
    return "\n".join(wrapped)


def distinct(names: Sequence[str], width: int, lines: int = 2) -> list[str]:
    """Names on so many lines each, on more where two would look alike."""
    for most in range(lines, 9):
        found = [short(name, width, most) for name in names]
        if len(set(found)) == len(set(names)):
            break
    return found


def whole_numbers(ax: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_ticks(low: float, high: float, *parts: Sequence[int], least: int) -> list[float]:
    """Round numbers from `low` to `high`: so many parts of each power of ten that there are enough, else even steps.

    Example:
        >>> log_ticks(0.008, 0.06, (1,), (1, 2, 5), least=3)
        [0.01, 0.02, 0.05]
    """
    from matplotlib.ticker import MaxNLocator

    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for each in parts:
        ticks = [tick for k in powers for part in each if low <= (tick := float(f"{part}e{k}")) <= high]
        if len(ticks) >= least:
            return ticks
    even = MaxNLocator(5, integer=high - low >= 1).tick_values(low, high)
    return [float(tick) for tick in even if low <= tick <= high]


def plain_logs(axis: "Axis") -> None:
    """Few numbers on a log axis, written as 0.001 or 1e-05 and not as a formula."""
    from matplotlib.ticker import NullFormatter

    low, high = sorted(axis.get_view_interval())
    ticks = log_ticks(low, high, (1,), (1, 3), (1, 2, 5), least=3)
    ticks = ticks[:: -(-len(ticks) // 4)]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def save(fig: "Figure", folder: Path, name: str) -> str:
    """Write NAME.png and NAME.pdf, each whole or not at all; returns the SVG for the page."""
    with style():
        with atomic(folder / f"{name}.png") as path:
            fig.savefig(path, format="png", metadata={"Software": None})
        fig.set_layout_engine("none")  # it stays as it was laid out
        with atomic(folder / f"{name}.pdf") as path:
            fig.savefig(path, format="pdf", metadata={"CreationDate": None})
        text = io.StringIO()
        fig.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return inline(text.getvalue(), name)


def inline(svg: str, name: str) -> str:
    """An SVG file as part of a page: ids of its own, colours by theme, the page's font, hidden from screen readers.

    The figure around it carries the text that says what it shows.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'(xlink:)?href="#', f'href="#{name}-', svg)
    for colour, variable in VARIABLES.items():
        svg = re.sub(colour, f"var({variable})", svg, flags=re.IGNORECASE)
    family = "font-family: var(--font, sans-serif)"
    svg = re.sub(r"font-family: ?'DejaVu Sans'[^;\"]*", family, svg)
    svg = re.sub(r"font: ?([^;\"]*?)'DejaVu Sans'[^;\"]*", rf"font: \1{family.partition(' ')[2]}", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    return svg.strip()
