"""No graph: the control of an ablation."""

from jaxtyping import Float
from torch import Tensor, nn


class NoGraph(nn.Module):
    """The graph side's item table as it is: what a second table alone gives, without any graph.

    Shape:
        items: (N, D). Returns (N, D).
    """

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return items
