"""What a way of training is: an object that takes a run and leaves its model trained."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from hybrid_seq_gnn import files
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.evaluation.evaluate import Ranking
from hybrid_seq_gnn.training import distributed
from hybrid_seq_gnn.training.loop import Progress, Stage
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.training.settings import TrainingSettings

Records = list[dict[str, Any]]


@runtime_checkable
class Run(Protocol):
    """What a strategy may ask of a run; `run.run.Run` has it all.

    Attributes:
        folder: of the run, where a strategy may keep files of its own.
        config: checked.
        seed: of the run.
        identity: what the run is, for checkpoints.
        device: where the model is.
        model, loss: built and on their device.
        windows: the training part.
        measure: ranks either split.
    """

    folder: Path
    config: dict[str, Any]
    seed: int
    identity: str
    device: torch.device
    model: nn.Module
    loss: nn.Module
    windows: TrainingWindows
    measure: Measure

    def on_epoch(self, history: Records) -> None:
        """Told the records of all epochs so far, after each."""
        ...

    def encoder(self) -> Path:
        """The folder of the finished run of the model's encoder alone; it is trained if there is none."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What came of training.

    Attributes:
        progress: of the epochs; its best metric is the run's validation NDCG@10.
        stages: records of single stages, for results.json.
        baseline: the folder of the finished run of the encoder alone, where one was used.
        valid: the validation split ranked by the model as it is now, if that was done.
    """

    progress: Progress
    stages: dict[str, Any] = field(default_factory=dict)
    baseline: Path | None = None
    valid: Ranking | None = None


@dataclass(frozen=True, kw_only=True)
class Strategy(TrainingSettings):
    """A way of training and its settings. conf/training/X.yaml names the class of training/X.py."""

    alone: ClassVar[str | None] = None  # the strategy of a model without a fusion, if it is another one

    def __call__(self, run: Run) -> Outcome:
        """Train the run's model, in place."""
        raise TypeError(f"{type(self).__name__} does not say how it trains.")

    def conclude(self, results: dict[str, Any], folder: Path) -> None:
        """Called once everything is written. May raise RuntimeError, with which the run fails."""


def stage_of(run: Run, model: nn.Module, loss: nn.Module, name: str = "") -> Stage:
    """A stage that trains `model`, which may be a part of the run's; `name` tells its files from those of others.

    A stage with a name writes its records to NAME_metrics.jsonl and is not told to the run's logger.
    """

    def write(history: Records) -> None:
        if distributed.is_first():
            files.write_lines(run.folder / f"{name}_metrics.jsonl", history)

    return Stage(
        model,
        loss,
        run.windows,
        lambda: run.measure.validate(model),
        run.seed,
        run.folder / (f"{name}_checkpoint.pt" if name else "checkpoint.pt"),
        run.identity,
        write if name else run.on_epoch,
    )
