"""How a model of this run is measured: ranking on either split, shared among the processes of the run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.evaluation.evaluate import Ranking, evaluating, merged, part_of, rank_users
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.training import distributed


@dataclass(frozen=True)
class Measure:
    """Ranks the held-out items of users.

    Attributes:
        prepared: histories and split.
        settings: of the evaluation.
        device: where models are.
        valid_users: first so many users are validated in training; None is all.
    """

    prepared: Prepared
    settings: EvaluationSettings
    device: torch.device
    valid_users: int | None

    def rank(self, model: Any, end: np.ndarray) -> Ranking:
        """The rank of each user's item at `end`, see `rank_users`."""
        with evaluating(model):
            mine = rank_users(
                model,
                self.prepared.sequences,
                part_of(end, distributed.share),
                batch_size=self.settings.batch_size,
                mask=self.settings.mask_history,
                device=self.device,
            )
        return merged(distributed.gather(mine))

    @property
    def valid_end(self) -> np.ndarray:
        """Places of the validation targets that count in training."""
        return first_targets(self.prepared.split.valid, self.valid_users)

    def validate(self, model: Any) -> dict[str, float | None]:
        """Validation metrics: of all users (`NDCG@10`) and of each length group (`NDCG@10/short`)."""
        found = self.rank(model, self.valid_end)
        measured: dict[str, float | None] = dict(metrics(found.ranks))
        for name, rows in self.settings.groups.members(found.lengths).items():
            if name in self.settings.groups.names:
                measured |= {f"{metric}/{name}": value for metric, value in metrics(found.ranks[rows]).items()}
        return measured


def first_targets(end: np.ndarray, users: int | None) -> np.ndarray:
    """`end` for the first so many users who have a target, -1 for the rest; None leaves all."""
    kept = end.copy()
    if users is not None:
        kept[np.flatnonzero(end >= 0)[users:]] = -1
    return kept
