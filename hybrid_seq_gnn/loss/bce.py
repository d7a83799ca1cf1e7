"""Binary cross-entropy against sampled negatives."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.loss.protocol import Sampler, Scores


class BCE(nn.Module):
    """Tell the next item from K sampled ones, each on its own.

        loss = -mean over positions of [log sigmoid(s_target) + sum_k log(1 - sigmoid(s_k))] / (1 + K)

    Source: Kang & McAuley 2018, Eq. 6 (K = 1). Ours differs: the mean over 1 + K terms keeps the size of the loss the
    same for every K, as in Petrov & Macdonald 2023 (gSASRec, arXiv:2308.07192).

    Args:
        negatives: sampler, from users and targets (M,) to ids (M, K) and log q (M, K).

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.
    """

    def __init__(self, negatives: Sampler) -> None:
        super().__init__()
        self.negatives = negatives

    def forward(self, scores: Scores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        """The loss, with fresh negatives."""
        negatives, _ = self.negatives(users, targets)
        logits = scores.at(torch.cat([targets.unsqueeze(1), negatives], dim=1))  # (M, 1 + K), the target first
        labels = torch.zeros_like(logits)
        labels[:, 0] = 1
        return F.binary_cross_entropy_with_logits(logits, labels)
