"""A quick test: does everything run and learn at all?"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.limits import AtLeast1
from hybrid_seq_gnn.training.joint import Joint
from hybrid_seq_gnn.training.post_hoc import PostHoc, can_be_fitted
from hybrid_seq_gnn.training.settings import ValidUsers
from hybrid_seq_gnn.training.strategy import Outcome, Strategy, StrategyRun

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Quick(PostHoc):
    """Train a few epochs on a few users, post hoc if the model allows it, else jointly; then run a checklist."""

    epochs: AtLeast1 = 5
    train_users: AtLeast1 | None = 1000
    valid_users: ValidUsers = 200
    alone: ClassVar[str | None] = None
    refit = Strategy.refit

    def check(self, model: nn.Module) -> None:
        """Any model can be trained."""

    def trains_whole_model(self, model: nn.Module) -> bool:
        return not can_be_fitted(model)

    def __call__(self, run: StrategyRun) -> Outcome:
        return super().__call__(run) if can_be_fitted(run.model) else Joint.__call__(self, run)  # type: ignore[arg-type]

    def conclude(self, results: dict[str, Any], folder: Path) -> None:
        """Log a checklist of the results.

        Raises:
            UserError: a check failed.
        """
        history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        first, last = history[0]["loss"], history[-1]["loss"]
        counts = {name: group["count"] for name, group in results["grouped_metrics"].items()}
        points = [("groups are there", set(counts) == {"short", "medium", "long", "overall"}, str(counts))]
        points += [("the best model is saved", (folder / "model.pt").exists(), str(folder / "model.pt"))]
        if len(history) > 1:
            points += [("the loss falls", last < first, f"{first:.4f} -> {last:.4f}")]
        if alpha := results.get("alpha_stats"):
            low, high = alpha["overall"]["min"], alpha["overall"]["max"]
            points += [("alpha is in [0, 1]", 0 <= low <= high <= 1, f"{low:.4f} to {high:.4f}")]
        log.info("%s", "\n".join(f"{'ok    ' if ok else 'FAILED'}  {what}: {value}" for what, ok, value in points))
        if failed := [what for what, ok, _ in points if not ok]:
            raise UserError(f"training=quick: failed checks: {'; '.join(failed)}.")
