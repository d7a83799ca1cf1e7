"""Recommendations from a trained model: all users, one request, a million users and a million items, and RecTools."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.machine import apart, cpu, peak_memory, table
from benchmarks.peers import CACHE, environment, export, side
from benchmarks.worlds import BLOCKS, DIM, World, data_options, random_world, worlds
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.use.histories import Histories
from hybrid_seq_gnn.use.load import Trained
from hybrid_seq_gnn.use.recommend import recommend

K, REQUESTS = 10, 300
KINDS = ("sasrec", "hybrid")
MILLION = 1_000_000


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--million", action="store_true", help="also a million users, and a million items")
    parser.add_argument(
        "--rectools", action="store_true", help="also RecTools' recommend, in an environment of its own"
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the environment")


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    columns = ("data", "model", "users", "top 10 of all, CPU s", "ms a request, median", "99 %")
    table(columns, (row for world in worlds(options) for row in rows(world)))
    if options.rectools:
        table(("data", "RecTools' recommend, CPU s", "÷ product"), against_rectools(options))
    if options.million:
        columns = ("a million", "model", "all, CPU s", "MiB before", "MiB at the end", "ms a request, median", "99 %")
        table(columns, millions())


def trained(kind: str, world: World) -> Trained:
    """A model with random weights; serving takes the same time with trained ones."""
    sequences, split = world.prepared.sequences, world.prepared.split
    shape = {"embedding_dim": DIM, "num_blocks": BLOCKS, "max_length": world.length}
    model: nn.Module = SASRec(world.num_items, **shape)
    if kind == "hybrid":
        fusion = Fixed(alpha=0.5, level="score", mix="geometric")
        model = Hybrid(world.num_items, Evidence(sequences, split), fusion, **shape)
    device, counts = torch.device("cpu"), sequences.training_counts(split)
    return Trained(Path(), {}, model.eval().requires_grad_(False), sequences.item_ids, counts, "", device)


def histories_of(world: World) -> Histories:
    sequences = world.prepared.sequences
    return Histories(sequences.user_ids, sequences.indptr, sequences.items)


def all_users(model: Trained, histories: Histories) -> float:
    """CPU seconds."""
    started = cpu()
    found = sum(len(part.items) for part in recommend(model, histories, K))
    assert found == len(histories)
    return cpu() - started


def requests(model: Trained, histories: Histories, number: int = REQUESTS) -> tuple[str, str]:
    """Median and 99 % quantile of milliseconds on the clock, after ten to warm up."""
    seconds = []
    for row in np.random.default_rng(0).integers(0, len(histories), number + 10):
        one = histories.take(np.array([row]))
        started = time.perf_counter()
        list(recommend(model, one, K))
        seconds.append(time.perf_counter() - started)
    middle, slow = np.quantile(1e3 * np.array(seconds[10:]), [0.5, 0.99])
    return f"{middle:.2f}", f"{slow:.2f}"


def rows(world: World) -> Iterator[tuple[str, ...]]:
    histories = histories_of(world)
    for kind in KINDS:
        model = trained(kind, world)
        best = min(all_users(model, histories) for _ in range(3))
        yield world.name, kind, f"{len(histories):,}", f"{best:.2f}", *requests(model, histories)


def against_rectools(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """SASRec of the same size for the same users, in turn."""
    python = environment(options.cache, "rectools")
    for world in worlds(options):
        model, histories, ratios, theirs = trained("sasrec", world), histories_of(world), [], []
        with TemporaryDirectory() as folder:
            file = export(world, Path(folder))
            for _ in range(3):
                ours = all_users(model, histories)
                theirs.append(side("rectools", python, file, world, "--steps", 3, "--recommend", K)[-1]["cpu"])
                ratios.append(theirs[-1] / ours)
        yield world.name, f"{min(theirs):.2f}", ", ".join(f"{each:.2f}" for each in ratios)


def of_users(kind: str) -> list[float]:
    """CPU seconds for a million users of 3,416 items, and the memory before and after."""
    world = random_world(3416, users=5000)
    model, some = trained(kind, world), histories_of(world)
    row = np.tile(np.arange(len(some)), MILLION // len(some))
    histories = Histories(np.arange(MILLION), np.arange(MILLION + 1) * 53, some.items.reshape(-1, 53)[row].ravel())
    before = peak_memory()
    return [all_users(model, histories), before, peak_memory()]


def of_items(kind: str) -> list[str]:
    """Milliseconds of a request from a million items."""
    world = random_world(MILLION, users=20_000)
    return list(requests(trained(kind, world), histories_of(world), 100))


def millions() -> Iterator[tuple[str, ...]]:
    for kind in KINDS:
        seconds, before, after = apart(of_users, kind).value
        yield "users", kind, f"{seconds:.0f}", f"{before:.0f}", f"{after:.0f}", "", ""
        yield "items", kind, "", "", "", *apart(of_items, kind).value
