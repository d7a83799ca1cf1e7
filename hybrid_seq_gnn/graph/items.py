"""The weighted graph of items."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.graph.normalize import symmetric
from hybrid_seq_gnn.graph.sparse import SparseMatrix


@dataclass(frozen=True)
class ItemGraph:
    """Edges between items, by source and then target.

    Attributes:
        num_items: items without padding; nodes are 0..num_items, and 0 (padding) has no edge.
        source, target: (E,) int64 items; a symmetric graph holds both directions.
        weight: (E,) float64, positive.
    """

    num_items: int
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def adjacency(self) -> SparseMatrix:
        """D^-1/2 A D^-1/2 with the weighted degree."""
        value = symmetric(self.source, self.target, self.weight, self.num_items + 1)
        return SparseMatrix(self.source, self.target, value, self.num_items + 1)

    def statistics(self) -> dict[str, int | float | dict[str, float]]:
        """Nodes, edges (each direction counts), density, isolated items, and quantiles of the number of neighbours."""
        degree = np.bincount(self.source, minlength=self.num_items + 1)[1:]
        quantiles = np.quantile(degree, [0.0, 0.25, 0.5, 0.75, 1.0]) if self.num_items else np.zeros(5)
        return {
            "nodes": self.num_items,
            "edges": len(self.source),
            "density": len(self.source) / max(self.num_items, 1) ** 2,
            "isolated_items": int((degree == 0).sum()),
            "degree": dict(zip(("min", "q25", "median", "q75", "max"), quantiles.tolist(), strict=True)),
        }
