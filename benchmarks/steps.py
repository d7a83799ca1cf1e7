"""Times steps of the real training loop."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.machine import cpu
from benchmarks.worlds import BLOCKS, DIM, World
from hybrid_seq_gnn.data.batches import TrainingBatch, TrainingWindows
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.training.loop import MONITOR, Stage, train
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.training.settings import TrainingSettings

BATCH = 64


class Timed(TrainingWindows):
    """The first batches of an epoch, the same in every epoch; notes the seconds from one to the next.

    They are CPU seconds, or with a GPU those on the wall: the CPU runs ahead, and waits for the GPU in the last step.
    """

    def __init__(self, world: World, steps: int, device: str = "cpu") -> None:
        super().__init__(world.prepared.sequences, world.prepared.split, world.length, BATCH)
        self.clock = cpu if device == "cpu" else time.perf_counter
        self.steps = min(steps, super().__len__())
        self.seconds: list[float] = []
        self.targets = sum(len(item.targets) for item in self.epoch()) / self.steps  # a step

    def __len__(self) -> int:
        return self.steps

    def epoch(self, rng: np.random.Generator | None = None) -> Iterator[TrainingBatch]:
        """As in `TrainingWindows`; making a batch is part of its step."""
        self.seconds = []
        batches = super().epoch(np.random.default_rng(0))
        for _ in range(self.steps):
            started = self.clock()
            yield next(batches)
            self.seconds.append(self.clock() - started)


class Case:
    """A model in training on some data."""

    def __init__(self, world: World, model: nn.Module, loss: nn.Module, steps: int, device: str = "cpu") -> None:
        self.world, self.model, self.loss, self.device = world, model.to(device), loss.to(device), device
        self.windows = Timed(world, steps, device)
        self.targets = self.windows.targets
        self.batches_in_epoch = -(-len(self.windows.user) // BATCH)

    @property
    def flop(self) -> float:
        """Of a step's matrix products, with SASRec: M (6 N D + 36 L D²) for M targets and L blocks.

        The loss multiplies three times by the table. A block has six weights of D x D, used once forward and twice
        backward. Attention's own products, a few per cent, are not counted.
        """
        return self.targets * (6 * self.world.num_items * DIM + 36 * BLOCKS * DIM * DIM)

    def epoch(self, at_end: Callable[[], None] = lambda: None) -> list[float]:
        """Seconds of each step of one round; then `at_end` is called, where the loop would validate."""

        def validated() -> dict[str, float]:
            at_end()
            return {MONITOR: 0.0}

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.pt"
            stage = Stage(self.model, self.loss, self.windows, validated, 0, path, "benchmark")
            settings = TrainingSettings(epochs=1, patience=0, batch_size=BATCH, device=self.device, resume=False)
            train(stage, settings, quiet=True)
        return self.windows.seconds

    def validate(self) -> None:
        """Rank the validation item of every user."""
        measure = Measure(self.world.prepared, EvaluationSettings(), torch.device(self.device), None)
        measure.validate(self.model)


def in_turn(cases: dict[str, Case], rounds: int) -> dict[str, np.ndarray]:
    """(rounds, steps) CPU seconds of each case, A B A B; a first round is not counted."""
    found: dict[str, list[list[float]]] = {name: [] for name in cases}
    for k in range(rounds + 1):
        for name, case in cases.items():
            seconds = case.epoch()
            if k:
                found[name].append(seconds)
    return {name: np.array(each) for name, each in found.items()}
