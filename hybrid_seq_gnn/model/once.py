"""A table that a ranking needs for every batch, made once."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

T = TypeVar("T")


class OncePerRanking(nn.Module, Generic[T]):
    """Keeps the last result of a function of a module's weights while the module ranks.

    It does so in inference mode only, as rankings and requests are; elsewhere the function is called each time, so that
    gradients flow. The result is made anew after `train()` or `eval()`, and once PyTorch's count of changes in place
    has moved. A fused optimiser, `weight.data` and NumPy do not move it: call `eval()` after such a change.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[tuple[int, int]] = []
        self.result: T | None = None

    def train(self, mode: bool = True) -> "OncePerRanking[T]":
        self.result = None
        return super().train(mode)

    def call(self, module: nn.Module, function: Callable[[], T]) -> T:
        held = [*module.parameters(), *module.buffers()]
        counts = not any(tensor.is_inference() for tensor in held)  # what is made in inference mode counts no changes
        if not (torch.is_inference_mode_enabled() and counts):
            return function()
        weights = [(tensor.data_ptr(), tensor._version) for tensor in held]
        if self.result is None or weights != self.weights:
            self.weights, self.result = weights, function()
        return self.result
