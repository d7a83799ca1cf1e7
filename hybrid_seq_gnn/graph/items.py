"""The weighted graph of items."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from hybrid_seq_gnn.data.cache import load_or_make
from hybrid_seq_gnn.graph.normalize import entries, symmetric
from hybrid_seq_gnn.graph.sparse import SparseMatrix


@dataclass(frozen=True)
class ItemGraph:
    """Edges between nodes, sorted by source and then target. Node 0 is padding and has no edge.

    Attributes:
        num_items: items without padding, which are nodes 1..num_items.
        num_users: users if they are nodes too: num_items + 1 .. num_items + num_users.
        source, target: (E,) int64 nodes; an undirected graph holds both directions.
        weight: (E,) float64, positive.
        top_k: the heaviest edges kept of each item; None if all are.
    """

    num_items: int
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    num_users: int = 0
    top_k: int | None = None

    @classmethod
    def of(cls, weights: csr_array, top_k: int | None) -> "ItemGraph":
        """The graph of a matrix of items, with padding."""
        return cls(weights.shape[0] - 1, *entries(weights), top_k=top_k)

    @classmethod
    def cached(cls, folder: Path | None, key: str, build: Callable[[], "ItemGraph"]) -> "ItemGraph":
        """The graph that `build` returns, from the folder if an earlier run stored it there."""

        def arrays() -> dict[str, np.ndarray]:
            graph = build()
            sizes = np.array([graph.num_items, graph.num_users, graph.top_k or 0])
            return {"source": graph.source, "target": graph.target, "weight": graph.weight, "sizes": sizes}

        found = load_or_make(folder, key, arrays)
        num_items, num_users, top_k = found["sizes"].tolist()
        return cls(num_items, found["source"], found["target"], found["weight"], num_users, top_k or None)

    @property
    def nodes(self) -> int:
        """Padding, items and users."""
        return 1 + self.num_items + self.num_users

    def adjacency(self) -> SparseMatrix:
        """D_out^-1/2 A D_in^-1/2 with weighted degrees; in an undirected graph D_out = D_in."""
        value = symmetric(self.source, self.target, self.weight, self.nodes)
        return SparseMatrix(self.source, self.target, value, self.nodes)

    def statistics(self) -> dict[str, int | float | dict[str, float]]:
        """Nodes, edges (both directions), density, isolated items, quantiles of the number of neighbours, top_k."""
        nodes = self.nodes - 1
        neighbours = np.bincount(self.source, minlength=self.nodes)[1:]
        degree = neighbours + np.bincount(self.target, minlength=self.nodes)[1:]
        quantiles = np.quantile(neighbours, [0.0, 0.25, 0.5, 0.75, 1.0]) if nodes else np.zeros(5)
        return {
            "nodes": nodes,
            "edges": len(self.source),
            "density": len(self.source) / max(nodes, 1) ** 2,
            "isolated_items": int((degree[: self.num_items] == 0).sum()),
            "degree": dict(zip(("min", "q25", "median", "q75", "max"), quantiles.tolist(), strict=True)),
            **({} if self.top_k is None else {"top_k": self.top_k}),
        }
