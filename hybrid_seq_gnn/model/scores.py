"""Scores of all items for M rows, kept as a product of two small matrices until somebody needs them."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy


@dataclass(frozen=True)
class DotScores:
    """Scores `query @ table.T`; column 0 is padding and never wins.

    Attributes:
        query: (M, D) what each row asks for.
        table: (N, D) items, row 0 is padding.
        alpha: (M,) weight of the sequence side that made each row, None where nothing is mixed.
    """

    query: Float[Tensor, "M D"]
    table: Float[Tensor, "N D"]
    alpha: Float[Tensor, "M"] | None = None

    def all(self) -> Float[Tensor, "M N"]:
        """Every score. Cost: M * N * D, memory M * N."""
        return self.query @ self.table.T

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """The scores of K items a row. Memory: M * K * D."""
        return (self.table[items] @ self.query.unsqueeze(-1)).squeeze(-1)

    def cross_entropy(self, targets: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        """Mean over rows of -log softmax over all items at the target; padding has no share."""
        return linear_cross_entropy(self.query, self.table[1:], targets - 1)
