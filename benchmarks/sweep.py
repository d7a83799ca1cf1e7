"""Trials an hour with one worker and with two, and what a trial costs beside its run. Wants an idle machine."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.machine import table

WORKERS = (1, 2)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--points", type=int, default=40, help="of a tiny world, for the cost beside a run")
    parser.add_argument("--epochs", type=int, default=6)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        columns = (f"{options.trials} trials", "wall s", "first start to last end, s", "trials an hour", "÷ one worker")
        table(columns, workers(Path(folder), options))
        table((f"{options.points} tiny trials", "s"), overhead(Path(folder) / "overhead", options.points))


def sweep(folder: Path, *arguments: str) -> float:
    """Wall seconds of a sweep in `folder`, one thread a worker."""
    command = [sys.executable, "-m", "hybrid_seq_gnn", *arguments, f"hydra.sweep.dir={folder}", "-m"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.perf_counter() - started


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """The trials of a sweep that is over."""
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="sweep", storage=storage).trials


def at_work(folder: Path) -> float:
    """Seconds from the start of the first trial to the end of the last: what a long sweep is made of."""
    done = trials(folder)
    first, last = min(t.datetime_start for t in done), max(t.datetime_complete for t in done)
    return (last - first).total_seconds()


def workers(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The same grid of joint trainings by one worker and by two."""
    base = ["data.max_users=2000", "training=joint", "gnn=lightgcn", "fusion.level=embedding", "training.patience=0"]
    points = ",".join(f"{(k + 1) / (options.trials + 1):.3f}" for k in range(options.trials))
    sweep(folder / "warm", *base, "training.epochs=1", "fusion.alpha=0.5")
    alone = None
    for count in WORKERS:
        place = folder / str(count)
        launcher = ["hydra/launcher=joblib"] if count > 1 else []
        more = [f"training.epochs={options.epochs}", f"fusion.alpha={points}", f"study.workers={count}", *launcher]
        total, busy = sweep(place, *base, *more), at_work(place)
        alone = alone or busy
        hour = 3600 * options.trials / busy
        yield f"{count} worker(s)", f"{total:.1f}", f"{busy:.1f}", f"{hour:.0f}", f"{alone / busy:.2f}"


def overhead(folder: Path, count: int) -> Iterator[tuple[str, str]]:
    points = ",".join(f"{k / count:.3f}" for k in range(count))
    world = ["data=synthetic", "data.users=80", "data.items=40", "training.epochs=1"]
    total = sweep(folder, *world, f"fusion.alpha={points}")
    starts = sorted(trial.datetime_start.timestamp() for trial in trials(folder))
    apart = statistics.median(b - a for a, b in pairwise(starts))
    seconds = [json.loads(path.read_text())["seconds"] for path in folder.glob("*/results.json")]
    own = statistics.median(each["training"] + each["evaluation"] for each in seconds)
    yield "the sweep, start-up included", f"{total:.1f}"
    yield "from a trial to the next", f"{apart:.3f}"
    yield "of these its own training and evaluation", f"{own:.3f}"
    yield "beside its run", f"{apart - own:.3f}"
