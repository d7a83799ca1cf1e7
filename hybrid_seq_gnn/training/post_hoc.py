"""Fusion after the fact: a sequence model that was trained alone, mixed with a memory that only counts.

In joint training a memory that explains the easy targets leaves the sequence model less to learn from, and the graph
holds the very edges that lead to the targets. Here the sequence model is as good as it is alone, and what the fusion
leaves open is fitted where the memory has seen nothing: on the validation split.

What is used for what: the training part trains the encoder and fills the memory, at test too (validation events are
not added to it). The validation split stops the encoder's training AND fits the fusion. With one to four weights that
bias is small, but the validation metric of a fitted hybrid is a little kinder to it than to its encoder; the test
split is free of it. `fusion=gated`, with a thousand weights, is stopped early by cross-validation over users, see
`fusion_fit`. A fixed alpha fits nothing.
"""

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from hybrid_seq_gnn.limits import Weight
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.training import checkpoint
from hybrid_seq_gnn.training.fusion_fit import check_chosen, fit
from hybrid_seq_gnn.training.held_out import collect
from hybrid_seq_gnn.training.joint import Joint
from hybrid_seq_gnn.training.loop import evaluate_once
from hybrid_seq_gnn.training.strategy import Outcome, Run, Strategy, stage_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PostHoc(Strategy):
    """The hybrid's encoder alone, exactly as that model trains alone; then only the fusion, on the validation split.

    The first stage is a run of its own: one that is finished already is used, wherever it is below outputs/, and one
    that is not is trained where the next run will find it.

    Attributes:
        encoders: folder of the shared runs of encoders; null trains one in the run's own folder, for this run only.
        encoder_checkpoint: model.pt of a run of the encoder alone (model=sasrec ...) or of a training=post_hoc, in the
            place of the first stage.
        select: what the fusion is fitted by: the `likelihood` of the validation targets, or validation `ndcg`
            (NDCG@10; only for alphas that are null in fusion=fixed and discrete, which are chosen from `alphas`).
            `auto` is ndcg for these two and likelihood for those that learn. `none` fits nothing: a search over what
            a learned fusion starts with is then a search over its curve.
        alphas: what alphas that are null are chosen from, each in [0, 1].

    Raises:
        ValueError: a value is out of range.
    """

    encoders: str | None = "outputs/encoders"
    encoder_checkpoint: str | None = None
    select: Literal["auto", "ndcg", "likelihood", "none"] = "auto"
    alphas: tuple[Weight, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    alone: ClassVar[str | None] = f"{Joint.__module__}.{Joint.__qualname__}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alphas:
            raise ValueError("training.alphas=[]: expected one or more weights in [0, 1].")

    def __call__(self, run: Run) -> Outcome:
        """Train or take the run's encoder, then fit the fusion.

        Raises:
            ValueError: the hybrid cannot be fitted post hoc, or a checkpoint does not fit.
        """
        hybrid = fit_for_post_hoc(run.model)
        fusion = hybrid.fusion
        assert isinstance(fusion, nn.Module)
        by = self.criterion(fusion)
        if self.encoder_checkpoint is None:
            baseline: Path | None = run.encoder()
            path = baseline / "model.pt"  # type: ignore[operator]
        else:
            baseline, path = None, Path(self.encoder_checkpoint).expanduser()
        checkpoint.load_encoder(hybrid.encoder, path, run)
        baseline = baseline or run_of(path)
        hybrid.encoder.requires_grad_(False)
        stages: dict[str, Any] = {"encoder": {"path": str(path)}}
        started = time.perf_counter()
        if by is not None:
            batches = run.measure.batches(run.measure.valid_positions, hybrid.max_length)
            alphas = self.alphas if by == "ndcg" else None
            held_out = collect(
                hybrid, batches, mask=run.measure.settings.mask_history, alphas=alphas, device=run.device
            )
            stages["fusion"] = fit(fusion, held_out, by, self.alphas)
            stages["fusion"]["seconds"] = time.perf_counter() - started
            log.info("the fusion is fitted by validation %s", by)
        valid = run.measure.rank(hybrid, run.measure.valid_positions)
        stage = replace(stage_of(run, hybrid, run.loss), validate=lambda: run.measure.metrics_of(valid))
        progress = evaluate_once(stage)
        progress.training_seconds = time.perf_counter() - started - progress.evaluation_seconds
        return Outcome(progress, stages, baseline, valid if self.valid_users is None else None)

    def criterion(self, fusion: nn.Module) -> str | None:
        """What the fusion is fitted by, `ndcg` or `likelihood`; None where nothing is open.

        Raises:
            ValueError: training.select asks for what this fusion does not have.
        """
        if self.select == "none":
            check_chosen(fusion)
            return None
        if any(p.requires_grad for p in fusion.parameters()):
            if self.select == "ndcg":
                raise ValueError(
                    "training.select=ndcg chooses alphas that are null in fusion=fixed or discrete; this fusion is "
                    "fitted by likelihood."
                )
            return "likelihood"
        if not getattr(fusion, "unset", False):
            return None
        return "ndcg" if self.select == "auto" else self.select


def can_be_fitted(model: nn.Module) -> bool:
    """Whether a model is a mixture of scores with a graph side that only counts."""
    return isinstance(model, Hybrid) and model.fusion.level == "score" and model.remembers


def fit_for_post_hoc(model: nn.Module) -> Hybrid:
    """The model, if its fusion can be fitted post hoc.

    Raises:
        ValueError: it cannot; the message says what to choose.
    """
    if not isinstance(model, Hybrid):
        raise ValueError("training=post_hoc fits a fusion, and this model has none; use training=joint.")
    if model.fusion.level != "score":
        raise ValueError(
            "training=post_hoc mixes the scores of two finished models (fusion.level=score); item embeddings are mixed "
            "while they are trained: training=joint, or +experiment=study/embeddings for the whole form of the study."
        )
    if not model.remembers:
        raise ValueError(
            "training=post_hoc trains no graph network, and this gnn has weights to learn. Use training=joint (with "
            "fusion.level=embedding it is +experiment=study/embeddings), training=two_stage, or gnn=evidence."
        )
    return model


def run_of(path: Path) -> Path | None:
    """The folder of the finished run of the encoder alone that a model.pt comes from; None where there is none."""
    results = path.parent / "results.json"
    if not results.is_file():
        return None
    found = json.loads(results.read_text(encoding="utf-8"))
    if found["config"]["fusion"] is None:
        return path.parent
    places = [path.parent / "encoder", Path((found.get("baseline") or {}).get("folder", "encoder"))]
    return next((place for place in places if (place / "results.json").is_file()), None)
