"""Ten million events of a million items: data, graph, training steps and ranking, each in a process of its own."""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import prepare
from benchmarks.machine import apart, cpu, table
from benchmarks.steps import Case
from benchmarks.worlds import DIM, World, model_of
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.spectral import spectral_vectors

LENGTH, USERS = 50, 200


def options(parser: argparse.ArgumentParser) -> None:
    prepare.options(parser, 10_000_000, 1_000_000)
    parser.add_argument("--steps", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.csv"
        apart(prepare.write, events, options.events, options.items)
        table((f"{options.events:,} events", "CPU s", "wall s", "peak MiB", "found"), rows(events, options.steps))


def rows(events: Path, steps: int) -> Iterator[tuple[str, ...]]:
    found = apart(prepare.read, events, True)
    yield *prepare.shown("CSV to sequences, split and cache", found), f"{found.value[1]:,} items"
    found = apart(prepare.read, events, True)
    yield *prepare.shown("from the cache", found), ""
    found = apart(graph, events)
    seconds, edges = found.value
    yield "item graph and its matrix", f"{seconds:.2f}", "", f"{found.peak:.0f}", f"{edges:,} edges"
    found = apart(vectors, events)
    seconds, linked = found.value
    yield "first item embeddings", f"{seconds:.2f}", "", f"{found.peak:.0f}", f"{linked:,} items with a pair"
    for kind in ("sampled", "sasrec"):
        found = apart(step, events, kind, steps)
        seconds, epoch = found.value
        what = "256 negatives" if kind == "sampled" else "cross-entropy"
        yield f"a training step, {what}", f"{seconds:.2f}", "", f"{found.peak:.0f}", f"an epoch {epoch / 3600:.1f} h"
    found = apart(rank, events)
    seconds, all_users = found.value
    yield f"ranking {USERS} users", f"{seconds:.2f}", "", f"{found.peak:.0f}", f"all users {all_users / 3600:.1f} h"


def graph(events: Path) -> tuple[float, int]:
    data = prepare.prepared(events, True)
    started = cpu()
    adjacency = Cooccurrence().build(data.sequences, data.split).adjacency()
    return cpu() - started, len(adjacency.get_buffer("column"))


def vectors(events: Path) -> tuple[float, int]:
    data = prepare.prepared(events, True)
    torch.set_num_threads(1)
    started = cpu()
    found = spectral_vectors(data.sequences, data.split, DIM)
    return cpu() - started, int(found.any(1).sum())


def world(events: Path) -> World:
    return World("scale", prepare.prepared(events, True), LENGTH)


def step(events: Path, kind: str, steps: int) -> tuple[float, float]:
    """Shortest of some steps, and an epoch of such steps."""
    data = world(events)
    case = Case(data, *model_of(kind, data), steps)
    seconds = min(case.epoch())
    return seconds, seconds * case.batches_in_epoch


def rank(events: Path) -> tuple[float, float]:
    """The first users of the validation split, and the time that all would take."""
    data = world(events)
    valid = data.prepared.split.valid
    few = np.where(np.arange(len(valid)) < USERS, valid, -1)
    split = Split(data.prepared.split.train_end, few, data.prepared.split.test)
    case = Case(replace(data, prepared=replace(data.prepared, split=split)), *model_of("sasrec", data), 1)
    torch.set_num_threads(1)
    started = cpu()
    case.validate()
    seconds = cpu() - started
    return seconds, seconds / min(USERS, len(valid)) * len(valid)
