"""The item embeddings, with a gradient that costs as much as the rows that were read."""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

FEW = 4  # with at most N / FEW reads, copies of the rows are cheaper than a gradient of the whole table


class ItemTable(nn.Embedding):
    """An embedding of items, row 0 is padding, whose gradient can be collected in one buffer.

    PyTorch makes a gradient of all N rows for each place that reads the table, here the inputs and the scores, and adds
    them up; for a million items each is 256 MB. With `collect`, a training step reads copies of few rows, whose
    gradients are added to a buffer that is kept from step to step and is `weight.grad`. It is the same gradient, up to
    the order of its sums; `torch.autograd.grad` does not see it.

    Args:
        num_items: items without padding.
        embedding_dim: D.

    Attributes:
        collect: see above; `training.loop` turns it on where it pays.
    """

    def __init__(self, num_items: int, embedding_dim: int) -> None:
        super().__init__(num_items + 1, embedding_dim, padding_idx=0)
        self.collect = False
        self._buffer: Tensor | None = None
        # Rows of the buffer that may not be 0; true as long as it has the version below: nobody else has changed it.
        self._added: list[Tensor] = []
        self._version = -1

    def collects(self, items: Int[Tensor, "..."]) -> bool:
        """Whether the gradient of these items is collected."""
        learns = self.training and self.weight.requires_grad and torch.is_grad_enabled()
        return self.collect and learns and FEW * items.numel() <= len(self.weight)

    def forward(self, input: Int[Tensor, "..."]) -> Float[Tensor, "... D"]:
        if not self.collects(input):
            return super().forward(input)
        rows = super().forward(input).detach().requires_grad_()
        rows.register_hook(partial(self._add, input))  # type: ignore[no-untyped-call]
        return rows

    @torch.no_grad()
    def _add(self, items: Int[Tensor, "..."], gradient: Float[Tensor, "... D"]) -> None:
        items, gradient = items.flatten(), gradient.flatten(0, -2)
        if self.weight.grad is None:  # the first of this step
            self.weight.grad = self._zeros()
        sums = self.weight.grad
        known = sums is self._buffer and sums._version == self._version
        sums.index_add_(0, items, gradient)
        sums[0] = 0.0
        if known:
            self._added.append(items)
            self._version = sums._version

    def _zeros(self) -> Float[Tensor, "N D"]:
        """The buffer, set to zero: all of it only if others changed it, as clipping or a gradient of the table do."""
        if self._buffer is None:
            self._buffer = torch.zeros_like(self.weight)
        elif self._buffer._version == self._version:
            self._buffer.index_fill_(0, torch.cat(self._added), 0.0)
        else:
            self._buffer.zero_()
        self._added, self._version = [], self._buffer._version
        return self._buffer

    def forget(self) -> None:
        """Drop the buffer, at the end of a training."""
        self._buffer, self._added = None, []
