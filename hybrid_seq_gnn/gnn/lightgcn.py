"""LightGCN.

Source: He et al. 2020, "LightGCN" (arXiv:2002.02126), Sec. 3.1.
Ours differs: by default all nodes are items and edges have co-occurrence weights; `graph=bipartite` is as published.
"""

from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.gnn.nodes import UserNodes
from hybrid_seq_gnn.graph.sparse import SparseMatrix, propagated
from hybrid_seq_gnn.limits import AtLeast0, Limited, Share


class LightGCN(Limited, nn.Module):
    """Weighted mean of the item table and its K smoothings over the graph.

        E_0 = items,   E_k = A_hat @ E_{k-1},   out = sum_k a_k E_k,   a_k = 1 / (K + 1) unless given

    Args:
        num_items: items without padding.
        embedding_dim: D.
        adjacency: sparse (nodes, nodes) normalised graph.
        num_layers: K, hops of smoothing. 0 returns the items unchanged.
        layer_weights: a_0 .. a_K; null weighs all equally.
        edge_dropout: share of edges, in [0, 1), randomly dropped from A_hat at each training step; the others are
            scaled by 1 / (1 - edge_dropout). The training graph contains the edge from an item to its own target;
            with dropout the model cannot rely on it.

    Shape:
        items: (N, D), row 0 is padding. Returns (N, D). Cost: K * edges * D.

    Raises:
        UserError: num_layers is negative, there are not K + 1 layer weights, or edge_dropout is outside [0, 1).
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        adjacency: SparseMatrix,
        *,
        num_layers: AtLeast0 = 2,
        layer_weights: list[float] | None = None,
        edge_dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        if layer_weights is not None and not any(layer_weights):
            raise UserError(f"gnn.layer_weights={layer_weights}: at least one must not be 0.")
        if layer_weights is not None and len(layer_weights) != num_layers + 1:
            raise UserError(
                f"gnn.layer_weights={layer_weights}: expected {num_layers + 1} weights, one for the items themselves "
                f"and one for each of gnn.num_layers={num_layers}."
            )
        self.layer_weights = layer_weights or [1 / (num_layers + 1)] * (num_layers + 1)
        self.adjacency, self.edge_dropout = adjacency, edge_dropout
        if edge_dropout:
            adjacency.number_pairs()
        self.nodes = UserNodes(adjacency.size, num_items, embedding_dim)

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        drop = self.training and self.edge_dropout > 0
        adjacency = self.adjacency.drop_edges(self.edge_dropout) if drop else self.adjacency
        return propagated(self.nodes(items), adjacency, self.layer_weights)[: len(items)]
