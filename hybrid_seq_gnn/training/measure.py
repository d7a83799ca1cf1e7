"""Rank a model on the validation or test split, with the users shared among the processes of the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hybrid_seq_gnn.data.batches import RankingBatch, ranking_batches
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.evaluate import Ranking, evaluating, merge, part_of, rank_users
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.training import distributed
from hybrid_seq_gnn.training.loop import NO_TARGETS
from hybrid_seq_gnn.training.settings import ValidUsers

# A training position costs about as much as this many item scores (two attention blocks, 256 negatives, forward and
# backward).
SCORES_A_POSITION = 10_000
FEWEST_USERS = 10_000  # with so many, the standard error of NDCG@10 is about 0.003


@dataclass(frozen=True)
class Measure:
    """Ranks the held-out items of users and computes metrics.

    Attributes:
        prepared: histories and split.
        settings: settings of the evaluation.
        device: the device of the models.
        valid_users: which users are validated during training: a number of them, the first ones; None means all; auto:
            all, or as many of a fixed random sample as `affordable` says.
    """

    prepared: Prepared
    settings: EvaluationSettings
    device: torch.device
    valid_users: ValidUsers

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
        chosen, valid = (int((where >= 0).sum()) for where in (self.valid_positions, self.prepared.split.valid))
        some = f"; training is validated on {chosen:,} of {valid:,} users" if chosen < valid else ""
        return (
            f"data: {card['users']:,} users, {card['items']:,} items, {card['events']:,} events; "
            f"test users by history: {groups}; split {self.prepared.split_hash[:12]}{some}"
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
            UserError: no user has a target.
        """
        users = np.flatnonzero(positions >= 0)
        if not len(users):
            raise UserError(NO_TARGETS)
        return ranking_batches(self.prepared.sequences, users, positions, max_length, self.settings.batch_size)

    @property
    def valid_positions(self) -> np.ndarray:
        """Positions of the validation targets that are used during training, -1 for other users."""
        positions = self.prepared.split.valid
        users = np.flatnonzero(positions >= 0)
        if self.valid_users == "auto":
            most = affordable(self.prepared)
            chosen = users if most >= len(users) else np.random.default_rng(0).choice(users, most, replace=False)
        else:
            chosen = users[: self.valid_users]
        kept = np.full_like(positions, -1)
        kept[chosen] = positions[chosen]
        return kept

    @property
    def validates_all(self) -> bool:
        """Whether validations during training rank all users."""
        return np.array_equal(self.valid_positions, self.prepared.split.valid)

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


def affordable(prepared: Prepared) -> int:
    """How many users can be ranked in half an epoch with sampled negatives, but 10,000 at least.

    It follows from the sizes of the data alone, so that it is the same on every machine: a user costs the scores of all
    items, and a position of training about as much as `SCORES_A_POSITION`.
    """
    positions = int(np.maximum(prepared.split.train_end - 1, 0).sum())
    return max(FEWEST_USERS, int(0.5 * positions * SCORES_A_POSITION / prepared.sequences.num_items))
