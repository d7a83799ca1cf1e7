"""The training loop: step, validate, keep the best weights, stop early, resume."""

import logging
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybrid_seq_gnn.allocator import keep_freed_memory, releasing
from hybrid_seq_gnn.bars import tqdm
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.metrics import METRIC
from hybrid_seq_gnn.model.item_table import ItemTable
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.average import WeightAverage
from hybrid_seq_gnn.training.pace import advice, warn_if_slow
from hybrid_seq_gnn.training.settings import TrainingSettings

log = logging.getLogger(__name__)

NO_TARGETS = "there is no validation metric, because no user has a validation target; see data.split."
MONITOR = METRIC  # on the validation split; training never sees the test split
LARGE = 20_000  # rows of an item table from which collecting its gradient is worth it
READ_EVERY = 50  # steps whose losses are read together, so that the CPU need not wait for the GPU


class Diverged(UserError):
    """The loss is no longer a finite number."""


@dataclass
class Progress:
    """State of training after a number of full epochs; all of it is saved in the checkpoint.

    Attributes:
        epoch: number of finished epochs.
        best_epoch: epoch with the best validation metric, counted from 1; 0 before the first validation.
        best_metric: the best validation NDCG@10.
        best_weights: state of the model at `best_epoch`.
        history: one record per epoch: epoch, loss, seconds, and the metrics if it was validated.
        training_seconds, evaluation_seconds: totals, including those before a resume.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_metric: float = -math.inf
    best_weights: dict[str, Tensor] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0


@dataclass(frozen=True)
class Stage:
    """What to train, with which data, and where to save it.

    Attributes:
        model: on its device, with a method `training_scores(batch, targets)` that returns scores, targets and users of
            the rows to learn from.
        loss: maps (scores, targets, users) to a scalar.
        windows: the training part.
        validate: returns the validation metrics of the current model; None where nothing is held out.
        seed: the seed of the run.
        path: the checkpoint file.
        identity: identity of the run; a checkpoint with a different one is refused.
        on_epoch: called with all records so far, once at the start and then after each epoch.
    """

    model: nn.Module
    loss: nn.Module
    windows: TrainingWindows
    validate: Callable[[], dict[str, float | None]] | None
    seed: int
    path: Path
    identity: str
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None


def train(stage: Stage, settings: TrainingSettings, quiet: bool | None = None, until: int | None = None) -> Progress:
    """Train a model in place and leave it with its best weights; with those of the last epoch if nothing is validated.

    All random numbers of an epoch depend only on (seed, epoch), so a run that was killed and resumes after its last
    full epoch ends with the same bits as an uninterrupted one.

    With several processes (see `distributed`), each takes its share of the rows of each batch and draws its own dropout
    and negatives from (seed, epoch, rank). All hold the same weights, and only the first one writes.

    Args:
        stage, settings: what to train, and how.
        quiet: True hides the progress bar; by default it is shown only on a terminal, and not by a worker of a sweep.
        until: the last epoch; None is that of the settings, which always give the schedule of the learning rate.

    Raises:
        Diverged: the loss became infinite or NaN; the checkpoint of the last good epoch is kept.
        UserError: the checkpoint belongs to another run or is damaged, or there is nothing to train on.
    """
    model, loss, windows, path = stage.model, stage.loss, stage.windows, stage.path
    if windows.num_targets == 0:
        raise UserError("no user has two training events, so there is nothing to learn from; see data.min_user_events.")
    device = settings.torch_device()
    quiet = True if multiprocessing.parent_process() else quiet  # tqdm: None looks for a terminal
    parameters = [p for p in (*model.parameters(), *loss.parameters()) if p.requires_grad]
    penalty: Callable[[], Tensor] | None = getattr(model, "penalty", None)
    now = Progress()
    if not parameters:  # a model that only counts has nothing to learn
        return evaluate_once(stage)

    if isinstance(items := getattr(model, "items", None), ItemTable):  # of an encoder alone
        items.collect = device.type == "cpu" and hasattr(loss, "negatives") and len(items.weight) >= LARGE
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    distributed.same_weights(model, loss)
    average = WeightAverage(model, settings.ema)
    if settings.resume and distributed.broadcast(path.exists()):
        state = checkpoint.load(path, device)
        now = restore(state, stage, optimizer)
        average.weights = state["average"]
        log.info("resumed after epoch %d from %s", now.epoch, path)
    stage.on_epoch(now.history)
    keep_freed_memory()

    begun_at, slow = now.epoch, advice(model, loss, settings)
    until = settings.epochs if until is None else until
    while now.epoch < until and not out_of_patience(now, settings):
        epoch = now.epoch + 1
        started = time.perf_counter()
        torch.manual_seed(stage.seed * 1_000_003 + epoch + (distributed.rank() << 40))
        rng = np.random.default_rng([stage.seed, epoch])
        model.train()
        total, losses = 0.0, list[Tensor]()
        bar = tqdm(windows.epoch(rng), f"epoch {epoch}", len(windows), leave=False, disable=quiet, unit="batch")
        batches = warn_if_slow(bar, len(windows), settings.epochs, slow) if now.epoch == begun_at else bar
        for step, item in enumerate(releasing(batches), start=1):
            optimizer.zero_grad(set_to_none=True)
            value, positions = parameters[0].new_zeros(()), 0
            if len(item.targets):  # a process may get no rows of a small batch
                item = item.to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=settings.amp == "bf16"):
                    scores, targets, users = model.training_scores(item.batch, item.targets)  # type: ignore[operator]
                    step_loss = loss(scores, targets, users)
                    if penalty is not None:
                        step_loss = step_loss + penalty()
                step_loss.backward()
                value, positions = step_loss.detach(), len(targets)
            losses.append(distributed.average_over_positions(parameters, value, positions))
            if settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
            for group in optimizer.param_groups:
                group["lr"] = settings.lr_at(epoch - 1 + (step - 1) / len(windows))
            optimizer.step()
            average.update(model)
            if len(losses) == READ_EVERY or step == len(windows):
                for at, read in enumerate(torch.stack(losses).tolist(), start=step + 1 - len(losses)):
                    if not math.isfinite(read):
                        raise Diverged(
                            f"the loss became {read} in epoch {epoch}, step {at} of {len(windows)}. "
                            f"Try a lower training.lr (now {settings.lr:g}). "
                            + (f"The weights after epoch {now.epoch} are kept in {path}." if now.epoch else "")
                        )
                    total += read
                losses.clear()
        seconds = time.perf_counter() - started
        now.training_seconds += seconds
        record: dict[str, Any] = {"epoch": epoch, "loss": total / len(windows), "seconds": seconds}

        if stage.validate is None:
            if epoch == until:
                with average.in_place_of(model):
                    now.best_weights = weights_of(model)
        elif epoch % settings.eval_every == 0 or epoch == settings.epochs:
            started = time.perf_counter()
            with average.in_place_of(model):
                metrics = stage.validate()
                metric = metrics[MONITOR]
                if metric is not None and metric > now.best_metric:
                    now.best_epoch, now.best_metric = epoch, metric
                    now.best_weights = weights_of(model)
            now.evaluation_seconds += time.perf_counter() - started
            record["validation"] = metrics
        now.epoch = epoch
        now.history.append(record)
        state = snapshot(now, stage, optimizer) | {"average": average.weights}
        if distributed.is_first():
            checkpoint.save(state, path)
        stage.on_epoch(now.history)
        log.info("%s", describe(record, now))

    if isinstance(items, ItemTable):
        items.forget()
    if now.best_weights is None:
        raise UserError(NO_TARGETS)
    model.load_state_dict(now.best_weights)
    return now


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers that are saved."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def evaluate_once(stage: Stage) -> Progress:
    """Validate once, as epoch 0: the progress of a model that has nothing to learn."""
    if stage.validate is None:
        return Progress()
    started = time.perf_counter()
    metrics = stage.validate()
    metric = metrics[MONITOR]
    if metric is None:
        raise UserError(NO_TARGETS)
    history: list[dict[str, Any]] = [{"epoch": 0, "loss": None, "seconds": 0.0, "validation": metrics}]
    stage.on_epoch(history)
    return Progress(best_metric=metric, history=history, evaluation_seconds=time.perf_counter() - started)


def out_of_patience(now: Progress, settings: TrainingSettings) -> bool:
    """Whether this epoch was validated, and the best one is at least `patience` epochs ago."""
    validated = now.epoch % settings.eval_every == 0
    return settings.patience > 0 and validated and 0 < now.best_epoch <= now.epoch - settings.patience


def describe(record: dict[str, Any], now: Progress) -> str:
    """The log line of an epoch."""
    line = f"epoch {record['epoch']:3d}  loss {record['loss']:.4f}"
    if "validation" in record:
        line += f"  validation {MONITOR} {record['validation'][MONITOR]:.4f}"
        line += "  (best so far)" if now.best_epoch == record["epoch"] else f"  (best {now.best_metric:.4f})"
    return f"{line}  {record['seconds']:.1f} s"


def snapshot(now: Progress, stage: Stage, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Everything that is needed to resume."""
    return {
        "identity": stage.identity,
        "progress": dict(vars(now)),
        "model": stage.model.state_dict(),
        "loss": stage.loss.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def restore(state: dict[str, Any], stage: Stage, optimizer: torch.optim.Optimizer) -> Progress:
    """Resume from a `snapshot`."""
    if state["identity"] != stage.identity:
        raise UserError(
            f"{stage.path} belongs to a run with another configuration or other data. Use the same settings to resume "
            "it, choose another folder with hydra.run.dir=…, or set training.resume=false to start over here."
        )
    stage.model.load_state_dict(state["model"])
    stage.loss.load_state_dict(state.get("loss", {}), strict="loss" in state)  # before it was kept, no loss had weights
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])
