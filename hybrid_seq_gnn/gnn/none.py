"""No graph: the control in an ablation."""

from jaxtyping import Float
from torch import Tensor, nn


class NoGraph(nn.Module):
    """Returns the graph side's item table unchanged, to measure the effect of a second table without a graph.

    Shape:
        items: (N, D). Returns (N, D).
    """

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return items
