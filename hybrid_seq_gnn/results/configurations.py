"""Runs that differ in nothing but their seed are one configuration, with a short name of its own."""

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_seq_gnn.files import read_yaml
from hybrid_seq_gnn.results.labels import short_names
from hybrid_seq_gnn.results.runs import FinishedRun, read_run
from hybrid_seq_gnn.run.identity import identity


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: short, in the words of the command line (or the setting `name`), unique among those it was made with.
        runs: one a seed, in the order of seeds.
        trials: how many configurations it may have been chosen from: those of its model in its sweep, itself and pruned
            ones included; 1 outside of a sweep.
    """

    name: str
    runs: tuple[FinishedRun, ...]
    trials: int = 1

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def settings(self) -> dict[str, Any]:
        """What all its runs have in common."""
        return self.runs[0].settings

    @property
    def validation(self) -> float:
        return float(np.mean([run.validation for run in self.runs]))

    def over_seeds(self, metric: str) -> list[float]:
        """A metric (see `FinishedRun.metric`) of every seed; empty for a group without users."""
        found = [run.metric(metric) for run in self.runs]
        return [] if None in found else [float(value) for value in found if value is not None]

    def mean(self, metric: str) -> float | None:
        """Of a metric over seeds; None for a group without users."""
        found = self.over_seeds(metric)
        return float(np.mean(found)) if found else None


def configurations(runs: Sequence[FinishedRun]) -> tuple[list[Configuration], list[str]]:
    """The runs by configuration, in the order in which they were found, and what is to be said about that."""
    together, notes = group_seeds(runs)
    return name_configurations(together), notes


def group_seeds(runs: Sequence[FinishedRun]) -> tuple[list[list[FinishedRun]], list[str]]:
    """Runs that differ in nothing but their seed, by seed; and a sentence for every run that another one replaces.

    Where a configuration has a seed twice, the run whose results.json is newest stays.
    """
    together: dict[str, list[FinishedRun]] = {}
    for run in runs:
        together.setdefault(run.identity, []).append(run)
    found, notes = [], []
    for same in together.values():
        kept: dict[int, FinishedRun] = {}
        for run in sorted(same, key=lambda run: (run.folder / "results.json").stat().st_mtime):
            if (older := kept.get(run.seed)) is not None:
                notes.append(
                    f"{older.folder} and {run.folder} are the same configuration with the same seed {run.seed}: "
                    f"the newer one, {run.folder}, is used."
                )
            kept[run.seed] = run
        found.append([kept[seed] for seed in sorted(kept)])
    return found, notes


def name_configurations(together: Sequence[Sequence[FinishedRun]]) -> list[Configuration]:
    """A configuration for each list of runs, as `group_seeds` gives them; no two have the same name."""
    first = [runs[0] for runs in together]
    given = [{run.given_name for run in runs} for runs in together]
    own = [names.pop() if len(names) == 1 else None for names in given]
    names = short_names(own, [run.settings for run in first], [str(run.folder) for run in first])
    sweeps = {sweep: tried(sweep) for sweep in {run.folder.resolve().parent for run in first}}
    trials = [max(1, sweeps[run.folder.resolve().parent][model_of(run.results["config"])]) for run in first]
    return [Configuration(*each) for each in zip(names, map(tuple, together), trials, strict=True)]


def tried(sweep: Path) -> Counter[Any]:
    """How many configurations of each model a sweep ran, to the end or until pruned; none outside of a sweep."""
    models = {}
    if (sweep / "leaderboard.csv").exists():
        for path in [*sweep.glob("*/results.json"), *pruned(sweep / "leaderboard.csv")]:
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # what cannot be read was not tried
                config = read_yaml(path) if path.suffix == ".yaml" else read_run(path.parent).results["config"]
                models[identity(config, "", seed=False)] = model_of(config)
    return Counter(models.values())


def pruned(board: Path) -> list[Path]:
    """The config.yaml of each run that a leaderboard.csv says was pruned."""
    rows = csv.DictReader(board.read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines())
    return [board.parent / str(row.get("folder")) / "config.yaml" for row in rows if row.get("status") == "pruned"]


def model_of(config: dict[str, Any]) -> str | None:
    """The class of the model; None in a file that does not say it."""
    node = config.get("model")
    return str(node["_target_"]) if isinstance(node, dict) and "_target_" in node else None
