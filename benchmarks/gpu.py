"""Training and ranking on a CUDA device, and its loss beside those of others.

Milliseconds are on the wall: of the fastest round for steps, the mean of 20 calls for losses. A wait is a point at
which the CPU stands still until the GPU has caught up, as PyTorch's `set_sync_debug_mode` counts them. Liger (`pip
install liger-kernel`) and cut-cross-entropy (`pip install cut-cross-entropy`) are compared where they are installed. A
loss is measured forward and backward; its memory is what it needs beside its inputs and gradients, its error that of
the gradient of the queries.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.machine import table
from benchmarks.steps import Case
from benchmarks.worlds import DIM, MODELS, data_options, model_of, worlds
from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy

ITEMS = (3_416, 12_101, 100_000)
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.add_argument("--models", nargs="+", default=MODELS[:-1], choices=MODELS[:-1])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16_384, help="of the loss")


def run(options: argparse.Namespace) -> None:
    if not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here, so there is nothing to measure.")
        return
    print(f"{torch.cuda.get_device_name()}\n")
    columns = ("data", "model", "ms a step", "targets a second", "waits a step", "validation, s", "epoch, s")
    table(columns, step_rows(options))
    table(("items", "loss", "ms", "MiB", "error"), loss_rows(options))


def step_rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    for world in worlds(options):
        for kind in options.models:
            case = Case(world, *model_of(kind, world), options.steps, "cuda")
            rounds, validations = [sum(case.epoch()) for _ in range(options.rounds)], []
            for _ in range(options.rounds):
                started = time.perf_counter()
                case.validate()
                validations.append(time.perf_counter() - started)
            step = min(rounds) / case.windows.steps
            found = f"{1e3 * step:.2f}", f"{case.targets / step:,.0f}", f"{waits(case) / case.windows.steps:.2f}"
            yield world.name, kind, *found, f"{min(validations):.2f}", f"{step * case.batches_in_epoch:.2f}"


def waits(case: Case) -> int:
    """In an epoch, with one at its end."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        case.epoch()
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(each.message) for each in found)


def losses() -> Iterator[tuple[str, torch.dtype, Loss]]:
    yield "ours, float32", torch.float32, linear_cross_entropy
    yield "ours, bf16", torch.float32, ours_in_half
    yield "PyTorch, float32", torch.float32, all_logits
    yield "PyTorch, bf16", torch.bfloat16, all_logits
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        liger = LigerFusedLinearCrossEntropyLoss()
        yield "Liger, bf16", torch.bfloat16, lambda q, w, targets: liger(w[1:], q, targets - 1)
    except ImportError as error:
        print(f"no Liger: {error}")
    try:
        from cut_cross_entropy import linear_cross_entropy as cut

        yield (
            "cut-cross-entropy, bf16",
            torch.bfloat16,
            lambda query, weight, targets: cut(query, weight[1:], targets - 1),
        )
    except ImportError as error:
        print(f"no cut-cross-entropy: {error}")


def all_logits(query: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(query @ weight[1:].T, targets - 1)


def ours_in_half(query: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    with torch.autocast("cuda", torch.bfloat16):
        return linear_cross_entropy(query, weight, targets)


def loss_rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    for items in ITEMS:
        query = torch.randn(options.rows, DIM, device="cuda")
        weight = 0.1 * torch.randn(items + 1, DIM, device="cuda")
        targets = torch.randint(1, items + 1, (options.rows,), device="cuda")
        exact = gradient(all_logits, query.double(), weight.double(), targets)
        for name, dtype, loss in losses():
            inputs = query.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets
            try:
                seconds, memory = timed(partial(backward, loss, *inputs))
                error = (gradient(loss, *inputs[:2], targets).double() - exact).norm() / exact.norm()
            except Exception as failure:  # of a kernel that does not know this device or shape
                yield f"{items:,}", name, type(failure).__name__, "", ""
                continue
            yield f"{items:,}", name, f"{1e3 * seconds:.2f}", f"{memory:.0f}", f"{error:.1e}"


def backward(loss: Loss, query: Tensor, weight: Tensor, targets: Tensor) -> None:
    query.grad = weight.grad = None
    loss(query, weight, targets).backward()


def gradient(loss: Loss, query: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    query = query.detach().requires_grad_()
    return torch.autograd.grad(loss(query, weight, targets), query)[0]


def timed(call: Callable[[], None], repeats: int = 20) -> tuple[float, float]:
    """Seconds a call, and the MiB that it needs for a while."""
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / repeats, (torch.cuda.max_memory_allocated() - before) / 2**20
