"""One weight for all users."""

import torch
from jaxtyping import Int
from torch import Tensor

from hybrid_seq_gnn.fusion.base import Binned, Level, Mix, Side
from hybrid_seq_gnn.limits import Weight


class Fixed(Binned):
    """The same alpha for every history length.

        alpha(n) = alpha

    Args:
        alpha: weight of the sequence side, in [0, 1]. 1 is the sequence model alone, 0 the graph alone. None is chosen
            on the validation split (`training=post_hoc`).
        level, side, mix: see `Fusion`.

    Raises:
        UserError: alpha is outside [0, 1].

    Example:
        >>> Fixed(alpha=0.25).mix(torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([7]))
        tensor([[0.2500, 0.2500]])
    """

    def __init__(
        self, *, alpha: Weight | None = 0.5, level: Level = "score", side: Side = "both", mix: Mix = "geometric"
    ) -> None:
        super().__init__([alpha], level, side, mix)

    @property
    def adaptive(self) -> bool:
        return False

    def bin_of(self, length: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        return torch.zeros_like(length)
