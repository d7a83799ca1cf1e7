"""The other sections: alpha, learning curves, data and graph, and how to do it again."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_seq_gnn.report import figures
from hybrid_seq_gnn.report.evidence import METRIC, Evidence, over_seeds, validation
from hybrid_seq_gnn.report.page import Figures, Section
from hybrid_seq_gnn.report.sections import drawn
from hybrid_seq_gnn.report.style import looks
from hybrid_seq_gnn.results.labels import value_in_words
from hybrid_seq_gnn.results.runs import Configuration
from hybrid_seq_gnn.run.identity import flatten

ALPHA = "fusion.alpha"


def alpha(evidence: Evidence, figs: Figures) -> Section:
    """alpha over lengths, and the grid over fixed alpha."""
    section = Section("alpha", "The weight alpha")
    curves, options = {}, set()
    for one in evidence.others:
        found = [run.results.get("alpha_curve") for run in one.runs]
        known_curves = [curve for curve in found if curve]
        if len(known_curves) == len(found) and one.settings.get("fusion") not in options:
            at = known_curves[0]["length"]
            curves[one.name] = (np.array(at), np.array([curve["alpha"][: len(at)] for curve in known_curves]))
            options.add(one.settings.get("fusion"))
    kept = dict(list(curves.items())[: figures.MOST])
    users = evidence.users
    if kept and users is not None and len(users):
        known = looks([one.name for one in evidence.others[: figures.MOST]], None)
        figs.add(
            section,
            "alpha-by-length",
            "Weight of the sequence side against the length of the history, for the best configuration (on validation) "
            "of each fusion; a band is the range over seeds. Below: how many test users have such a history.",
            lambda: figures.alpha_curves(kept, users["length"].to_numpy(), known),
        )
    else:
        section.gap("alpha over lengths: no run here mixes two sides, or none recorded alpha_curve.")
    family = grid(evidence.configurations)
    if len(family) < 2:
        section.gap("a grid over alpha: fewer than two configurations differ in fusion.alpha alone.")
        return section
    at = [float(one.settings[ALPHA]) for one in family]
    lines: dict[str, list[tuple[float, ...]]] = {
        "test": [over_seeds(one, METRIC) for one in family],
        "validation": [tuple(float(run.results["best_val_metric"]) for run in one.runs) for one in family],
    }
    base = over_seeds(evidence.baseline, METRIC) if evidence.baseline else None
    figs.add(
        section,
        "alpha-grid",
        f"{METRIC} against a fixed alpha, everything else equal: lines are means over seeds, marks single seeds, bands "
        "their range. Choose by validation.",
        lambda: figures.alpha_grid(at, lines, base, METRIC),
    )
    return section


def grid(configurations: Sequence[Configuration]) -> list[Configuration]:
    """The most configurations that differ in fusion.alpha alone, by alpha."""
    families: dict[str, list[Configuration]] = {}
    for one in configurations:
        if isinstance(one.settings.get(ALPHA), int | float):
            rest = sorted((key, repr(value)) for key, value in one.settings.items() if key != ALPHA)
            families.setdefault(repr(rest), []).append(one)
    most = max(families.values(), key=len, default=[])
    return sorted(most, key=lambda one: float(one.settings[ALPHA]))


def learning(evidence: Evidence, figs: Figures) -> Section:
    """Validation and loss over epochs."""
    section = Section("learning", "Learning curves")
    shown, note = drawn(evidence, per_user=False)
    series, problems = {}, []
    for one in shown:
        runs = []
        for run in one.runs:
            history = read_history(run.folder / "metrics.jsonl")
            if isinstance(history, str):
                problems.append(history)
            else:
                runs.append({**history, "best": run.results["best_epoch"]})
        if runs:
            series[one.name] = runs
    base = evidence.baseline.name if evidence.baseline and evidence.baseline.name in series else None
    if series:
        caption = f"Validation {METRIC} and training loss, a line a seed; the mark is the epoch that was kept.{note}"
        figs.add(section, "learning", caption, lambda: figures.learning(series, base, METRIC))
    if problems or not series:
        section.gap("; ".join(problems) or "no run has a metrics.jsonl.")
    return section


def read_history(path: Path) -> dict[str, Any] | str:
    """epoch, metric and loss of every epoch, NaN where there is none; or what is wrong with the file."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        epochs = np.array([float(record["epoch"]) for record in records])
        metric = [(record.get("validation") or {}).get(METRIC) for record in records]
        loss = [record.get("loss") for record in records]
    except FileNotFoundError:
        return f"{path} is not there"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} cannot be read: {error!r}"

    def numbers(values: list[Any]) -> np.ndarray:
        return np.array([math.nan if value is None else float(value) for value in values])

    return {"epoch": epochs, "metric": numbers(metric), "loss": numbers(loss)}


