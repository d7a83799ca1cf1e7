"""The interface of training strategies: objects that train the model of a run in place."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from hybrid_seq_gnn import files
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.evaluate import Ranking
from hybrid_seq_gnn.model.ensemble import ALONE, Ensemble
from hybrid_seq_gnn.training import distributed
from hybrid_seq_gnn.training.loop import Progress, Stage
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.training.settings import TrainingSettings

Records = list[dict[str, Any]]
NO_REFIT = "evaluation.refit=true works with training=post_hoc and training=joint."


@runtime_checkable
class StrategyRun(Protocol):
    """What a strategy may use of a run, implemented by `run.run.Run`.

    Attributes:
        folder: the run folder; a strategy may store its own files there.
        config: the checked configuration.
        seed: the seed of the run.
        identity: identity of the run, for checkpoints.
        device: the device of the model.
        model, loss: built and on their device.
        windows: the training part.
        measure: ranks and evaluates on either split.
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
        """Called after each epoch with the records of all epochs so far."""
        ...

    def encoder(self, ahead: int) -> Path:
        """Return the folder of a finished run of the model's encoder alone; train one if there is none.

        Args:
            ahead: added to the seed of the run.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """The result of training.

    Attributes:
        progress: state at the end of training; its best metric is the run's validation NDCG@10.
        stages: records of the individual stages, for results.json.
        baseline: folder of the finished run of the encoder alone, if one was used.
        valid: ranking of the whole validation split by the trained model, if already computed.
    """

    progress: Progress
    stages: dict[str, Any] = field(default_factory=dict)
    baseline: Path | None = None
    valid: Ranking | None = None


@dataclass(frozen=True, kw_only=True)
class Strategy(TrainingSettings):
    """Base class of training strategies and their settings. conf/training/X.yaml names the class in training/X.py."""

    alone: ClassVar[str | None] = None  # class for models without a fusion, if a different one

    def check(self, model: nn.Module) -> None:
        """Raise a UserError if this strategy cannot train such a model; also called before the data are read."""
        if isinstance(getattr(model, "encoder", None), Ensemble):
            raise UserError(ALONE)

    def trains_whole_model(self, model: nn.Module) -> bool:
        """Whether this strategy trains all of the model, which then may set its first weights; see `Encoder`."""
        return True

    def __call__(self, run: StrategyRun) -> Outcome:
        """Train the run's model, in place."""
        raise TypeError(f"{type(self).__name__} has no method __call__(run), which trains the model.")

    def check_refit(self, model: nn.Module) -> None:
        """Raise a UserError if this strategy cannot `refit` such a model; called before the data are read."""
        if type(self).refit is Strategy.refit:
            raise UserError(NO_REFIT)

    def refit(self, run: StrategyRun, first: Path) -> Outcome:
        """Train the run's model on everything before the test, as the run in the folder `first` was trained."""
        raise UserError(NO_REFIT)

    def conclude(self, results: dict[str, Any], folder: Path) -> None:
        """Called after all results are written. A UserError raised here makes the run fail."""


def stage_of(run: StrategyRun, model: nn.Module, loss: nn.Module, name: str = "") -> Stage:
    """A stage that trains `model`, the run's model or a part of it; `name` distinguishes its files.

    A stage with a name writes its records to NAME_metrics.jsonl, and the run's logger does not see them.
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
