"""Several encoders as one."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.model.encoder import Encoder, Reading
from hybrid_seq_gnn.model.scores import DotScores

ALONE = "model.members above 1 averages encoders that were trained alone: use training=post_hoc."


class Ensemble(Encoder):
    """The mean of the scores of K encoders that differ in their random seed.

        score_j = 1/K sum_k score_j^(k),   so that softmax(score) is the normalised geometric mean of the K softmaxes

    It is a dot product again: of the K states side by side, divided by K, with the K tables side by side.

    Source: Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles"
    (arXiv:1612.01474). Ours differs: scores are averaged, not probabilities.

    Args:
        members: encoders of one class with the same settings. Each is trained alone.

    Shape:
        A state is (R, K * D).
    """

    def __init__(self, members: Sequence[Encoder]) -> None:
        nn.Module.__init__(self)
        self.members = nn.ModuleList(members)
        self.max_length, self.cosine = members[0].max_length, members[0].cosine

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "R"], Int[Tensor, "R"]]:
        raise UserError(ALONE)

    def to_rank(self, batch: Batch) -> Reading:
        reading: Reading = self.members[0].to_rank(batch)  # type: ignore[operator]
        return reading

    def states(self, reading: Reading) -> Float[Tensor, "R D"]:
        return torch.cat([member.states(reading) for member in self.members], dim=1)  # type: ignore[operator]

    def compare(self, states: Float[Tensor, "R D"]) -> DotScores:
        parts = states.chunk(len(self.members), dim=1)
        scores = [member.compare(part) for member, part in zip(self.members, parts, strict=True)]  # type: ignore[operator]
        query = torch.cat([each.query for each in scores], dim=1) / len(scores)
        return DotScores(query, torch.cat([each.table for each in scores], dim=1), bias=scores[0].bias)

    def set_prior(self, events: Float[Tensor, "N"]) -> None:
        for member in self.members:
            member.set_prior(events)  # type: ignore[operator]
