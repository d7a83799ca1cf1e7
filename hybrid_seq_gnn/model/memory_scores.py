"""A memory as one side of a mixture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.interfaces import Memory
from hybrid_seq_gnn.model.linear_cross_entropy import ROWS


@dataclass(frozen=True)
class MemoryScores:
    """A memory's distribution of the next item after some positions of a batch.

    Attributes:
        memory: knows the distributions.
        batch: M positions.
        rows: (R,) positions; -1 stands for nothing before, of which the memory knows nothing: uniform.
        own: (R,) in training, the item that came next at every row, whose own pairs are left out of the memory.
    """

    memory: Memory
    batch: Batch
    rows: Int[Tensor, "R"]
    own: Int[Tensor, "R"] | None = None

    def log_probability(self, targets: Int[Tensor, "R"]) -> Float[Tensor, "R"]:
        """Of one item at every row; in training, that is the row's own."""
        every = targets.new_ones(int((self.batch.items > 0).sum()))
        every[self.rows[self.rows >= 0]] = targets[self.rows >= 0]
        p = self.memory.of_targets(self.batch, every, leave_out=self.own is not None)
        return torch.cat([p, p.new_full((1,), self.uniform)])[self.rows].log()  # row -1 is the last

    def probabilities(self, chunk: slice = slice(None)) -> Float[Tensor, "some N"]:
        """Of every item at some of the rows; padding has 0."""
        rows, own = self.rows[chunk], None if self.own is None else self.own[chunk]
        p = self.memory.of_all(self.batch, rows.clamp(min=0), own)
        p[rows < 0, 1:] = self.uniform
        return p

    def log_probabilities(self) -> Float[Tensor, "R N"]:
        """Of every item; padding has -inf."""
        return self.probabilities().log()

    def all(self, chunk: slice = slice(None)) -> Float[Tensor, "some N"]:
        """Log-probabilities as scores: finite, since 0 counts as the smallest number that there is."""
        p = self.probabilities(chunk)
        return p.clamp_(min=torch.finfo(p.dtype).tiny).log_()

    def at(self, items: Int[Tensor, "R K"]) -> Float[Tensor, "R K"]:
        """The same of K items a row. Memory: a chunk of rows times N."""
        chunks = [slice(k, k + ROWS) for k in range(0, len(items), ROWS)]
        return torch.cat([self.all(chunk).gather(1, items[chunk]) for chunk in chunks])

    @property
    def uniform(self) -> float:
        """The probability of every item where nothing is known."""
        return 1 / (self.memory.size - 1)
