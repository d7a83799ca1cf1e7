"""Embeddings of user nodes, which belong to the graph network."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class UserNodes(nn.Module):
    """Appends user embeddings to the item table if the graph has user nodes.

    Args:
        nodes: number of nodes of the graph, with padding.
        num_items: items without padding.
        embedding_dim: D.

    Shape:
        items: (N, D). Returns (nodes, D).
    """

    def __init__(self, nodes: int, num_items: int, embedding_dim: int) -> None:
        super().__init__()
        users = nodes - num_items - 1
        self.users = nn.Parameter(torch.randn(users, embedding_dim) * 0.02) if users else None

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "nodes D"]:
        """Concatenate items and users."""
        return items if self.users is None else torch.cat([items, self.users])
