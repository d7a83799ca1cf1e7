"""What a sweep costs beside its runs, and what a second worker gives.

    python benchmarks/sweeps.py overhead     40 points of one epoch on a tiny world: seconds a trial beside its own
    python benchmarks/sweeps.py workers      8 points on the bundled data, by one worker and by two joblib workers

The second wants an idle machine of two cores, and hybrid_seq_gnn[parallel]. Each prints what it measured.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def sweep(folder: Path, *arguments: str) -> float:
    """Wall seconds of a sweep in `folder`."""
    command = [sys.executable, "-m", "hybrid_seq_gnn", *arguments, f"hydra.sweep.dir={folder}", "-m"]
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
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


def overhead(folder: Path) -> None:
    points = ",".join(f"{k / 40:.3f}" for k in range(40))
    world = ["data=synthetic", "data.users=80", "data.items=40", "training.epochs=1"]
    total = sweep(folder, *world, f"fusion.alpha={points}")
    starts = sorted(trial.datetime_start.timestamp() for trial in trials(folder))
    apart = statistics.median(b - a for a, b in pairwise(starts))
    seconds = [json.loads(path.read_text())["seconds"] for path in folder.glob("*/results.json")]
    own = statistics.median(each["training"] + each["evaluation"] for each in seconds)
    print(f"40 points in {total:.1f} s, start-up included; a trial every {apart:.3f} s, {own:.3f} s of them its own")
    print(f"overhead a trial: {apart - own:.3f} s")


def workers(folder: Path) -> None:
    runs = ["data.max_users=2000", "training.epochs=6", "training.patience=0"]
    runs += ["fusion.alpha=0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8"]
    sweep(folder / "warm", "data.max_users=2000", "training.epochs=1", "fusion.alpha=0.5")
    one = sweep(folder / "one", *runs)
    two = sweep(folder / "two", *runs, "hydra/launcher=joblib", "study.workers=2")
    print(f"8 runs: one worker {one:.1f} s, two joblib workers {two:.1f} s, ratio {one / two:.2f}, start-up included")
    one, two = at_work(folder / "one"), at_work(folder / "two")
    print(f"from the first start to the last end: {one:.1f} s and {two:.1f} s, ratio {one / two:.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        {"overhead": overhead, "workers": workers}[sys.argv[1]](Path(temporary) / "sweep")
