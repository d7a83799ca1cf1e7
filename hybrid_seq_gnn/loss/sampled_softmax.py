"""Softmax cross-entropy over the target and sampled negatives."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.interfaces import Sampler, TrainingScores
from hybrid_seq_gnn.limits import Limited, Share, Temperature


class SampledSoftmax(Limited, nn.Module):
    """Cross-entropy over 1 + K items, corrected for the probability with which each negative was drawn.

        loss = mean over positions of log(exp(s_target) + sum_k exp(s_k - log(K q_k))) - s_target

    With the correction, K samples represent all items, and for K -> infinity this is the full cross-entropy (except
    for the items that the user has seen, which are never drawn).

    Source: Bengio & Senecal 2008; Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling", Sec. 3.

    Args:
        negatives: sampler, whose log q is used.
        temperature: scores are divided by it in training; > 0.
        correct: subtract log(K q) from a negative's score; otherwise, every sample counts as one item.
        label_smoothing: share of the target's weight that is spread over the 1 + K items, in [0, 1).

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        negatives: Sampler,
        *,
        temperature: Temperature = 1.0,
        correct: bool = True,
        label_smoothing: Share = 0.0,
    ) -> None:
        super().__init__()
        self.negatives, self.temperature = negatives, temperature
        self.correct, self.label_smoothing = correct, label_smoothing

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        scores = scores.scaled(self.temperature)
        negatives, log_q = self.negatives(users, targets, scores)
        logits = scores.at(torch.cat([targets.unsqueeze(1), negatives], dim=1))
        if self.correct:
            expected = log_q + torch.log(torch.tensor(float(negatives.shape[1])))
            logits = torch.cat([logits[:, :1], logits[:, 1:] - expected], dim=1)
        zeros = torch.zeros_like(targets)
        return F.cross_entropy(logits, zeros, label_smoothing=self.label_smoothing)
