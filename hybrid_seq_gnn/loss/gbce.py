"""Generalised binary cross-entropy, which corrects the overconfidence caused by negative sampling."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.interfaces import Sampler, TrainingScores
from hybrid_seq_gnn.limits import Limited, Temperature, Weight


class GBCE(Limited, nn.Module):
    """Binary cross-entropy with the target's probability raised to the power of beta.

        loss  = -mean over positions of [beta * log sigmoid(s_target) + sum_k log(1 - sigmoid(s_k))] / (1 + K)
        s     = score + offset
        beta  = rate * (t * (1 - 1 / rate) + 1 / rate),    rate = K / (num_items - 1)

    t = 0 is `BCE`; t = 1 calibrates sigmoid(s) to the probability it would have without sampling.

    Source: Petrov & Macdonald 2023, "gSASRec" (arXiv:2308.07192), Eq. 16-18. Ours differs: the offset, see `BCE`.

    Args:
        num_items: items without padding.
        negatives: sampler; the formula assumes uniform sampling.
        t: calibration, in [0, 1].
        offset: None is log(beta / K), the weighted odds of a target among its negatives.
        temperature: scores are divided by it in training; > 0.

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        num_items: int,
        negatives: Sampler,
        *,
        t: Weight = 0.75,
        offset: float | None = None,
        temperature: Temperature = 1.0,
    ) -> None:
        super().__init__()
        rate = min(negatives.num_negatives / max(num_items - 1, 1), 1.0)
        self.beta = rate * (t * (1 - 1 / rate) + 1 / rate)
        assert math.isfinite(self.beta)
        self.negatives, self.temperature = negatives, temperature
        self.offset = math.log(self.beta / negatives.num_negatives) if offset is None else offset

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        scores = scores.scaled(self.temperature)
        negatives, _ = self.negatives(users, targets, scores)
        logits = scores.at(torch.cat([targets.unsqueeze(1), negatives], dim=1)) + self.offset
        terms = torch.cat([self.beta * F.logsigmoid(logits[:, :1]), F.logsigmoid(-logits[:, 1:])], dim=1)
        return -terms.mean()
