"""Scores of a memory, as one side of a mixture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.interfaces import Memory

ROWS = 256  # rows of all items in memory at a time


@dataclass(frozen=True)
class MemoryScores:
    """A memory's distribution of the next item after R positions of a batch.

    Attributes:
        memory: gives the distributions.
        batch: M positions.
        rows: (R,) positions; -1 means no position before, with a uniform distribution.
        own: (R,) in training, the correct next item of each row, whose own pairs are left out of the memory.
    """

    memory: Memory
    batch: Batch
    rows: Int[Tensor, "R"]
    own: Int[Tensor, "R"] | None = None

    def log_probability(self, targets: Int[Tensor, "R"]) -> Float[Tensor, "R"]:
        """Log-probability of one item per row; in training, of `own`."""
        of_positions = targets.new_ones(len(self.batch.places))
        of_positions[self.rows[self.rows >= 0]] = targets[self.rows >= 0]
        p = self.memory.of_targets(self.batch, of_positions, leave_out=self.own is not None)
        p = torch.cat([p, p.new_full((1,), self.uniform)])[self.rows]  # row -1 is the last
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()

    def probabilities(self, chunk: slice = slice(None)) -> Float[Tensor, "rows N"]:
        """Probabilities of all items for a chunk of rows; 0 for padding."""
        rows, own = self.rows[chunk], None if self.own is None else self.own[chunk]
        p = self.memory.of_all(self.batch, rows.clamp(min=0), own)
        p[rows < 0, 1:] = self.uniform
        return p

    def log_probabilities(self) -> Float[Tensor, "R N"]:
        """Log-probabilities of all items; -inf for padding."""
        return self.probabilities().log()

    def all(self, chunk: slice = slice(None)) -> Float[Tensor, "rows N"]:
        """Log-probabilities as scores, finite because 0 is replaced by the smallest normal number."""
        p = self.probabilities(chunk)
        return p.clamp_(min=torch.finfo(p.dtype).tiny).log_()

    def at(self, items: Int[Tensor, "R K"]) -> Float[Tensor, "R K"]:
        """The same for K items per row. Memory: a chunk of rows times N."""
        chunks = [slice(k, k + ROWS) for k in range(0, len(items), ROWS)]
        return torch.cat([self.all(chunk).gather(1, items[chunk]) for chunk in chunks])

    @property
    def uniform(self) -> float:
        """The uniform probability of an item."""
        return 1 / (self.memory.size - 1)
