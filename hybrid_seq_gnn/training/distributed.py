"""One run on several processes: `torchrun --nproc_per_node=N -m hybrid_seq_gnn …`.

Each process holds the whole model with the same weights and takes its share of the rows of each batch. Gradients are
combined in one all-reduce per step. `training.batch_size` is still the size of the whole batch, so with dropout 0 and
no sampling the numbers equal those of a single process up to rounding. Each process draws its own dropout and
negatives; in-batch negatives come from the targets of its own rows. Without torchrun, this module does nothing.

Ours differs from torch's `DistributedDataParallel`, which averages gradients over processes with equal weights and
overlaps communication with computation. Ours are weighted by the number of positions on each process (which may be 0),
as a single process would weight them. DDP also expects one `forward` and every parameter in use at every step. Our
models have `training_scores` instead, and a parameter may have no gradient (alpha = 1: no graph side); AdamW must then
skip it on all processes. The models are small: all gradients fit into one message, as with DDP.

All processes must see the same run folder. Each process reads the data; the first one reads before the others.
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
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError

T = TypeVar("T")
TIMEOUT = timedelta(hours=6)  # the first process may have to read a large file; torchrun notices dead processes


def rank() -> int:
    """Number of this process, from 0; process 0 writes files and log lines."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ["LOCAL_RANK"]) if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is process 0, which writes files and log lines."""
    return rank() == 0


@contextmanager
def processes() -> Iterator[None]:
    """Join the process group that torchrun started, and leave it at the end.

    An error in one process ends all: torchrun stops the rest. Only the first process to fail reports its error. The
    others fail for the same reason, or because the first is gone, and exit silently.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if (device := int(os.environ["LOCAL_RANK"])) < torch.cuda.device_count():
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield
    except BaseException as error:
        success = isinstance(error, SystemExit) and not error.code
        if not success and not first_to_fail():
            time.sleep(2)  # torchrun stops all processes when one ends: let the first to fail report its error
            sys.exit(1)
        raise
    with collective():
        dist.barrier()  # leaving while others still work may abort this process
    dist.destroy_process_group()


def first_to_fail() -> bool:
    """Whether no other process has failed so far; True only once."""
    try:
        return int(dist.distributed_c10d._get_default_store().add("failures", 1)) == 1
    except RuntimeError:  # torchrun itself is gone
        return False


@contextmanager
def collective() -> Iterator[None]:
    """Wrap a collective operation: if another process is gone, raise the error of `process_lost`."""
    try:
        yield
    except dist.DistError as error:
        raise process_lost(error) from error
    except RuntimeError as error:  # raised by gloo
        if "gloo" not in str(error):
            raise
        raise process_lost(error) from error


def process_lost(error: Exception) -> UserError:
    """The error for a process that waits for another one that is gone."""
    return UserError(
        f"process {rank()} lost the others: one of them ended, was killed or cannot be reached. Give the same command "
        f"with the same hydra.run.dir to resume after the last epoch. (PyTorch: {str(error).splitlines()[0][:200]})"
    )


def broadcast(value: T) -> T:
    """The value of the first process, on all processes."""
    if world_size() == 1:
        return value
    values = [value]
    with collective():
        dist.broadcast_object_list(values, src=0)
    return values[0]


def gather(value: T) -> list[T]:
    """The values of all processes, in order of rank, on all processes."""
    if world_size() == 1:
        return [value]
    values: list[T | None] = [None] * world_size()
    with collective():
        dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


@contextmanager
def first_alone() -> Iterator[None]:
    """Run the body on the first process, then on the others, which find its results in the cache."""
    if not is_first():
        with collective():
            dist.barrier()
    yield
    if is_first() and world_size() > 1:
        with collective():
            dist.barrier()


def share(rows: int) -> slice:
    """The rows of this process: every N-th, for N processes. May be empty."""
    return slice(rank(), rows, world_size())


@torch.no_grad()
def same_weights(model: nn.Module, loss: nn.Module) -> None:
    """Copy the weights of the first process to all; machines may draw or round initial weights differently."""
    if world_size() > 1:
        with collective():
            for parameter in (*model.parameters(), *loss.parameters()):
                dist.broadcast(parameter.data, src=0)


@torch.no_grad()
def average_over_positions(
    parameters: Sequence[nn.Parameter], value: Float[Tensor, ""], positions: int
) -> Float[Tensor, ""]:
    """Replace the gradients by those of the whole batch, and return the loss of the whole batch.

        g = sum over processes of m_r * g_r / sum of m_r,   m_r the number of positions on process r; same for the loss

    This weighted mean of means is the mean over all positions. A penalty is equal on all processes and counts once. A
    parameter that has no gradient on any process keeps none.

    Args:
        parameters: all trained parameters, in the same order on all processes.
        value: the loss on this process, a mean over its positions; 0 if it has none.
        positions: m_r; 0 is allowed, but not on all processes.
    """
    if world_size() == 1:
        return value
    device = parameters[0].device
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has_gradient = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
    flat = torch.cat([*(gradient.reshape(-1).float() for gradient in gradients), value.float().view(1)]).mul_(positions)
    flat = torch.cat([flat, has_gradient, torch.tensor([float(positions)], device=device)])
    with collective():
        dist.all_reduce(flat)
    total = flat[-1]
    *sums, loss, has_gradient, _ = torch.split(flat, [*(p.numel() for p in parameters), 1, len(parameters), 1])
    for parameter, gradient, count in zip(parameters, sums, has_gradient.tolist(), strict=True):
        parameter.grad = (gradient / total).view_as(parameter).to(parameter.dtype) if count else None
    return loss[0] / total
