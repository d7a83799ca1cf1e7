"""A smooth function of the log history length with interpretable parameters."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.fusion.base import Fusion, Level, Mix, Side
from hybrid_seq_gnn.limits import Positive, Weight


class LengthGate(Fusion):
    """From `low` for short histories to `high` for long ones.

        alpha(n) = low + (high - low) * sigmoid(slope * (log(1 + n) - log(1 + midpoint)))

    midpoint and slope are learned (the midpoint as its log, so that it stays positive), low and high are not.

    Args:
        midpoint: history length, in events, at which alpha is initially halfway from low to high. Must be > 0.
        slope: initial steepness per unit of log length; if negative, alpha goes from high to low instead.
        low, high: limits of alpha for short and for long histories, in [0, 1].
        level, side, mix: see `Fusion`.

    Raises:
        UserError: midpoint is not positive, or low or high is outside [0, 1].

    Example:
        >>> gate = LengthGate(midpoint=10.0, slope=1.0, low=0.0, high=1.0)
        >>> [f"{w:.2f}" for w in gate.alpha(torch.tensor([0, 10, 200]))]
        ['0.08', '0.50', '0.95']
    """

    def __init__(
        self,
        *,
        midpoint: Positive = 20.0,
        slope: float = 1.0,
        low: Weight = 0.1,
        high: Weight = 0.9,
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__(level, side, mix)
        self.log_midpoint = nn.Parameter(torch.tensor(math.log(midpoint)))
        self.slope = nn.Parameter(torch.tensor(float(slope)))
        self.low, self.high = low, high

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        middle = F.softplus(self.log_midpoint)  # log(1 + midpoint)
        gate = torch.sigmoid(self.slope * (torch.log1p(length.to(middle.dtype)) - middle))
        return self.low + (self.high - self.low) * gate
