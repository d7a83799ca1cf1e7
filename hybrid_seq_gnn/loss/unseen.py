"""Softmax cross-entropy over the items that a user has not had."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.seen import Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.interfaces import TrainingScores
from hybrid_seq_gnn.limits import Limited, Temperature


class Unseen(Limited, nn.Module):
    """Cross-entropy whose softmax leaves out the user's other training items.

        loss = mean over positions of log sum_j exp(s_j) - s_target      j: the target, and items the user has not had

    Ranking removes the history, so pushing its items down teaches nothing that counts; items the user has later are no
    negatives either. Losses with sampled negatives have always left both out; the usual cross-entropy (Klenitskiy &
    Vasilev 2023, arXiv:2309.07602) does not. A user who has had all items adds a loss of 0. Not for repeat consumption
    (evaluation.mask_history=false).

    Args:
        sequences, split: give the items that each user has had in training.
        temperature: scores are divided by it in training; > 0.

    Shape:
        scores: M positions. targets, users: (M,). Returns a scalar.
    """

    def __init__(self, sequences: Sequences, split: Split, *, temperature: Temperature = 1.0) -> None:
        super().__init__()
        self.temperature, self.seen = temperature, Seen(sequences, split, all_seen=True)

    def forward(self, scores: TrainingScores, targets: Int[Tensor, "M"], users: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        return scores.scaled(self.temperature).cross_entropy(targets, excluded=self.seen.excluded(users))
