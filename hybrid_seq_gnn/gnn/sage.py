"""GraphSAGE: the mean of the neighbours in the item graph.

Source: Hamilton et al. 2017, "Inductive Representation Learning on Large Graphs" (arXiv:1706.02216); SAGEConv of
torch-geometric, all neighbours, no sampling.
"""

from hybrid_seq_gnn.gnn.convolutions import Convolutions, torch_geometric_nn
from hybrid_seq_gnn.graph.sparse import SparseMatrix


class SAGE(Convolutions):
    """`num_layers` layers of SAGEConv with mean aggregation; see `Convolutions`.

    Args:
        num_items, embedding_dim, adjacency: see `Convolutions`.
        num_layers: layers.
        dropout: of a layer's output, in [0, 1).
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
        dropout: float = 0.1,
        residual: bool = True,
    ) -> None:
        conv = torch_geometric_nn().SAGEConv
        super().__init__(
            num_items,
            embedding_dim,
            adjacency,
            num_layers,
            dropout,
            residual,
            lambda: conv(embedding_dim, embedding_dim),
        )
