"""A piecewise linear function of the history length."""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.fusion.base import Fusion, Level, Mix, Side
from hybrid_seq_gnn.limits import Inside


class Piecewise(Fusion):
    """Linear between knots with learned values, constant outside.

        alpha(n) = v_k + (v_{k+1} - v_k) * (n - x_k) / (x_{k+1} - x_k)     for x_k <= n <= x_{k+1}

    The values v are learned as sigmoid(theta), which keeps them in (0, 1); training starts exactly at `values`.

    Args:
        knots: history lengths x, in events, increasing; at least two.
        values: initial alpha at each knot, in (0, 1).
        level, side, mix: see `Fusion`.

    Raises:
        UserError: knots are not increasing, not as many values as knots, or a value outside (0, 1).
    """

    def __init__(
        self,
        *,
        knots: tuple[float, ...] = (5.0, 15.0, 30.0, 60.0),
        values: tuple[Inside, ...] = (0.3, 0.4, 0.5, 0.6),
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__(level, side, mix)
        if len(knots) < 2 or any(a >= b for a, b in itertools.pairwise(knots)):
            raise UserError(f"fusion.knots={list(knots)}: expected two or more lengths in increasing order.")
        if len(values) != len(knots):
            raise UserError(
                f"fusion.values={list(values)}: expected {len(knots)}, one for each of fusion.knots={list(knots)}."
            )
        self.register_buffer("knots", torch.tensor(knots), persistent=False)
        self.theta = nn.Parameter(torch.logit(torch.tensor(values)))

    knots: Tensor

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        values = torch.sigmoid(self.theta)
        n = length.to(self.knots.dtype).clamp(self.knots[0], self.knots[-1])
        right = torch.bucketize(n, self.knots).clamp(1, len(values) - 1)
        share = (n - self.knots[right - 1]) / (self.knots[right] - self.knots[right - 1])
        return torch.lerp(values[right - 1], values[right], share.to(values.dtype))
