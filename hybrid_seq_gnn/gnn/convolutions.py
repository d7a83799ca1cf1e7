"""What the graph networks of torch-geometric share here: residual layers over the edges of the item graph."""

import warnings
from collections.abc import Callable
from types import ModuleType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.gnn.nodes import UserNodes
from hybrid_seq_gnn.graph.sparse import SparseMatrix


def torch_geometric_nn() -> ModuleType:
    """torch_geometric.nn, imported late: it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        import torch_geometric.nn

    module: ModuleType = torch_geometric.nn
    return module


class Convolutions(nn.Module):
    """K layers x <- x + dropout(elu(conv(x, edges))), the last one without elu; padding stays zero.

    Args:
        num_items: items without padding.
        embedding_dim: D, width of the input and of every layer.
        adjacency: the graph; only its edges matter, their weights do not.
        num_layers: K.
        dropout: share of activations set to zero in training, in [0, 1).
        residual: add a layer's input to its output.
        make: a layer of torch-geometric, from D to D.

    Shape:
        items: (N, D). Returns (N, D).

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        adjacency: SparseMatrix,
        num_layers: int,
        dropout: float,
        residual: bool,
        make: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"gnn.num_layers={num_layers}: must be 1 or more; gnn=none has no layers.")
        if not 0 <= dropout < 1:
            raise ValueError(f"gnn.dropout={dropout}: must lie in [0, 1).")
        self.nodes = UserNodes(adjacency.size, num_items, embedding_dim)
        self.layers = nn.ModuleList(make() for _ in range(num_layers))
        self.dropout, self.residual = dropout, residual
        source, target = adjacency.edges()
        # messages run along edge_index from its first row to its second: an item hears its neighbours
        self.register_buffer("edge_index", torch.stack([target, source]), persistent=False)
        real = torch.arange(adjacency.size) > 0
        self.register_buffer("real", real.unsqueeze(1), persistent=False)

    edge_index: Tensor
    real: Tensor

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The formula above, for the items."""
        x = self.nodes(items)
        for k, layer in enumerate(self.layers, start=1):
            out = layer(x, self.edge_index)
            if k < len(self.layers):
                out = F.elu(out)
            out = F.dropout(out, self.dropout, self.training)
            x = (x + out if self.residual else out) * self.real
        smoothed: Tensor = x[: len(items)]
        return smoothed
