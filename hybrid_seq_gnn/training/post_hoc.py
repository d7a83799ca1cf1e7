"""Fusion after the fact: a sequence model that was trained alone, mixed with a memory that only counts.

In joint training a memory that explains the easy targets leaves the sequence model less to learn from, and the graph
holds the very edges that lead to the targets. Here the sequence model is as good as it is alone, and the weights of the
mixture are fitted where the memory has seen nothing: on the validation split.

What is used for what: the training part trains the encoder and fills the memory, at test too (validation events are
not added to it). The validation split stops the encoder's training AND fits the fusion. With one to four weights that
bias is small, but the validation metric of a post hoc hybrid is a little kinder to it than to its encoder; the test
split is free of it. `fusion=gated`, with a thousand weights, is stopped early by cross-validation over
users, see `fit`.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hybrid_seq_gnn.data.batches import TrainingWindows, ranking_batches
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.evaluation.evaluate import SCORES_AT_A_TIME, evaluating
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.ranks import mask_history, rank_of_target
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.scores import MixtureScores
from hybrid_seq_gnn.training.encoder import load_encoder
from hybrid_seq_gnn.training.fit import Binned, Evidence, choose, maximise
from hybrid_seq_gnn.training.loop import MONITOR, NO_TARGETS, Progress, evaluated_once, train
from hybrid_seq_gnn.training.settings import PostHocSettings

log = logging.getLogger(__name__)


def train_post_hoc(
    model: nn.Module,
    loss: nn.Module,
    windows: TrainingWindows,
    validate: Callable[[nn.Module], dict[str, float | None]],
    sequences: Sequences,
    end: np.ndarray,
    evaluation: EvaluationSettings,
    settings: PostHocSettings,
    *,
    origin: dict[str, Any],
    seed: int,
    path: Path,
    identity: str,
    on_epoch: Callable[[list[dict[str, Any]]], None],
) -> tuple[Progress, dict[str, Any]]:
    """Train the hybrid's encoder alone, or load it; then fit the fusion on the validation split.

    The first stage is `train` on the encoder, so a seed gives the weights that it gives to the model alone, and a run
    that was killed goes on from its last epoch. The second takes seconds and is done anew.

    Args:
        model: the hybrid; left with both sides in place.
        loss, windows: of the first stage.
        validate: validation metrics of a model.
        sequences, end: all histories, and the place of each user's validation target (-1: none).
        evaluation: how is ranked.
        settings, seed, identity: of the run.
        origin: `config`, `item_ids` and `split_hash` of this run, which a checkpoint must fit.
        path: the checkpoint of the first stage.
        on_epoch: told all records so far after each epoch of the first stage.

    Returns:
        Progress of the encoder, with the hybrid's validation NDCG@10 as its best metric; records of both stages.

    Raises:
        ValueError: the hybrid cannot be fitted post hoc, or a checkpoint does not fit.
    """
    hybrid = fit_for_post_hoc(model, settings)
    started = time.perf_counter()
    if settings.encoder_checkpoint is None:
        log.info("stage 1 of 2: the encoder alone")
        progress = train(
            hybrid.encoder,
            loss,
            windows,
            lambda: validate(hybrid.encoder),
            settings,
            seed=seed,
            path=path,
            identity=identity,
            on_epoch=on_epoch,
        )
        encoder: dict[str, Any] = {"best_epoch": progress.best_epoch, "epochs": progress.epoch}
        encoder["seconds"] = progress.training_seconds + progress.evaluation_seconds
    else:
        source = Path(settings.encoder_checkpoint).expanduser()
        load_encoder(hybrid.encoder, source, origin, settings.torch_device())
        log.info("stage 1 of 2: the encoder, taken from %s", source)
        progress = evaluated_once(lambda: validate(hybrid.encoder), Progress(history=[]), on_epoch)
        encoder = {"path": str(source), "seconds": time.perf_counter() - started}
    encoder["best_val_metric"] = progress.best_metric

    started = time.perf_counter()
    hybrid.encoder.requires_grad_(False)
    by = criterion(hybrid, settings)
    evidence = collect(hybrid, sequences, end, evaluation, settings, ranked=by == "ndcg")
    if isinstance(hybrid.fusion, Binned):
        fusion = choose(hybrid.fusion, evidence, by)
    else:
        assert isinstance(hybrid.fusion, nn.Module)
        fusion = maximise(hybrid.fusion, evidence)
    metric = validate(hybrid)[MONITOR]
    if metric is None:
        raise ValueError(NO_TARGETS)
    fusion |= {"users": len(evidence.seq), "best_val_metric": metric, "seconds": time.perf_counter() - started}
    log.info(
        "stage 2 of 2: the fusion, by validation %s of %s users: NDCG@10 %.4f, of the encoder alone %.4f",
        by,
        f"{len(evidence.seq):,}",
        metric,
        progress.best_metric,
    )
    progress.best_metric = metric
    progress.training_seconds += fusion["seconds"]
    return progress, {"encoder": encoder, "fusion": fusion}


def fit_for_post_hoc(model: nn.Module, settings: PostHocSettings) -> Hybrid:
    """The model, if its fusion can be fitted post hoc.

    Raises:
        ValueError: it cannot; the message says what to choose.
    """
    if not isinstance(model, Hybrid):
        raise ValueError("training=post_hoc fits a fusion, and this model has none; use model=hybrid.")
    if model.fusion.level != "score":
        raise ValueError(
            "training=post_hoc mixes two finished distributions of the next item; set fusion.level=score. (The "
            "embeddings of two models that were trained apart have no directions in common.)"
        )
    if not model.remembers:
        raise ValueError(
            "training=post_hoc trains no graph network, and this gnn has weights to learn; use gnn=transitions, or "
            "training=two_stage for a graph side that is trained first."
        )
    criterion(model, settings)
    return model


def criterion(hybrid: Hybrid, settings: PostHocSettings) -> str:
    """`ndcg` or `likelihood`: what the fusion is fitted by."""
    if isinstance(hybrid.fusion, Binned):
        return "ndcg" if settings.select == "auto" else settings.select
    assert isinstance(hybrid.fusion, nn.Module)
    if not any(p.requires_grad for p in hybrid.fusion.parameters()):
        raise ValueError(
            f"training=post_hoc: {type(hybrid.fusion).__name__} has neither weights to learn nor constants to choose; "
            "use another fusion, or train jointly (training=default)."
        )
    if settings.select == "ndcg":
        raise ValueError(
            "training.select=ndcg chooses from training.alphas, for fusion=fixed and discrete only; this fusion "
            "is fitted by likelihood."
        )
    return "likelihood"


def collect(
    hybrid: Hybrid,
    sequences: Sequences,
    end: np.ndarray,
    evaluation: EvaluationSettings,
    settings: PostHocSettings,
    *,
    ranked: bool,
) -> Evidence:
    """What both sides say of each user's held-out item; `ranked` also ranks it at every weight of `training.alphas`."""
    device = settings.torch_device()
    users = np.flatnonzero(end >= 0)
    if not len(users):
        raise ValueError(NO_TARGETS)
    batch_size = max(1, min(evaluation.batch_size, SCORES_AT_A_TIME // (sequences.num_items + 1)))
    alphas = torch.tensor(settings.alphas, device=device)
    rows: list[tuple[torch.Tensor, ...]] = []
    ranks: list[torch.Tensor] = []
    with evaluating(hybrid):
        for item in ranking_batches(sequences, users, end, hybrid.max_length, batch_size):
            batch, targets = item.batch.to(device), item.targets.to(device)
            scores = hybrid.next_item_scores(batch)
            assert isinstance(scores, MixtureScores)
            seq, graph = scores.seq.log_probabilities(), scores.graph.log_probabilities()
            column = targets.unsqueeze(1)
            rows.append(
                (seq.gather(1, column)[:, 0], graph.gather(1, column)[:, 0], batch.length.amax(1), scores.states)
            )
            if ranked:
                history = item.history.to(device) if evaluation.mask_history else torch.zeros_like(column)
                tried = []
                for alpha in alphas:
                    mixed = MixtureScores(scores.seq, scores.graph, alpha.expand(len(targets)), scores.states)
                    tried.append(rank_of_target(mask_history(mixed.mix(seq, graph), history, targets), targets))
                ranks.append(torch.stack(tried, dim=1))
    gains = None
    if ranked:
        gains = torch.from_numpy(per_user(torch.cat(ranks).cpu().numpy())[MONITOR]).to(device)
    seq, graph, length, states = (torch.cat(part) for part in zip(*rows, strict=True))
    return Evidence(seq, graph, length, states, alphas, gains)
