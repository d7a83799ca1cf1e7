"""The machine, the clock, and how results are shown."""

import multiprocessing
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hybrid_seq_gnn

INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX-512-BF16", "amx_bf16": "AMX-BF16"}

cpu = time.process_time  # of all threads; unlike the clock on the wall, it ignores what else the machine does


def description() -> str:
    """One paragraph: processor, threads, versions and commit."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(
        line.split(":", 1) for line in info.partition("\n\n")[0].replace("\t", "").splitlines() if ":" in line
    )
    flags = fields.get("flags", "").split()
    has = [name for flag, name in INSTRUCTIONS.items() if flag in flags]
    checkout = Path(hybrid_seq_gnn.__file__).parent.parent
    git = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return (
        f"{fields.get('model name', platform.processor()).strip()}, {os.cpu_count()} cores, {', '.join(has) or 'none'} "
        f"(PyTorch uses {torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} thread(s); "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}; commit {commit}\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table, numbers to the right, each row as soon as it is known."""
    print("| " + " | ".join(columns) + " |\n|" + "".join("---|" if k == 0 else "--:|" for k in range(len(columns))))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print()


def ratio(a: np.ndarray, b: np.ndarray) -> str:
    """a / b from the minima over rounds (axis 0), and the quartiles of the ratios of pairs."""
    low, high = np.quantile(a / b, [0.25, 0.75])
    return f"{a.min(0).sum() / b.min(0).sum():.2f} ({low:.2f}–{high:.2f})"


@dataclass(frozen=True)
class Measured:
    """What a function returned in a process of its own, with seconds and peak memory there."""

    value: Any
    cpu: float
    wall: float
    peak: float  # MiB, of the whole process


def apart(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Call a function of a module in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, function, *arguments).result()


def measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    torch.set_num_threads(1)
    started, wall = cpu(), time.perf_counter()
    value = function(*arguments)
    return Measured(value, cpu() - started, time.perf_counter() - wall, peak_memory())


def peak_memory() -> float:
    """MiB; `resource` would count the parent of this process as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
