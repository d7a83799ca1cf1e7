"""How long a comparison takes: 10 runs of 6,000 users, 9 metrics, 4 groups, 10,000 resamples, files included."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import apart, table
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.evaluation.groups import GROUPS
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.results.configurations import configurations
from hybrid_seq_gnn.results.load import load
from tests.results.folders import write_run


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=10)


def run(options: argparse.Namespace) -> None:
    table(("comparison", "rows", "CPU s", "peak MiB"), rows(options))


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    for two_level in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), options.users, options.runs, seeds=2 if two_level else 1)
            found = apart(compared, folder, two_level)
        name = "over users and two seeds" if two_level else "over users"
        yield name, str(found.value), f"{found.cpu:.1f}", f"{found.peak:.0f}"


def write(folder: Path, users: int, runs: int, seeds: int) -> None:
    rng = np.random.default_rng(0)
    lengths = np.ceil(rng.lognormal(3.2, 1.0, users)).astype(int)
    for k in range(runs):
        for seed in range(seeds):
            ranks = np.ceil(rng.exponential(40 - k, users)).astype(int)
            write_run(folder / f"{k}_seed{seed}", ranks, lengths=lengths, seed=seed, fusion__alpha=k / 10)


def compared(folder: str, two_level: bool) -> int:
    (baseline, *others), _ = configurations(load([folder]).runs)
    return len(compare(baseline, others, NAMES, GROUPS, two_level=two_level))
