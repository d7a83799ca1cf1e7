"""RecTools 0.19.0, RePlay 0.22.0 (with its length buckets) and RecBole 1.2.1 beside this package, A B A B.

All train SASRec on the same windows (RecBole on their prefixes), with the same width, blocks, heads, dropout, learning
rate, batch and cross-entropy over all items, on one thread, and are validated by one evaluator that belongs to none.
The peers have no prior in their scores and start from random items, so this package is also measured so.
Each peer has a virtual environment of its own, made here with pip at the first call.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import table
from benchmarks.steps import BATCH
from benchmarks.worlds import World, data_options, worlds
from hybrid_seq_gnn.data.batches import TrainingWindows

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "rectools": ["rectools[torch]==0.19.0"],
    "replay": ["replay-rec[torch]==0.22.0"],
    "recbole": ["recbole==1.2.1", "numpy<2"],
}
TORCH = "torch==2.13.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hybrid_seq_gnn" / "peers"
PRODUCT, PLAIN = "product", "product, model.prior=none model.init=random"


def options(parser: argparse.ArgumentParser) -> None:
    data_options(parser)
    parser.set_defaults(data=["ml-100k"])
    parser.add_argument("--peers", nargs="*", default=list(PACKAGES), choices=PACKAGES)
    parser.add_argument("--rounds", type=int, default=3, help="of the time of an epoch")
    parser.add_argument("--steps", type=int, default=12, help="from which an epoch is extrapolated; RecBole takes 4")
    parser.add_argument("--target", type=float, help="also train to this validation NDCG@10, but not RecBole")
    parser.add_argument("--seeds", type=int, default=3, help="with --target")
    parser.add_argument("--epochs", type=int, default=100, help="at most, with --target")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the peers' environments")


def run(options: argparse.Namespace) -> None:
    pythons = dict.fromkeys((PRODUCT, PLAIN), Path(sys.executable))
    pythons |= {peer: environment(options.cache, peer) for peer in options.peers}
    with tempfile.TemporaryDirectory() as folder:
        for world in worlds(options):
            file = export(world, Path(folder))
            columns = (f"an epoch of {world.name}", "CPU seconds", "÷ product (of each round)")
            table(columns, epoch_rows(pythons, file, world, options))
            if options.target:
                columns = (
                    f"{world.name} to NDCG@10 {options.target}",
                    "CPU seconds of each seed",
                    "epochs",
                    "÷ product",
                )
                table(columns, target_rows(pythons, file, world, options))


def environment(cache: Path, peer: str) -> Path:
    """The Python of a peer's environment."""
    python = cache / peer / "bin" / "python"
    if not (cache / peer / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", cache / peer], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[peer], TORCH], check=True)
        (cache / peer / "complete").touch()
    return python


def export(world: World, folder: Path) -> Path:
    """What the judge reads."""
    sequences, split = world.prepared.sequences, world.prepared.split
    windows = TrainingWindows(sequences, split, world.length, BATCH)
    path = folder / f"{world.name}.npz"
    np.savez(
        path,
        indptr=sequences.indptr,
        items=sequences.items,
        valid=split.valid,
        first=windows.first,
        size=windows.size,
        num_items=world.num_items,
    )
    return path


def side(name: str, python: Path, file: Path, world: World, *more: object) -> list[dict[str, float]]:
    """Records that a side prints, see `judge.Judge.note`."""
    if name == PLAIN:
        name, more = PRODUCT, (*more, "--plain")
    command = [python, HERE / f"run_{name}.py", file, world.length, BATCH, *more]
    environment = {k: v for k, v in os.environ.items() if name == PRODUCT or k != "PYTHONPATH"}
    if name == PRODUCT:
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent.parent), environment.get("PYTHONPATH", "")])
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"epoch"')]


def epoch_rows(
    pythons: dict[str, Path], file: Path, world: World, options: argparse.Namespace
) -> Iterator[tuple[str, ...]]:
    found: dict[str, list[float]] = {name: [] for name in pythons if name != PLAIN}  # it costs the same
    for _ in range(options.rounds):
        for name in found:
            python = pythons[name]
            steps = 4 if name == "recbole" else options.steps
            found[name].append(side(name, python, file, world, "--steps", steps)[-1]["cpu"])
    for name, seconds in found.items():
        each = ", ".join(f"{a / b:.2f}" for a, b in zip(seconds, found[PRODUCT], strict=True))
        yield name, f"{min(seconds):.2f}", f"{min(seconds) / min(found[PRODUCT]):.2f} ({each})"


def target_rows(
    pythons: dict[str, Path], file: Path, world: World, options: argparse.Namespace
) -> Iterator[tuple[str, ...]]:
    """Seconds of training, validation left out, to the first epoch whose NDCG@10 is the target or more."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons if name != "recbole"}
    for seed in range(options.seeds):
        for name in found:
            more = ("--target", options.target, "--seed", seed, "--epochs", options.epochs)
            found[name].append(side(name, pythons[name], file, world, *more)[-1])
    product = np.mean([last["cpu"] for last in found[PRODUCT]])
    for name, runs in found.items():
        seconds = [last["cpu"] for last in runs]
        reached = [f"{last['epoch']}" if last["ndcg"] >= options.target else f"> {last['epoch']}" for last in runs]
        shown = ", ".join(f"{each:.1f}" for each in seconds)
        yield name, shown, ", ".join(reached), f"{np.mean(seconds) / product:.2f}"
