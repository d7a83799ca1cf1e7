"""One run on several processes: `torchrun --nproc_per_node=N -m hybrid_seq_gnn …`.

Every process holds the whole model and the same weights, takes its share of the rows of each batch, and the gradients
are brought together in one all-reduce a step. `training.batch_size` stays the size of the whole batch, so with
dropout 0 and no sampling the numbers are those of one process up to rounding. Dropout and negatives are drawn by each
process for itself, in-batch negatives among the targets of its own rows. Without torchrun nothing here does anything.

Ours differs from torch's `DistributedDataParallel`, which averages gradients over processes alike and hides
communication behind computation. Ours are weighted by the positions that each process had, as one process would
weight them, also where one had none. DDP wants one `forward` and every parameter in use at every step; our models
answer `training_scores`, and a parameter may be without gradient (alpha = 1: no graph side), where AdamW must leave
it alone on all processes. The models are small: all gradients fit one message, and DDP would send the same.

The processes must see the same run folder; data are read by each, by the first one before the others.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")
PATIENCE = timedelta(hours=6)  # the first process may have to read a large file; a dead one is noticed by torchrun


def rank() -> int:
    """Number of this process, from 0; the first one is the one that writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ["LOCAL_RANK"]) if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process writes files and speaks."""
    return rank() == 0


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes that torchrun started, and part from them at the end.

    An error of one ends all: torchrun stops the rest. The first process to fail says why, the others, which fail of the
    same reason or because it is gone, end without a word.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if (device := int(os.environ["LOCAL_RANK"])) < torch.cuda.device_count():
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    except BaseException as end:
        good = isinstance(end, SystemExit) and not end.code
        if not good and not first_to_fail():
            time.sleep(2)  # torchrun ends all when one ends: the first to fail must have spoken
            sys.exit(1)
        raise
    with together():
        dist.barrier()  # who leaves while another still works may be aborted on the way out
    dist.destroy_process_group()


def first_to_fail() -> bool:
    """Whether no other process has failed before; True once."""
    try:
        return int(dist.distributed_c10d._get_default_store().add("failures", 1)) == 1
    except RuntimeError:  # torchrun itself is gone
        return False


@contextmanager
def together() -> Iterator[None]:
    """Something that all processes do at once. That one of them is gone is said in our words."""
    try:
        yield
    except dist.DistError as error:
        raise process_lost(error) from error
    except RuntimeError as error:  # gloo's own
        if "gloo" not in str(error):
            raise
        raise process_lost(error) from error


def process_lost(error: Exception) -> RuntimeError:
    """The error of a process that waits for another in vain."""
    return RuntimeError(
        f"process {rank()} lost the others: one of them ended, was killed, or cannot be reached. The same command with "
        f"the same hydra.run.dir goes on from the last whole epoch. (PyTorch says: {str(error).splitlines()[0][:200]})"
    )


def broadcast(value: T) -> T:
    """The value of the first process."""
    if world_size() == 1:
        return value
    held = [value]
    with together():
        dist.broadcast_object_list(held, src=0)
    return held[0]


def gather(value: T) -> list[T]:
    """The values of all processes, in their order, on each of them."""
    if world_size() == 1:
        return [value]
    values: list[T | None] = [None] * world_size()
    with together():
        dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process does it alone, the others after it, so that they find what it left in the cache."""
    if not is_first():
        with together():
            dist.barrier()
    yield
    if is_first() and world_size() > 1:
        with together():
            dist.barrier()


def share(rows: int) -> slice:
    """Which of so many rows are this process's: every N-th. May be none."""
    return slice(rank(), rows, world_size())


@torch.no_grad()
def same_weights(model: nn.Module, loss: nn.Module) -> None:
    """Give all processes the weights of the first; machines may draw or round initial weights differently."""
    if world_size() > 1:
        with together():
            for parameter in (*model.parameters(), *loss.parameters()):
                dist.broadcast(parameter.data, src=0)


@torch.no_grad()
def average_over_positions(parameters: Sequence[nn.Parameter], value: float, positions: int) -> float:
    """Replace gradients by those of the whole batch, and return its loss.

        g = sum over processes of m_r * g_r / sum of m_r,   m_r the positions of process r; the same for the loss

    A mean over all positions is this mean of means, and a penalty, equal on all processes, is counted once. A parameter
    that has no gradient on any process has none after.

    Args:
        parameters: all that are trained, in the same order on all processes.
        value: the loss of this process, a mean over its positions; ignored if it has none.
        positions: m_r; 0 is allowed, but not on all processes.
    """
    if world_size() == 1:
        return value
    device = parameters[0].device
    pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    there = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
    loss = torch.tensor([value if positions else 0.0], device=device)
    flat = torch.cat([*(piece.reshape(-1).float() for piece in pieces), loss]).mul_(positions)
    flat = torch.cat([flat, there, torch.tensor([float(positions)], device=device)])
    with together():
        dist.all_reduce(flat)
    total = flat[-1]
    *sums, loss, there, _ = torch.split(flat, [*(p.numel() for p in parameters), 1, len(parameters), 1])
    for parameter, gradient, has in zip(parameters, sums, there.tolist(), strict=True):
        parameter.grad = (gradient / total).view_as(parameter).to(parameter.dtype) if has else None
    return float(loss / total)
