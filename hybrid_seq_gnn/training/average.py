"""A moving average of the weights, which often ranks better than the weights themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of all trained weights.

        average <- decay * average + (1 - decay) * weights,   after every step; starts at the initial weights

    Source: Polyak & Juditsky 1992; with a fixed decay as in Tarvainen & Valpola 2017 (arXiv:1703.01780).

    Args:
        model: the model whose weights are averaged.
        decay: in [0, 1); 0 turns averaging off, and all methods do nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        if decay:
            self.weights = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the current weights; call it after every step."""
        if self.decay:
            for name, parameter in model.named_parameters():
                if name in self.weights:
                    self.weights[name].lerp_(parameter, 1 - self.decay)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Put the averaged weights into the model, and restore its own weights at the end."""
        own = {n: p.detach().clone() for n, p in model.named_parameters() if n in self.weights}
        model.load_state_dict(self.weights, strict=False)
        try:
            yield
        finally:
            model.load_state_dict(own, strict=False)
