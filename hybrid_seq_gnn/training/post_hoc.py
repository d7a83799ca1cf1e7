"""Post hoc fusion: a sequence model that was trained alone, mixed with a memory that only counts.

In joint training, a memory that explains the easy targets leaves the sequence model less to learn from, and the graph
contains the very edges that lead to the training targets. Here the sequence model stays as good as it is alone, and the
free parameters of the fusion are fitted on data that the memory has not seen: the validation split.

The training part trains the encoder and fills the memory, also for the test (validation events are not added). The
validation split is used twice: to stop the encoder's training early and to fit the fusion. With one to four weights the
bias is small, but it makes the validation metric of a fitted hybrid slightly optimistic compared with its encoder's.
The test metric has no such bias. `fusion=gated`, with a thousand weights, is stopped early by cross-validation over
users, see `fusion_fit`. With a fixed alpha, nothing is fitted.
"""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import expanded, read_json
from hybrid_seq_gnn.limits import Weight
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.ensemble import Ensemble
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.training import checkpoint
from hybrid_seq_gnn.training.fusion_fit import TENTHS, check_chosen, fit
from hybrid_seq_gnn.training.held_out import collect
from hybrid_seq_gnn.training.joint import Joint
from hybrid_seq_gnn.training.loop import Progress, evaluate_once
from hybrid_seq_gnn.training.strategy import Outcome, Strategy, StrategyRun, stage_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PostHoc(Strategy):
    """First train the hybrid's encoder alone, exactly like that model by itself; then fit the fusion on validation.

    The first stage is a run of its own. A finished one is reused wherever it is below outputs/; otherwise it is trained
    in a place where later runs find it.

    Attributes:
        encoders: folder of the shared encoder runs; null trains the encoder in the run's own folder, for this run only.
        encoder_checkpoint: model.pt of a run of the encoder alone (model=sasrec ...) or of a run with
            training=post_hoc; replaces the first stage.
        select: criterion for fitting the fusion: validation `ndcg` (NDCG@10; smoothed where one is learned), or the
            `likelihood` of the validation targets. `auto` is ndcg, but likelihood for a fusion that reads the state
            (gated): ndcg is too coarse to teach a thousand weights. `none` fits nothing: a learned fusion keeps its
            initial values, so a search over these is a search over its curve.
        alphas: candidates for alphas that are null, each in [0, 1].

    Raises:
        UserError: a value is out of range.
    """

    encoders: str | None = "outputs/encoders"
    encoder_checkpoint: str | None = None
    select: Literal["auto", "ndcg", "likelihood", "none"] = "auto"
    alphas: tuple[Weight, ...] = TENTHS
    alone: ClassVar[str | None] = f"{Joint.__module__}.{Joint.__qualname__}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alphas:
            raise UserError("training.alphas=[]: expected one or more weights in [0, 1].")

    def check(self, model: nn.Module) -> None:
        fit_for_post_hoc(model)

    def check_refit(self, model: nn.Module) -> None:
        super().check_refit(model)
        if self.encoder_checkpoint is not None:
            raise UserError("evaluation.refit=true trains encoders again; leave training.encoder_checkpoint at null.")
        if getattr(fit_for_post_hoc(model).fusion, "reads_state", False):
            raise UserError(
                "fusion=gated reads the states of the encoder to which it was fitted, and evaluation.refit=true trains "
                "another one. Use a fusion by length, such as fusion=length_gate."
            )

    def trains_whole_model(self, model: nn.Module) -> bool:
        """No: the encoder is trained in a run of its own, which sets its first weights."""
        return False

    def __call__(self, run: StrategyRun) -> Outcome:
        """Train the run's encoder or load a finished one, then fit the fusion.

        Raises:
            UserError: the hybrid cannot be fitted post hoc, or a checkpoint does not fit.
        """
        hybrid = fit_for_post_hoc(run.model)
        fusion = hybrid.fusion
        assert isinstance(fusion, nn.Module)
        by = self.criterion(fusion)
        encoder, stages = load_members(hybrid, run, self.encoder_checkpoint)
        hybrid.encoder.requires_grad_(False)
        started = time.perf_counter()
        if by is not None:
            batches = run.measure.batches(run.measure.valid_positions, hybrid.max_length)
            alphas = None if by != "ndcg" else TENTHS if learned(fusion) else self.alphas
            held_out = collect(
                hybrid, batches, mask=run.measure.settings.mask_history, alphas=alphas, device=run.device
            )
            stages["fusion"] = fit(fusion, held_out, by, self.alphas)
            stages["fusion"]["seconds"] = time.perf_counter() - started
            log.info("fitted the fusion by validation %s", by)
        valid = run.measure.rank(hybrid, run.measure.valid_positions)
        stage = replace(stage_of(run, hybrid, run.loss), validate=lambda: run.measure.metrics_of(valid))
        progress = evaluate_once(stage)
        progress.training_seconds = time.perf_counter() - started - progress.evaluation_seconds
        return Outcome(progress, stages, run_of(encoder), valid if run.measure.validates_all else None)

    def refit(self, run: StrategyRun, first: Path) -> Outcome:
        """Take refitted encoders, and the fusion as it was fitted on validation."""
        hybrid = fit_for_post_hoc(run.model)
        encoder, stages = load_members(hybrid, run)
        weights = checkpoint.load(first / "model.pt", run.device)["model"]
        fitted = {name: value for name, value in weights.items() if name.startswith("fusion.")}
        hybrid.load_state_dict(fitted, strict=False)
        return Outcome(Progress(), stages, run_of(encoder))

    def criterion(self, fusion: nn.Module) -> str | None:
        """The criterion for fitting the fusion, `ndcg` or `likelihood`; None if there is nothing to fit.

        Raises:
            UserError: training.select=none, and an alpha is null.
        """
        if self.select == "none":
            check_chosen(fusion)
            return None
        if not (learned(fusion) or getattr(fusion, "unset", False)):
            return None
        if self.select != "auto":
            return self.select
        return "likelihood" if getattr(fusion, "reads_state", False) else "ndcg"


