"""Base classes of graph networks with torch-geometric layers: residual layers over the edges of the item graph."""

import warnings
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.gnn.nodes import UserNodes
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.limits import AtLeast1, Limited, Share


class Convolutions(Limited, nn.Module):
    """K layers x <- x + dropout(elu(conv(x, edges))), the last one without elu; padding stays zero.

    A subclass sets `kind`, the name of a layer in torch_geometric.nn from D to D.

    Args:
        num_items: items without padding.
        embedding_dim: D, width of the input and of every layer.
        adjacency: the graph; its edge weights are not used.
        num_layers: K.
        dropout: share of activations set to zero in training.
        residual: add a layer's input to its output.

    Shape:
        items: (N, D). Returns (N, D).
    """

    kind: ClassVar[str]
    layer_arguments: dict[str, Any] = {}  # noqa: RUF012  further arguments of the layer

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        adjacency: SparseMatrix,
        *,
        num_layers: AtLeast1 = 1,
        dropout: Share = 0.1,
        residual: bool = True,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch_geometric's own deprecation warnings
            import torch_geometric.nn  # imported here because it takes seconds

        conv, arguments = getattr(torch_geometric.nn, self.kind), self.layer_arguments
        self.nodes = UserNodes(adjacency.size, num_items, embedding_dim)
        self.layers = nn.ModuleList(conv(embedding_dim, embedding_dim, **arguments) for _ in range(num_layers))
        self.dropout, self.residual = dropout, residual
        self.adjacency = adjacency  # saved with the weights; its edges follow from it
        source, target = adjacency.edges()
        # messages go from the first row of edge_index to the second: an item receives them from its neighbours
        self.register_buffer("edge_index", torch.stack([target, source]), persistent=False)
        real = torch.arange(adjacency.size) > 0
        self.register_buffer("real", real.unsqueeze(1), persistent=False)

    edge_index: Tensor
    real: Tensor

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        x = self.nodes(items)
        for k, layer in enumerate(self.layers, start=1):
            out = layer(x, self.edge_index)
            if k < len(self.layers):
                out = F.elu(out)
            out = F.dropout(out, self.dropout, self.training)
            x = (x + out if self.residual else out) * self.real
        smoothed: Tensor = x[: len(items)]
        return smoothed


class Attention(Convolutions):
    """Attention layers with averaged heads (concat = False).

    Args:
        num_items, embedding_dim, adjacency, num_layers, residual: see `Convolutions`.
        heads: attention heads per layer; their mean is the output.
        dropout: of attention weights and of a layer's output.
    """

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        adjacency: SparseMatrix,
        *,
        num_layers: AtLeast1 = 1,
        heads: AtLeast1 = 4,
        dropout: Share = 0.1,
        residual: bool = True,
    ) -> None:
        self.layer_arguments = {"heads": heads, "concat": False, "dropout": dropout}
        super().__init__(num_items, embedding_dim, adjacency, num_layers=num_layers, dropout=dropout, residual=residual)
