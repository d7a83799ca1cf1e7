"""Rank a model on the validation or test split, with the users shared among the processes of the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hybrid_seq_gnn.data.batches import RankingBatch, ranking_batches
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.evaluate import SCORES_AT_A_TIME, Ranking, evaluating, merge, part_of, rank_users
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.training import distributed
from hybrid_seq_gnn.training.loop import NO_TARGETS


@dataclass(frozen=True)
class Measure:
    """Ranks the held-out items of users and computes metrics.

    Attributes:
        prepared: histories and split.
        settings: settings of the evaluation.
        device: the device of the models.
        valid_users: number of users, the first ones, that are validated during training; None means all.
    """

    prepared: Prepared
    settings: EvaluationSettings
    device: torch.device
    valid_users: int | None

    def card(self) -> dict[str, Any]:
        """Statistics of the data, for results.json; groups count test users."""
        sequences, test = self.prepared.sequences, self.prepared.split.test
        group = self.settings.groups.group_of(test[test >= 0])
        return {
            "hash": self.prepared.data_hash,
            "split_hash": self.prepared.split_hash,
            "users": sequences.num_users,
            "items": sequences.num_items,
            "events": len(sequences.items),
            "groups": {name: int((group == name).sum()) for name in self.settings.groups.names},
        }

    def description(self) -> str:
        """The statistics of `card` in one line, for the log."""
        card = self.card()
        groups = ", ".join(f"{count:,} {name}" for name, count in card["groups"].items())
        return (
            f"data: {card['users']:,} users, {card['items']:,} items, {card['events']:,} events; "
            f"test users by history: {groups}; split {self.prepared.split_hash[:12]}"
        )

    def rank(self, model: Any, positions: np.ndarray) -> Ranking:
        """Rank each user's item at `positions`, see `rank_users`; the processes share the users."""
        with evaluating(model):
            part = rank_users(
                model,
                self.prepared.sequences,
                part_of(positions, distributed.share),
                batch_size=self.settings.batch_size,
                mask=self.settings.mask_history,
                device=self.device,
            )
        return merge(distributed.gather(part))

    def batches(self, positions: np.ndarray, max_length: int) -> Iterator[RankingBatch]:
        """Batches of the users who have a target at `positions`, with their full histories.

        Raises:
            ValueError: no user has a target.
        """
        users = np.flatnonzero(positions >= 0)
        if not len(users):
            raise UserError(NO_TARGETS)
        size = max(1, min(self.settings.batch_size, SCORES_AT_A_TIME // (self.prepared.sequences.num_items + 1)))
        return ranking_batches(self.prepared.sequences, users, positions, max_length, size)

    @property
    def valid_positions(self) -> np.ndarray:
        """Positions of the validation targets that are used during training."""
        return first_targets(self.prepared.split.valid, self.valid_users)

    def validate(self, model: Any) -> dict[str, float | None]:
        """Validation metrics: of all users (`NDCG@10`) and of each length group (`NDCG@10/short`)."""
        return self.metrics_of(self.rank(model, self.valid_positions))

    def metrics_of(self, ranking: Ranking) -> dict[str, float | None]:
        """The metrics of `validate`, from a ranking."""
        values: dict[str, float | None] = dict(metrics(ranking.ranks))
        for name, rows in self.settings.groups.members(ranking.lengths).items():
            if name in self.settings.groups.names:
                values |= {f"{metric}/{name}": value for metric, value in metrics(ranking.ranks[rows]).items()}
        return values


def first_targets(positions: np.ndarray, users: int | None) -> np.ndarray:
    """`positions` for the first `users` users who have a target, -1 for the rest; None keeps all."""
    positions = positions.copy()
    if users is not None:
        positions[np.flatnonzero(positions >= 0)[users:]] = -1
    return positions