def learned(fusion: nn.Module) -> bool:
    """Whether a fusion has weights to learn."""
    return any(p.requires_grad for p in fusion.parameters())


def load_members(hybrid: Hybrid, run: StrategyRun, given: str | None = None) -> tuple[Path, dict[str, Any]]:
    """Load the encoders of a hybrid: a `given` model.pt, or those of runs of their own.

    Returns:
        The path of the first, and what results.json says of all.
    """
    one = hybrid.encoder
    members: list[Encoder] = list(one.members) if isinstance(one, Ensemble) else [one]  # type: ignore[arg-type]
    if given is not None and len(members) > 1:
        raise UserError(f"training.encoder_checkpoint is one encoder; model.members={len(members)} needs more.")
    paths = [run.encoder(ahead) / "model.pt" for ahead in range(len(members))] if given is None else [expanded(given)]
    for member, path in zip(members, paths, strict=True):
        checkpoint.load_encoder(member, path, run)
    return paths[0], {"encoder": {"path": str(paths[0]), "others": [str(path) for path in paths[1:]]}}


def can_be_fitted(model: nn.Module) -> bool:
    """Whether a model mixes scores with a graph side that only counts."""
    return isinstance(model, Hybrid) and model.scores_from_memory


def fit_for_post_hoc(model: nn.Module) -> Hybrid:
    """Return the model if its fusion can be fitted post hoc.

    Raises:
        UserError: it cannot; the message says what to use instead.
    """
    if not isinstance(model, Hybrid):
        raise UserError("training=post_hoc fits a fusion, and this model has none; use training=joint.")
    if model.fusion.level != "score":
        raise UserError(
            "training=post_hoc mixes the scores of two finished models (fusion.level=score). Item embeddings are mixed "
            "during training: use training=joint, or +experiment=study/embeddings for all settings of the study."
        )
    if not model.scores_from_memory:
        raise UserError(
            "training=post_hoc does not train the gnn, and this one has weights to learn. Use training=joint (with "
            "fusion.level=embedding: +experiment=study/embeddings), training=two_stage, or gnn=evidence."
        )
    return model


def run_of(path: Path) -> Path | None:
    """The folder of the finished run of the encoder alone behind a model.pt; None if there is none."""
    results = path.parent / "results.json"
    if not results.is_file():
        return None
    record = read_json(results)
    try:
        if record["config"]["fusion"] is None:
            return path.parent
        folders = [path.parent / "encoder", Path((record.get("baseline") or {}).get("folder", "encoder"))]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{results} is damaged: {error!r}.") from error
    return next((folder for folder in folders if (folder / "results.json").is_file()), None)
