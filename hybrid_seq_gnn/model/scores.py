"""Scores of all items for M rows, kept factored until somebody needs them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy, linear_log_probability


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

    def cross_entropy(self, targets: Int[Tensor, "M"], smoothing: float = 0.0) -> Float[Tensor, ""]:
        """Mean over rows of -log softmax over all items at the target; padding has no share."""
        return linear_cross_entropy(self.query, self.table[1:], targets - 1, smoothing)

    def log_probability(self, targets: Int[Tensor, "M"]) -> Float[Tensor, "M"]:
        """log softmax over all items at the target, row by row."""
        return linear_log_probability(self.query, self.table[1:], targets - 1)

    def log_probabilities(self) -> Float[Tensor, "M N"]:
        """log softmax over all items; padding has -inf."""
        scores = self.all()
        scores[:, 0] = -torch.inf
        return F.log_softmax(scores, dim=1)

    def scaled(self, temperature: float) -> "DotScores":
        """Scores divided by a temperature."""
        return DotScores(self.query / temperature, self.table, self.alpha)


def compared(
    query: Float[Tensor, "M D"],
    table: Float[Tensor, "N D"],
    cosine: float | None,
    alpha: Float[Tensor, "M"] | None = None,
) -> DotScores:
    """Dot products of queries and items; with a temperature `cosine`, cos(query, item) / cosine instead."""
    if cosine is None:
        return DotScores(query, table, alpha)
    return DotScores(F.normalize(query, dim=1) / cosine, F.normalize(table, dim=1), alpha)


@runtime_checkable
class Distribution(Protocol):
    """A distribution of the next item at M rows."""

    def log_probability(self, targets: Int[Tensor, "M"]) -> Float[Tensor, "M"]:
        """Of one item a row."""
        ...

    def log_probabilities(self) -> Float[Tensor, "M N"]:
        """Of every item; padding has -inf."""
        ...


@dataclass(frozen=True)
class MixtureScores:
    """log of a mixture of two distributions of the next item.

        p = alpha * p_seq + (1 - alpha) * p_graph

    Attributes:
        seq, graph: the two sides.
        alpha: (M,) weight of the sequence side.
        states: (M, D) what the sequence side knew there, which a fusion may look at.
    """

    seq: Distribution
    graph: Distribution
    alpha: Float[Tensor, "M"]
    states: Float[Tensor, "M D"]

    def mix(self, seq: Tensor, graph: Tensor) -> Tensor:
        """log(alpha * exp(seq) + (1 - alpha) * exp(graph)), stable."""
        alpha = self.alpha.view(-1, *[1] * (seq.dim() - 1))
        return torch.logaddexp(alpha.log() + seq, torch.log1p(-alpha) + graph)

    def all(self) -> Float[Tensor, "M N"]:
        """log p of every item; padding has -inf."""
        return self.mix(self.seq.log_probabilities(), self.graph.log_probabilities())

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """log p of K items a row. Memory: M * N, since the softmax wants all items."""
        return self.all().gather(1, items)

    def cross_entropy(self, targets: Int[Tensor, "M"], smoothing: float = 0.0) -> Float[Tensor, ""]:
        """Mean over rows of -log p(target): the mixture's own likelihood.

        Raises:
            ValueError: label smoothing, which has no meaning for a mixture.
        """
        if smoothing:
            raise ValueError(f"loss.label_smoothing={smoothing} does not go with fusion.level=score; set it to 0.")
        return -self.mix(self.seq.log_probability(targets), self.graph.log_probability(targets)).mean()
