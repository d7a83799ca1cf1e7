"""GAT: attention over the neighbours in the item graph.

Source: Velickovic et al. 2018, "Graph Attention Networks" (arXiv:1710.10903); GATConv of torch-geometric.
"""

from hybrid_seq_gnn.gnn.convolutions import Convolutions, torch_geometric_nn
from hybrid_seq_gnn.graph.sparse import SparseMatrix


class GAT(Convolutions):
    """`num_layers` layers of GATConv, whose heads are averaged (concat = False); see `Convolutions`.

    Args:
        num_items, embedding_dim, adjacency: see `Convolutions`.
        num_layers: layers.
        heads: attention heads a layer; their mean is the output.
        dropout: of attention weights and of a layer's output, in [0, 1).
        residual: add a layer's input to its output.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        adjacency: SparseMatrix,
        *,
        num_layers: int = 1,
        heads: int = 4,
        dropout: float = 0.1,
        residual: bool = True,
    ) -> None:
        if heads < 1:
            raise ValueError(f"gnn.heads={heads}: must be 1 or more.")
        conv = torch_geometric_nn().GATConv
        super().__init__(
            num_items,
            embedding_dim,
            adjacency,
            num_layers,
            dropout,
            residual,
            lambda: conv(embedding_dim, embedding_dim, heads=heads, concat=False, dropout=dropout),
        )
