"""Binary cross-entropy against sampled negatives."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.interfaces import Sampler, TrainingScores
from hybrid_seq_gnn.limits import Limited, Share, Temperature


class BCE(Limited, nn.Module):
    """Classify the next item and K sampled negatives, each independently.

        loss = -mean over positions of [log sigmoid(s_target) + sum_k log(1 - sigmoid(s_k))] / (1 + K),
        s    = score + offset

    Source: Kang & McAuley 2018, Eq. 6 (K = 1). Ours differs: the mean over 1 + K terms keeps the scale of the loss the
    same for every K, as in Petrov & Macdonald 2023 (gSASRec, arXiv:2308.07192). The offset, as in Lin et al. 2017
    (arXiv:1708.02002, Sec. 3.3), makes a score of 0 mean that an item is a target as often as any. It changes no rank.
    Without it, embeddings first learn that most candidates are negatives, and may stay there for dozens of epochs.

    Args:
        negatives: sampler of K items.
        offset: None is log(1 / K), the odds of a target among its negatives; 0 for K = 1.
        temperature: scores are divided by it in training; > 0.
        label_smoothing: e, in [0, 1): labels are 1 - e / 2 and e / 2.

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        negatives: Sampler,
        *,
        offset: float | None = None,
        temperature: Temperature = 1.0,
        label_smoothing: Share = 0.0,
    ) -> None:
        super().__init__()
        self.negatives = negatives
        self.offset = -math.log(negatives.num_negatives) if offset is None else offset
        self.temperature, self.label_smoothing = temperature, label_smoothing

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        scores = scores.scaled(self.temperature)
        negatives, _ = self.negatives(users, targets, scores)
        logits = scores.at(torch.cat([targets.unsqueeze(1), negatives], dim=1)) + self.offset
        labels = torch.full_like(logits, self.label_smoothing / 2)
        labels[:, 0] = 1 - self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, labels)
