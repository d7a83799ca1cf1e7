"""Bayesian personalised ranking."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.interfaces import Sampler, TrainingScores
from hybrid_seq_gnn.limits import Limited, Temperature


class BPR(Limited, nn.Module):
    """A pairwise loss: the next item should score higher than each of K sampled negatives.

        loss = -mean over positions and k of log sigmoid(s_target - s_k)

    Source: Rendle et al. 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback" (arXiv:1205.2618), Sec. 4.
    Ours differs: their weight penalty is `training.weight_decay` here.

    Args:
        negatives: sampler.
        temperature: scores are divided by it in training; > 0.

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.

    Raises:
        UserError: temperature is not positive.
    """

    def __init__(self, negatives: Sampler, *, temperature: Temperature = 1.0) -> None:
        super().__init__()
        self.negatives, self.temperature = negatives, temperature

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        scores = scores.scaled(self.temperature)
        negatives, _ = self.negatives(users, targets, scores)
        logits = scores.at(torch.cat([targets.unsqueeze(1), negatives], dim=1))
        return -F.logsigmoid(logits[:, :1] - logits[:, 1:]).mean()
