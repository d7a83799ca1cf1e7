"""A fixed weight for each of three bins of history length."""

import torch
from jaxtyping import Int
from torch import Tensor

from hybrid_seq_gnn.fusion.base import Binned, Level, Mix, Side, length_limits
from hybrid_seq_gnn.limits import Weight


class Discrete(Binned):
    """A step function of the length, not learned.

        alpha(n) = alpha_short if n <= L_short, alpha_mid if n <= L_long, else alpha_long

    Args:
        alpha_short, alpha_mid, alpha_long: weights of the sequence side, in [0, 1]; None is chosen on the validation
            split (`training=post_hoc`).
        L_short, L_long: maximum length of a short and of a medium history, in events.
        level, side, mix: see `Fusion`.

    Raises:
        UserError: a weight is outside [0, 1], or the limits are not increasing.
    """

    def __init__(
        self,
        *,
        alpha_short: Weight | None = 0.3,
        alpha_mid: Weight | None = 0.5,
        alpha_long: Weight | None = 0.7,
        L_short: int = 10,
        L_long: int = 50,
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__([alpha_short, alpha_mid, alpha_long], level, side, mix)
        self.register_buffer("limits", length_limits(L_short, L_long), persistent=False)

    limits: Tensor

    def bin_of(self, length: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """0, 1 or 2: short, medium or long."""
        return torch.bucketize(length, self.limits)
