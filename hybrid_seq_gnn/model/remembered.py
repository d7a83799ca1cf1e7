"""A memory as one side of a mixture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.protocol import Memory


@dataclass(frozen=True)
class Remembered:
    """A memory's distribution of the next item after some positions of a batch.

    Attributes:
        memory: knows the distributions.
        batch: M positions.
        rows: (R,) positions; None is all, -1 stands for nothing before, of which the memory knows nothing: uniform.
        leave_out: take each target's own pairs out of the memory, as in training.
    """

    memory: Memory
    batch: Batch
    rows: Int[Tensor, "R"] | None
    leave_out: bool

    def log_probability(self, targets: Int[Tensor, "R"]) -> Float[Tensor, "R"]:
        """Of the item that came next at every row."""
        if self.rows is None:
            return self.memory.of_targets(self.batch, targets, self.leave_out).log()
        every = targets.new_ones(int((self.batch.items > 0).sum()))
        every[self.rows[self.rows >= 0]] = targets[self.rows >= 0]
        p = self.memory.of_targets(self.batch, every, self.leave_out)
        return torch.cat([p, p.new_full((1,), self.uniform)])[self.rows].log()  # row -1 is the last

    def log_probabilities(self) -> Float[Tensor, "R N"]:
        """Of every item; padding has -inf."""
        if self.rows is None:
            rows = torch.arange(int((self.batch.items > 0).sum()), device=self.batch.items.device)
            return self.memory.of_all(self.batch, rows).log()
        p = self.memory.of_all(self.batch, self.rows.clamp(min=0))
        p[self.rows < 0, 1:] = self.uniform
        return p.log()

    @property
    def uniform(self) -> float:
        """The probability of every item where nothing is known."""
        return 1 / (self.memory.size - 1)
