"""The exact memory of what followed what; nothing is learned.

Ours. It is a Markov chain of order `last` with geometric weights, in the family of item-transition neighbours that
Ludewig & Jannach 2018, "Evaluation of Session-based Recommendation Algorithms" (arXiv:1803.09587), call sequential
rules.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.pairs import check_pairs, ordered_pairs
from hybrid_seq_gnn.graph.sparse import SparseMatrix

UNIFORM = 1e-6  # share of the uniform distribution, so that no item has probability 0


class Transitions(nn.Module):
    """Distribution of the next item from normalised transition rows of the user's last items.

        C_ij = sum over training pairs of events s < t <= s + window with items i, j of decay ** (t - s - 1)
        R_i  = sum_j C_ij
        p(j) = sum_k v_k C[i_k, j] R[i_k]^-exponent  /  sum_k v_k R[i_k]^(1 - exponent),    v_k = recency ** k

    where i_0 is the latest item, i_1 the one before, and k < last. Exponent 1 averages rows that sum to 1; a smaller
    one trusts items more the more often they were seen. If no i_k was ever followed by anything, p is uniform.

    In training, the row of the target itself is in C ("train on train"): the pairs that lead from i_k to it, one of
    weight decay ** l for each l < window with i_l = i_k, are taken out of C and R again, so that the memory is as good
    as it will be on new events.

    At the embedding level the same rows (exponent 1) smooth the item table: out_i = sum_j C_ij / R_i items_j.

    Args:
        sequences, split: the training part is remembered.
        window: most steps from an item to one that follows it.
        decay: weight of one more step, in (0, 1].
        last: latest items of the user that are looked up.
        recency: weight of one item further back, in (0, 1].
        exponent: of the row sums, in [0, 1].

    Shape:
        See `Batch`; M positions, N items with padding.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        window: int = 3,
        decay: float = 0.7,
        last: int = 20,
        recency: float = 0.8,
        exponent: float = 0.75,
    ) -> None:
        super().__init__()
        check_pairs(window, decay, "gnn")
        if last < 1:
            raise ValueError(f"gnn.last={last}: must be 1 or more, in events.")
        if not 0 < recency <= 1:
            raise ValueError(f"gnn.recency={recency}: must lie in (0, 1].")
        if not 0 <= exponent <= 1:
            raise ValueError(f"gnn.exponent={exponent}: must lie in [0, 1].")
        self.window, self.decay, self.last, self.exponent = window, decay, last, exponent
        self.size = sequences.num_items + 1
        source, target, weight, _ = ordered_pairs(sequences, split, window, decay)
        total = np.bincount(source, weights=weight, minlength=self.size)
        scaled = weight * np.maximum(total, 1e-12)[source] ** -exponent
        self.rows = SparseMatrix(source, target, weight / total[source], self.size)
        self.memory = SparseMatrix(target, source, scaled, self.size)  # its product takes weights of items to scores
        self.register_buffer("key", torch.from_numpy(source * self.size + target))
        self.register_buffer("count", torch.from_numpy(weight).float())
        self.register_buffer("total", torch.from_numpy(total).float())
        self.register_buffer("recency", recency ** torch.arange(last, dtype=torch.float32))

    key: Tensor
    count: Tensor
    total: Tensor
    recency: Tensor

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Each item's embedding becomes the mean of what followed it."""
        smoothed: Tensor = self.rows(items)
        return smoothed

    def recent(self, batch: Batch) -> Int[Tensor, "M last"]:
        """The latest items at each position, latest first; 0 where there are none."""
        padded = nn.functional.pad(batch.items, (self.last - 1, 0))
        return padded.unfold(1, self.last, 1)[batch.items > 0].flip(1)

    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at each position.

        Args:
            batch: M positions.
            targets: one item each.
            leave_out: take each position's own pairs out of the memory, as in training.
        """
        recent = self.recent(batch)  # (M, last)
        key = recent * self.size + targets.unsqueeze(1)
        place = torch.searchsorted(self.key, key).clamp_(max=max(len(self.key) - 1, 0))
        count = torch.where(self.key[place] == key, self.count[place], 0.0) if len(self.key) else key * 0.0
        total = self.total[recent]
        if leave_out:
            near = recent[:, : self.window]
            pair = self.decay ** torch.arange(near.shape[1], device=count.device) * (near != targets.unsqueeze(1))
            # an item that stands near the target more than once leads to it by more than one pair
            own = ((recent.unsqueeze(2) == near.unsqueeze(1)) * pair.unsqueeze(1)).sum(2)
            count, total = (count - own).clamp_(min=0.0), (total - own).clamp_(min=0.0)
        weight = torch.where((recent > 0) & (total > 1e-6), self.recency, 0.0)
        total = total.clamp(min=1e-6)
        above = (weight * count * total**-self.exponent).sum(1)
        below = (weight * total ** (1 - self.exponent)).sum(1)
        return self.smoothed(above, below)

    def of_all(self, batch: Batch, rows: Int[Tensor, "R"]) -> Float[Tensor, "R N"]:
        """p of every item at some of the positions; padding has none."""
        recent = self.recent(batch)[rows]
        weight = torch.where((recent > 0) & (self.total[recent] > 0), self.recency, 0.0)
        below = (weight * self.total[recent] ** (1 - self.exponent)).sum(1, keepdim=True)
        spread = weight.new_zeros(len(rows), self.size).scatter_add_(1, recent, weight)
        p = self.smoothed(self.memory(spread.T.contiguous()).T, below)
        p[:, 0] = 0.0
        return p

    def smoothed(self, above: Tensor, below: Tensor) -> Tensor:
        """above / below, with a little of the uniform distribution; all uniform where nothing is known."""
        uniform = 1 / (self.size - 1)
        known = torch.where(below > 0, above / below.clamp(min=1e-12), uniform)
        return (1 - UNIFORM) * known + UNIFORM * uniform
