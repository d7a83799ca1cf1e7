"""The peak of the machine's matrix products on one thread, and what share of it the loss and whole steps reach.

The peak is the fastest of square float32 products. The loss is counted as 6 M N D operations (three products of M rows
with a table of N x D), a step as M (6 N D + 36 L D²): see `steps.Case.flop`.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.machine import cpu, table
from benchmarks.steps import Case, in_turn
from benchmarks.worlds import DIM, data_options, model_of, worlds
from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy

SQUARES = (512, 1024, 2048)
ITEMS = (3_416, 12_101)
CHUNK = 128  # rows of logits at a time: what they need stays in the cache
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=3072, help="M of the loss")
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS, help="N of the loss")
    parser.add_argument("--seconds", type=float, default=0.25, help="of a measurement")
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--squares", type=int, nargs="+", default=SQUARES)


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    speeds = list(products(options))
    peak = max(speed for size, name, speed in speeds if name == "fp32" and size in options.squares)
    table(("product", "type", "GFLOP/s", "÷ peak"), (shown(*each, peak) for each in speeds))
    table(("loss", "type", "GFLOP/s", "share of peak", "its three products alone"), loss_rows(options, peak))
    table(("step of SASRec", "ms", "GFLOP/s", "share of peak"), step_rows(options, peak))


def shown(size: object, name: str, speed: float, peak: float) -> tuple[str, str, str, str]:
    return f"{size} x {size}" if isinstance(size, int) else str(size), name, f"{speed:.1f}", f"{speed / peak:.2f}"


def products(options: argparse.Namespace) -> Iterator[tuple[object, str, float]]:
    """GFLOP/s of square products, and of those of the loss with and without logits in rows of whole cache lines."""
    for name in options.types:
        dtype = TYPES[name]
        for size in options.squares:
            a, b, out = (torch.rand(size, size).to(dtype) for _ in range(3))
            (seconds,) = fastest([partial(torch.mm, a, b, out=out)], options.seconds)
            yield size, name, 2e-9 * size**3 / seconds
        for items in options.items:
            for columns in (items + 1, padded(items)):
                seconds = sum(fastest(three_products(columns, dtype), options.seconds))
                yield f"those of the loss, {CHUNK} x {columns}", name, 6e-9 * CHUNK * items * DIM / seconds


def padded(items: int) -> int:
    """Columns, padding item included, so that each row of float32 begins with a cache line."""
    return (items // 16 + 1) * 16


def three_products(columns: int, dtype: torch.dtype) -> list[Callable[[], object]]:
    """Logits, gradient of the queries and gradient of the table, for one chunk of rows."""
    table, query, logits = (torch.rand(*size).to(dtype) for size in ((columns, DIM), (CHUNK, DIM), (CHUNK, columns)))
    query_grad, table_grad = torch.empty_like(query), torch.zeros_like(table)
    return [
        lambda: torch.mm(query, table.T, out=logits),
        lambda: torch.mm(logits, table, out=query_grad),
        lambda: table_grad.addmm_(logits.T, query),
    ]


def fastest(calls: list[Callable[[], object]], seconds: float, rounds: int = 4) -> list[float]:
    """Shortest CPU seconds of a call of each, in turn; each round lasts a while, since clocks are coarse."""
    repeats = []
    for call in calls:
        call()
        started = time.perf_counter()
        call()
        repeats.append(math.ceil(seconds / rounds / max(time.perf_counter() - started, 1e-6)))
    best = [math.inf] * len(calls)
    for _ in range(rounds):
        for k, (call, repeat) in enumerate(zip(calls, repeats, strict=True)):
            started = cpu()
            for _ in range(repeat):
                call()
            best[k] = min(best[k], (cpu() - started) / repeat)
    return best


def loss_rows(options: argparse.Namespace, peak: float) -> Iterator[tuple[str, ...]]:
    for items in options.items:
        query = torch.randn(options.rows, DIM, requires_grad=True)
        weight = (0.1 * torch.randn(items + 1, DIM)).requires_grad_()
        targets = torch.randint(1, items + 1, (options.rows,))
        for name in options.types:
            calls = three_products(padded(items), TYPES[name])
            call = partial(loss, query, weight, targets, name == "bf16")
            whole, *parts = fastest([call, *calls], 4 * options.seconds)
            speed = 6e-9 * options.rows * items * DIM / whole
            alone = 6e-9 * CHUNK * items * DIM / sum(parts)
            label = f"{options.rows} rows, {items:,} items"
            yield label, name, f"{speed:.1f}", f"{speed / peak:.0%}", f"{alone / peak:.0%}"


def loss(query: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, half: bool) -> None:
    query.grad = weight.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        value = linear_cross_entropy(query, weight, targets)
    value.backward()


def step_rows(options: argparse.Namespace, peak: float) -> Iterator[tuple[str, ...]]:
    for world in worlds(options):
        case = Case(world, *model_of("sasrec", world), options.steps)
        best = in_turn({"sasrec": case}, options.rounds)["sasrec"].min(0).mean()
        speed = 1e-9 * case.flop / best
        label = f"{world.name}, length {world.length}, {case.targets:.0f} targets"
        yield label, f"{1e3 * best:.1f}", f"{speed:.1f}", f"{speed / peak:.0%}"
