"""LightGCN on the item graph.

Source: He et al. 2020, "LightGCN" (arXiv:2002.02126), Sec. 3.1.
Ours differs: the nodes are items only, and edges carry co-occurrence weights.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn


class LightGCN(nn.Module):
    """Mean of the item table and its K smoothings over the graph.

        E_0 = items,   E_k = A_hat @ E_{k-1},   out = mean(E_0, ..., E_K)

    Args:
        num_layers: K, hops of smoothing. 0 returns the items unchanged.

    Shape:
        items: (N, D), row 0 is padding. adjacency: a product with the sparse (N, N) normalised graph.
        Returns (N, D). Cost: K * edges * D.

    Raises:
        ValueError: num_layers is negative.
    """

    def __init__(self, *, num_layers: int = 2) -> None:
        super().__init__()
        if num_layers < 0:
            raise ValueError(f"gnn.num_layers={num_layers}: must be 0 or more.")
        self.num_layers = num_layers

    def forward(self, items: Float[Tensor, "N D"], adjacency: Callable[[Tensor], Tensor]) -> Float[Tensor, "N D"]:
        """The formula above."""
        total = layer = items
        for _ in range(self.num_layers):
            layer = adjacency(layer)
            total = total + layer
        return total / (self.num_layers + 1)
