"""Train the graph side alone first, then the hybrid."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import expanded
from hybrid_seq_gnn.limits import AtLeast1, Positive
from hybrid_seq_gnn.loss.bpr import BPR
from hybrid_seq_gnn.model.graph_side import GraphSide
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.negatives.uniform import Uniform
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.fusion_fit import check_chosen
from hybrid_seq_gnn.training.loop import train
from hybrid_seq_gnn.training.strategy import Outcome, Strategy, StrategyRun, stage_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TwoStage(Strategy):
    """Train the graph side alone with BPR, then the hybrid.

    The weights of the graph side are saved in graph.pt of the run folder. The run itself uses them when it is resumed,
    and other runs through `graph_checkpoint`.

    Attributes:
        graph_epochs: epochs of the first stage.
        graph_lr: learning rate of the first stage.
        freeze: do not train the graph side in the second stage.
        graph_checkpoint: graph.pt of an earlier run, which replaces the first stage; null trains it.

    Raises:
        UserError: a value is out of range.
    """

    graph_epochs: AtLeast1 = 10
    graph_lr: Positive = 1e-3
    freeze: bool = True
    graph_checkpoint: str | None = None

    def check(self, model: nn.Module) -> None:
        self.graph_side(model)

    def graph_side(self, model: nn.Module) -> GraphSide:
        """What the first stage trains.

        Raises:
            UserError: the model has no graph side, or none to train.
        """
        if not isinstance(model, Hybrid):
            raise UserError("training=two_stage trains a graph side first, but this model has none; use model=hybrid.")
        if self.freeze and model.graph_items is model.encoder.items:
            raise UserError(
                "model.tied=true: the graph side has no item table of its own to freeze; set training.freeze=false."
            )
        return GraphSide(model)

    def __call__(self, run: StrategyRun) -> Outcome:
        """Train the run's model, in place.

        Raises:
            UserError: the model has no graph side to train, or a checkpoint does not fit.
        """
        side = self.graph_side(run.model).to(run.device)
        check_chosen(run.model.fusion)
        path = run.folder / "graph.pt"
        if self.graph_checkpoint is not None:
            record = load(side, expanded(self.graph_checkpoint), run, None)
        elif self.resume and distributed.broadcast(path.exists()):
            record = load(side, path, run, run.identity)
        else:
            record = self.train_side(side, path, run)
        if self.freeze:
            side.requires_grad_(False)
        log.info("stage 2 of 2: the hybrid, with the graph side %s", "frozen" if self.freeze else "trained further")
        return Outcome(train(stage_of(run, run.model, run.loss), self), {"graph": record})

    def train_side(self, side: GraphSide, path: Path, run: StrategyRun) -> dict[str, Any]:
        """Run the first stage and save the weights to `path`. Returns a record for results.json."""
        log.info("stage 1 of 2: the graph side alone, BPR, %d epochs", self.graph_epochs)
        loss = BPR(Uniform(run.measure.prepared.sequences, run.measure.prepared.split, num_negatives=1)).to(run.device)
        warmup = min(self.warmup, self.graph_epochs)
        settings = replace(self, epochs=self.graph_epochs, lr=self.graph_lr, patience=0, warmup=warmup)
        stage = stage_of(run, side, loss, "graph")
        progress = train(stage, settings)
        record = {
            "best_epoch": progress.best_epoch,
            "best_val_metric": progress.best_metric,
            "epochs": progress.epoch,
            "seconds": progress.training_seconds + progress.evaluation_seconds,
        }
        if distributed.is_first():
            origin = {"identity": run.identity, "split_hash": run.measure.prepared.split_hash}
            checkpoint.save({**origin, "model": side.state_dict(), "stage": record}, path)
            stage.path.unlink(missing_ok=True)
        return record


def load(side: GraphSide, path: Path, run: StrategyRun, identity: str | None) -> dict[str, Any]:
    """Load a trained graph side from a file; if `identity` is given, it must be that of the run in the file."""
    if not path.exists():
        raise UserError(f"training.graph_checkpoint={path}: there is no such file; expected graph.pt of a run folder.")
    state = checkpoint.load(path, run.device)
    if identity is not None and state["identity"] != identity:
        raise UserError(f"{path} belongs to another run; choose another folder with hydra.run.dir=….")
    ours = run.measure.prepared.split_hash
    if state.get("split_hash", ours) != ours:
        raise UserError(f"{path} was trained on different data or a different split. Use the data settings of its run.")
    try:
        side.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{path} does not fit this model and data: {str(error).splitlines()[-1].strip()}") from error
    log.info("stage 1 of 2: taken from %s", path)
    return {**state["stage"], "path": str(path)}
