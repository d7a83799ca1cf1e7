"""The targets of other rows as negatives."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.seen import Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.limits import AtLeast1, Limited
from hybrid_seq_gnn.negatives.uniform import Uniform

ROUNDS = 10


class InBatch(Limited, nn.Module):
    """K targets drawn uniformly from the rows of the batch, without items that the row's user has seen in training.

        log q_j = log(c_j / sum of c_i over the items i that the user has not seen)

    c_j is how often j is a target: its training events that are not the first of their user; at least 1 for j itself.
    Popular items are drawn more often, which `loss=sampled_softmax` corrects with log q. A draw that still gives a seen
    item after ten rounds is replaced by a uniform one.

    Source: Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations".

    Args:
        sequences, split: give the items that each user has seen in training, and their popularity.
        num_negatives: K, items per row.

    Shape:
        users, targets: (M,). Returns ids (M, K) and log q (M, K).

    Raises:
        UserError: K < 1, or a user has seen all items.
    """

    def __init__(self, sequences: Sequences, split: Split, *, num_negatives: AtLeast1 = 64) -> None:
        super().__init__()
        self.num_negatives = num_negatives
        self.uniform = Uniform(sequences, split, num_negatives=num_negatives)
        self.seen: Seen = self.uniform.seen
        first = sequences.items[sequences.indptr[:-1][split.train_end > 0]]
        targets = sequences.training_counts(split) - np.bincount(first, minlength=sequences.num_items + 1)
        count = torch.from_numpy(targets.astype(np.float64))
        self.register_buffer("unseen", self.seen.unseen(count).clamp(min=1.0), persistent=False)
        self.register_buffer("count", count.clamp(min=1.0), persistent=False)  # BERT4Rec predicts first events too

    count: Tensor
    unseen: Tensor

    def forward(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: object
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        user = users.unsqueeze(1).expand(-1, self.num_negatives)

        def draw(*shape: int) -> Tensor:
            return targets[torch.randint(len(targets), shape, device=targets.device)]

        items = self.seen.redraw(user, draw(*user.shape), draw, ROUNDS)
        log_q = (self.count[items] / self.unseen[users, None]).log().float()
        rejected = self.seen.has(user, items)
        uniform, log_uniform = self.uniform(users, targets, scores)
        return torch.where(rejected, uniform, items), torch.where(rejected, log_uniform, log_q.clamp(max=0.0))
