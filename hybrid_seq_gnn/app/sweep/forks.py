"""Workers of a sweep as forks of this process, which has planned it and loaded everything already."""

import multiprocessing
import os
import signal
import sys
from contextlib import AbstractContextManager
from typing import Any

import psutil

from hybrid_seq_gnn.app.cli import explain_trial
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.app.sweep.worker import TooManyFailures, Worker
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.study.queue import every

MEMORY = 2 << 30  # bytes that a worker should find free
LOOK_FOR_PARENT = 0.5  # seconds


def most_workers(threads: int) -> int:
    """How many workers of so many threads have a core and memory each. 1 with CUDA, which a fork cannot use."""
    import torch

    if torch.cuda.is_available() or "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return max(min(cores() // threads, psutil.virtual_memory().available // MEMORY), 1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_forks(plan: Plan, workers: int) -> list[Exception]:
    """Have forks serve the queue of a study until it is empty. Returns why some of them ended early."""
    import torch._dynamo  # every optimizer imports it, which takes 1.5 s: once for all forks  # noqa: F401

    context = multiprocessing.get_context("fork")
    reasons = context.SimpleQueue()
    forks = [context.Process(target=work, args=(plan, os.getpid(), reasons)) for _ in range(workers)]
    for fork in forks:
        fork.start()
    try:
        for fork in forks:
            fork.join()
    except KeyboardInterrupt:
        for fork in forks:
            if fork.is_alive():
                os.kill(fork.pid, signal.SIGINT)  # type: ignore[arg-type]
        for fork in forks:
            fork.join()
        raise
    codes = [fork.exitcode or 0 for fork in forks]
    ended: list[Exception] = [UserError(f"it was killed by {signal.Signals(-code).name}") for code in codes if code < 0]
    while not reasons.empty():
        too_many, words = reasons.get()
        ended.append((TooManyFailures if too_many else UserError)(words))
    return ended


def ends_with(parent: int) -> AbstractContextManager[None]:
    """While the block runs, this process ends at once when its parent does."""
    return every(LOOK_FOR_PARENT, lambda: None if os.getppid() == parent else os._exit(1))


def work(plan: Plan, parent: int, reasons: Any) -> None:
    """What a fork does. It ends when its parent does, and gets Ctrl-C from `run_forks`, not from the terminal."""
    os.setpgrp()
    code = 0
    with ends_with(parent):
        try:
            Worker(plan, plan.open(), quiet=True).work()
        except KeyboardInterrupt:
            code = 1
        except Exception as error:
            reasons.put((isinstance(error, TooManyFailures), explain_trial(error)[:500]))  # a pipe, read at the end
            code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing else that the parent has begun is to be ended here
