"""A smooth function of the log history length, as in the first study of this project."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.fusion.base import HIGH, LOW, Fusion, Level, Mix, Side


class Continuous(Fusion):
    """A learned sigmoid of log length.

        alpha(n) = clamp(sigmoid(w * log(n + 1) + b) * scale + offset, 0.1, 0.9)

    w and b are learned, scale and offset are not. With w < 0, the default, alpha falls with length: from 0.82 at n = 1
    to 0.80 at n = 50. `fusion=length_gate` has parameters that are easier to interpret.

    Args:
        w, b: initial slope per unit of log length, and initial intercept.
        scale, offset: range and floor of alpha.
        level, side, mix: see `Fusion`.

    Raises:
        UserError: alpha would be clamped, and so have no gradient, at every length.
    """

    def __init__(
        self,
        *,
        w: float = -0.1,
        b: float = 1.5,
        scale: float = 0.4,
        offset: float = 0.5,
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__(level, side, mix)
        low, high = sorted((offset, offset + scale))
        if high <= LOW or low >= HIGH:
            raise UserError(
                f"fusion.scale={scale} fusion.offset={offset}: alpha would lie in [{low:g}, {high:g}] and be "
                f"clamped to [{LOW}, {HIGH}] for every length."
            )
        self.w, self.b = nn.Parameter(torch.tensor(float(w))), nn.Parameter(torch.tensor(float(b)))
        self.scale, self.offset = scale, offset

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        gate = torch.sigmoid(self.w * torch.log(length + 1.0) + self.b)
        return (gate * self.scale + self.offset).clamp(LOW, HIGH)
