"""One weight for everybody."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.fusion.base import Fusion, Side


class Fixed(Fusion):
    """The same alpha for every history length.

        fused = alpha * seq + (1 - alpha) * graph

    Args:
        alpha: weight of the sequence side, in [0, 1]. 1 is the sequence model alone, 0 the graph table alone.
        side: see `Fusion`.

    Raises:
        ValueError: alpha is outside [0, 1].

    Example:
        >>> Fixed(alpha=0.25).mix(torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([7]))
        tensor([[0.2500, 0.2500]])
    """

    def __init__(self, *, alpha: float = 0.5, side: Side = "both") -> None:
        super().__init__(side)
        if not 0 <= alpha <= 1:
            raise ValueError(f"fusion.alpha={alpha}: must lie in [0, 1], the weight of the sequence side.")
        self.value = alpha

    @property
    def adaptive(self) -> bool:
        """Never."""
        return False

    def alpha(self, length: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The constant."""
        return torch.full(length.shape, self.value, device=length.device)
