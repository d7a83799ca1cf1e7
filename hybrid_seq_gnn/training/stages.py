"""Training in two stages: the graph side alone, then the hybrid on top of it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.loss.bpr import BPR
from hybrid_seq_gnn.model.graph_side import GraphSide
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.negatives.uniform import Uniform
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.loop import train
from hybrid_seq_gnn.training.settings import TwoStageSettings

log = logging.getLogger(__name__)


def train_graph_side(
    model: nn.Module,
    sequences: Sequences,
    split: Split,
    windows: TrainingWindows,
    validate: Callable[[nn.Module], dict[str, float | None]],
    write: Callable[[list[dict[str, Any]]], None],
    settings: TwoStageSettings,
    *,
    seed: int,
    folder: Path,
    identity: str,
) -> dict[str, Any]:
    """Train the hybrid's graph side alone with BPR, or load it; freeze it if asked to.

    What it learned is kept in graph.pt of `folder`, for this run if it is resumed and for others by path.

    Args:
        model: the hybrid.
        sequences, split, windows: the training part.
        validate: validation metrics of a model.
        write: is told the records of all epochs so far, after each.
        settings, seed, identity: of the run.
        folder: of the run.

    Returns:
        A record of the stage for results.json.

    Raises:
        ValueError: the model has no graph side to train, or a checkpoint does not fit.
    """
    if not isinstance(model, Hybrid):
        raise ValueError("training=two_stage trains a graph side first, and this model has none; use model=hybrid.")
    if settings.freeze and model.graph_items is model.encoder.items:
        raise ValueError(
            "model.tied=true leaves the graph side no table of its own to freeze; set training.freeze=false."
        )
    side = GraphSide(model).to(settings.torch_device())
    path = folder / "graph.pt"
    if settings.graph_checkpoint is not None:
        stage = load(side, Path(settings.graph_checkpoint).expanduser(), settings, None)
    elif settings.resume and distributed.broadcast(path.exists()):
        stage = load(side, path, settings, identity)
    else:
        log.info("stage 1 of 2: the graph side alone, BPR, %d epochs", settings.graph_epochs)
        loss = BPR(Uniform(sequences, split, num_negatives=1)).to(settings.torch_device())
        progress = train(
            side,
            loss,
            windows,
            lambda: validate(side),
            replace(settings, epochs=settings.graph_epochs, lr=settings.graph_lr, patience=0),
            seed=seed,
            path=folder / "graph_checkpoint.pt",
            identity=identity,
            on_epoch=write,
        )
        stage = {
            "best_epoch": progress.best_epoch,
            "best_val_metric": progress.best_metric,
            "epochs": progress.epoch,
            "seconds": progress.training_seconds + progress.evaluation_seconds,
        }
        if distributed.is_first():
            checkpoint.save({"identity": identity, "model": side.state_dict(), "stage": stage}, path)
            (folder / "graph_checkpoint.pt").unlink(missing_ok=True)
    if settings.freeze:
        side.requires_grad_(False)
    log.info("stage 2 of 2: the hybrid, with the graph side %s", "frozen" if settings.freeze else "trained further")
    return stage


def load(side: GraphSide, path: Path, settings: TwoStageSettings, identity: str | None) -> dict[str, Any]:
    """Take a trained graph side from a file; its run must be `identity`, if that is given."""
    if not path.exists():
        raise ValueError(f"training.graph_checkpoint={path}: there is no such file; expected graph.pt of a run folder.")
    state = checkpoint.load(path, settings.torch_device())
    if identity is not None and state["identity"] != identity:
        raise ValueError(f"{path} belongs to another run; choose another folder with hydra.run.dir=…")
    try:
        side.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{path} does not fit this model and data: {str(error).splitlines()[-1].strip()}") from error
    log.info("stage 1 of 2: taken from %s", path)
    return {**state["stage"], "path": str(path)}
