"""What each single change does to a reference configuration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.evaluation.groups import OVERALL
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.report.facts import Facts
from hybrid_seq_gnn.report.page import Section
from hybrid_seq_gnn.report.sections.by_group import difference
from hybrid_seq_gnn.report.sections.quality import verdict_with_mark
from hybrid_seq_gnn.report.style import COLOURS, INK, Interval, distinct, figure
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.labels import Pairs, cell, interval, number, p_value, percent, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(section: Section, facts: Facts) -> None:
    found = reference_of([one for one in facts.configurations if one.name not in facts.untested], facts.baseline)
    if found is None:
        section.gap("an ablation needs a reference and two configurations that each differ from it in one setting.")
        return
    reference, changes = found
    others = [facts.named(name) for name in changes]
    frame = compare(reference, others, [METRIC], [OVERALL], resamples=facts.resamples, seed=facts.seed)
    level = reference.mean(METRIC)
    section.text(
        f"Reference: {reference.name} ({METRIC} {cell(level)}). Each line changes one thing in it; p is corrected "
        f"over the {len(others)} lines of this table."
    )
    rows, bars = [], {}
    for row in frame.to_dict("records"):
        what = words(changes[row["name"]])
        line = [what, row["name"], row["seeds"], float(row["mean"]), number(row["difference"], "+.4f")]
        line += [
            interval(row["low"], row["high"]),
            percent(row["relative"]),
            p_value(row["p_holm"]),
            verdict_with_mark(row),
        ]
        rows.append(line)
        bars[what] = difference(row)
    header = ["change", "configuration", "seeds", METRIC, "difference", "95 % interval", "relative", "p (Holm)"]
    section.table([*header, "verdict"], rows)
    if level is not None:
        first = facts.baseline.mean(METRIC) if facts.baseline else None
        begin = "What" if first is None else "From the baseline to the reference, and what"
        section.figure(
            "ablation",
            f"{begin} each single change does to the reference, with 95 % intervals (paired bootstrap over users). The "
            "changes are made one at a time and do not add up. Bars that lead down are hatched. "
            f"Reference: {reference.name}.",
            draw,
            *((facts.base, first) if first is not None else None, (reference.name, level), bars, f"{METRIC}, test"),
        )


def change(reference: Mapping[str, Any], other: Mapping[str, Any]) -> Pairs:
    """What `other` has otherwise, an exchanged option counting as one change whatever settings come with it.

    Groups that only one of two models uses (the graph of a hybrid) belong to the change of the model.

    Example:
        >>> hybrid = {"model": "hybrid", "gnn": "lightgcn", "gnn.num_layers": 2, "training.lr": 0.001}
        >>> change(hybrid, {**hybrid, "gnn.num_layers": 3})
        [('gnn.num_layers', 3)]
        >>> change(hybrid, {"model": "sasrec", "training.lr": 0.001})
        [('model', 'sasrec')]
    """
    options = [key for key in {**reference, **other} if "." not in key]
    one_sided = {key for key in options if (key in reference) != (key in other)}
    exchanged = [key for key in options if key not in one_sided and reference[key] != other[key]]
    if one_sided and "model" not in exchanged:
        exchanged += sorted(one_sided)
    closed = {*exchanged, *one_sided, *(["model"] if "model" in exchanged else [])}
    found: Pairs = [(key, other.get(key)) for key in exchanged]
    keys = [key for key in {**reference, **other} if "." in key and key.split(".")[0] not in closed]
    return found + [(key, other.get(key)) for key in keys if reference.get(key) != other.get(key)]


def reference_of(
    configurations: Sequence[Configuration], baseline: Configuration | None
) -> tuple[Configuration, dict[str, Pairs]] | None:
    """The configuration with the most neighbours that differ from it in one thing, and their changes by name.

    At least two such neighbours besides the baseline make an ablation; None where there are not so many. Of several
    references, and of several neighbours with the same change (`fusion=fixed` with two values of alpha), the one that
    stands first wins. Values of `fusion.alpha` alone are no ablation but a grid.
    """
    best: tuple[Configuration, dict[str, Pairs]] | None = None
    for one in configurations:
        if one is baseline:
            continue
        found: dict[str, Pairs] = {}
        for other in configurations:
            pairs = change(one.settings, other.settings)
            if other is not one and other is not baseline and len(pairs) == 1 and pairs not in found.values():
                found[other.name] = pairs
        kinds = {pairs[0][0] for pairs in found.values()}
        if len(found) >= 2 and kinds != {"fusion.alpha"} and (best is None or len(found) > len(best[1])):
            best = one, found
    return best


def draw(
    start: tuple[str, float] | None, reference: tuple[str, float], changes: dict[str, Interval], metric: str
) -> "Figure":
    """From the baseline to the reference, and from there what each change does by itself."""
    names = [*([start[0]] if start else []), reference[0], *changes]
    fig, ax = figure(height=1.1 + 0.32 * len(names))
    level = reference[1]
    if start:
        bar(ax, 0, start[1], level)
    own_row = 1 if start else 0
    ax.plot([level], [own_row], marker="D", color=INK, ls="")
    for row, gain in enumerate(changes.values(), start=own_row + 1):
        bar(ax, row, level, level + gain.mean)
        error = [[max(gain.mean - gain.low, 0)], [max(gain.high - gain.mean, 0)]]
        ax.errorbar([level + gain.mean], [row], xerr=error, color=INK, capsize=2.5, lw=1)
    ax.axvline(level, color=INK, lw=1, ls=(0, (3, 2)))
    ax.use_sticky_edges = False  # of bars, which would cut the diamond and its line in half
    ax.set_yticks(range(len(names)), distinct(names, 26))
    ax.invert_yaxis()
    ax.locator_params(axis="x", nbins=5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(metric)
    return fig


def bar(ax: "Axes", row: int, left: float, right: float) -> None:
    """A step from one value to another: blue and plain upwards, vermilion and hatched downwards."""
    up = right >= left
    colour = COLOURS[0] if up else COLOURS[1]
    ax.barh(row, right - left, left=left, height=0.6, color=colour, edgecolor=INK, lw=0.6, hatch=None if up else "////")