def data_and_graph(evidence: Evidence) -> Section:
    """What the runs learned from."""
    section = Section("data", "Data and graph")
    first = evidence.configurations[0].runs[0].results
    data = first["data"]
    users, items, events = (data.get(key) for key in ("users", "items", "events"))
    groups = {g: m["count"] for g, m in first["grouped_metrics"].items()}
    rows: list[list[Any]] = [["data set", str(first["options"].get("data"))]]
    rows += [[name, f"{value:,}"] for name, value in (("users", users), ("items", items), ("events", events)) if value]
    if users and items and events:
        rows += [["events a user, mean", f"{events / users:.1f}"], ["density", f"{events / users / items:.3%}"]]
    if evidence.users is not None and len(evidence.users):
        quantiles = evidence.users["length"].quantile([0, 0.25, 0.5, 0.75, 1])
        rows.append(["length of test histories: least, quartiles, greatest", ", ".join(f"{q:.0f}" for q in quantiles)])
    rows += [[f"test users, {group}", f"{count:,}"] for group, count in groups.items()]
    rows += [["filter", str(line)] for line in data.get("filters", [])]
    settings = {k: v for k, v in flatten(first["config"].get("data") or {}) if k != "url" and v is not None}
    rows += [[f"data.{key}", value_in_words(value)] for key, value in settings.items()]
    rows += [["hash of the data (sha256)", str(data.get("hash"))], ["hash of data and split", str(data["split_hash"])]]
    section.table(["data", ""], rows)
    graphs: dict[str, list[str]] = {}
    for one in evidence.configurations:
        if statistics := one.runs[0].results.get("graph"):
            graphs.setdefault(json.dumps(statistics), []).append(one.name)
    if not graphs:
        section.gap("no run here uses a graph.")
        return section
    cards = [dict(flatten(json.loads(text))) for text in graphs]
    keys = list(dict.fromkeys(key for card in cards for key in card))
    header = ["graph", *(f"graph {k + 1}" for k in range(len(cards)))] if len(cards) > 1 else ["graph", ""]
    body = [[key, *(figure_of(card.get(key)) for card in cards)] for key in keys]
    section.table(header, [*body, ["used by", *("; ".join(names) for names in graphs.values())]])
    return section


def figure_of(value: Any) -> str:
    """A statistic to read."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def again(evidence: Evidence) -> Section:
    """Commands, versions, configurations, hashes."""
    section = Section("again", "How to do it again")
    runs = [run for one in evidence.configurations for run in one.runs]
    commands = list(dict.fromkeys(run.results["command"] for run in runs if run.results.get("command")))
    if commands:
        section.pre("\n".join(commands))
    else:
        section.gap("the runs do not say which commands made them.")
    found: dict[str, list[str]] = {}
    for run in runs:
        for package, version in (run.results.get("versions") or {}).items():
            found.setdefault(package, []).append(str(version))
    rows = [[package, ", ".join(dict.fromkeys(versions))] for package, versions in found.items()]
    states = [run.results.get("git") or {} for run in runs]
    commits = dict.fromkeys(
        f"{state.get('commit') or 'unknown'}{' with changes' if state.get('dirty') else ''}" for state in states
    )
    rows.append(["git commit of the software", ", ".join(commits)])
    devices = dict.fromkeys(f"{run.results.get('device')}, {run.results.get('threads')} thread(s)" for run in runs)
    rows.append(["device", "; ".join(devices)])
    section.table(["version", ""], rows)
    several = [package for package, versions in found.items() if len(set(versions)) > 1]
    if several or len(commits) > 1:
        what = [*several, *(["the software"] if len(commits) > 1 else [])]
        section.text(f"The runs were not all made with the same version of {', '.join(what)}.")
    table = [
        [one.name, run.seed, str(run.folder), str(run.results.get("identity", "–"))[:16], run.split_hash[:16]]
        for one in evidence.configurations
        for run in one.runs
    ]
    section.table(
        ["configuration", "seed", "folder", "identity (sha256)", "data and split"],
        table,
        summary=f"All {len(runs)} runs",
    )
    for one in evidence.configurations:
        seeds = ", ".join(map(str, one.seeds))
        summary = f"{one.name} (seeds {seeds}; validation {METRIC} {validation(one):.4f}): its configuration"
        section.pre(configuration(one), summary=summary)
    return section


def configuration(one: Configuration) -> str:
    """Every setting of a configuration in the words of the command line, a line each."""
    results = one.runs[0].results
    options = [f"{group}={option}" for group, option in results["options"].items() if results["config"].get(group)]
    lines = [f"{key}={value_in_words(v, exact=True)}" for key, v in flatten(results["config"]) if "." in key]
    return "\n".join([*options, *lines])
