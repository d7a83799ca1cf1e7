"""CPU milliseconds a training step, and what a graph side, a mixture of scores or more items add.

Each row is the mean over steps of the shortest of several rounds; ratios are of one run, A B A B, with the quartiles of
the ratios of single steps.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import ratio, table
from benchmarks.steps import Case, in_turn
from benchmarks.worlds import MODELS, World, data_options, model_of, random_world, worlds

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 3_400, 100_000


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", metavar="CHECKOUT", help="another checkout of the repository, before a change")
    parser.add_argument("--pairs", type=int, default=3, help="of processes, with --against")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    if options.against:
        return against(options)
    if options.json:
        found = {f"{world.name} {kind}": s for world, cases, seconds in measure(options) for kind, s in seconds.items()}
        print(json.dumps({name: seconds.min(0).tolist() for name, seconds in found.items()}))
        return None
    columns = ("data", "model", "ms a step", "targets a step", "targets a second", "÷ the first row of the data")
    return table(columns, rows(options))


def measure(options: argparse.Namespace) -> Iterator[tuple[World, dict[str, Case], dict[str, np.ndarray]]]:
    """All models on each data set; then sampled softmax on few items and many."""
    kinds = [kind for kind in options.models if kind != "sampled"]
    for world in worlds(options) if kinds else ():
        cases = {kind: Case(world, *model_of(kind, world), options.steps) for kind in kinds}
        yield world, cases, in_turn(cases, options.rounds)
    if "sampled" in options.models:
        few, many = random_world(FEW), random_world(MANY)
        for kind in ("sampled", "shared"):
            cases = {f"{kind}, {w.name}": Case(w, *model_of(kind, w), options.steps) for w in (few, many)}
            yield World("random", few.prepared, few.length), cases, in_turn(cases, options.rounds)


def rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    for world, cases, seconds in measure(options):
        first = next(iter(seconds.values()))
        for kind, case in cases.items():
            best = seconds[kind].min(0).mean()
            compared = "" if seconds[kind] is first else ratio(seconds[kind], first)
            yield world.name, kind, f"{1e3 * best:.1f}", f"{case.targets:.0f}", f"{case.targets / best:,.0f}", compared


def against(options: argparse.Namespace) -> None:
    """The same in processes of this checkout and of another one, in turn."""
    command = [sys.executable, "-m", "benchmarks", "train", "--json"]
    command += ["--steps", str(options.steps), "--rounds", str(options.rounds), "--models", *options.models]
    command += ["--data", *options.data] if options.data else []
    command += ["--folder", options.folder] if options.folder else []
    found: list[list[dict[str, list[float]]]] = [[], []]
    for _ in range(options.pairs):
        for side, checkout in enumerate((ROOT, Path(options.against).resolve())):
            environment = {**os.environ, "BENCHMARK_CHECKOUT": str(checkout)}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
            found[side].append(json.loads(done.stdout))
    columns = ("data and model", "ms a step there", "ms a step here", "there ÷ here")
    here, there = ({name: np.array([each[name] for each in side]) for name in side[0]} for side in found)
    table(
        columns,
        (
            (name, *(f"{1e3 * side[name].min(0).mean():.1f}" for side in (there, here)), ratio(there[name], here[name]))
            for name in here
        ),
    )
