"""Softmax cross-entropy over all items."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.interfaces import TrainingScores
from hybrid_seq_gnn.limits import Limited, Share, Temperature


class CrossEntropy(Limited, nn.Module):
    """Mean over positions of -log softmax(scores)[target], with a softmax over all items and no sampling.

    Source: Klenitskiy & Vasilev 2023, "Turning Dross Into Gold Loss" (arXiv:2309.07602).

    Args:
        temperature: scores are divided by it in training; > 0.
        label_smoothing: share of the target's weight that is spread over all items, in [0, 1).

    Shape:
        scores: M positions. targets: (M,) item ids. users: (M,), not used. Returns a scalar.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(self, *, temperature: Temperature = 1.0, label_smoothing: Share = 0.0) -> None:
        super().__init__()
        self.temperature, self.label_smoothing = temperature, label_smoothing

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        return scores.scaled(self.temperature).cross_entropy(targets, self.label_smoothing)
