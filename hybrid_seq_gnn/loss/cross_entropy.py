"""Softmax cross-entropy over all items."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.loss.protocol import Scores


class CrossEntropy(nn.Module):
    """Mean over positions of -log softmax(scores)[target], with every item in the softmax and no sampling.

    Source: Klenitskiy & Vasilev 2023, "Turning Dross Into Gold Loss" (arXiv:2309.07602).

    Shape:
        scores: M positions. targets: (M,) item ids. users: (M,), not used. Returns a scalar.
    """

    def forward(self, scores: Scores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        """The loss."""
        return scores.cross_entropy(targets)
