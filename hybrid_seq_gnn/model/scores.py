"""Scores of all items for M rows, stored in factored form and computed on demand."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.seen import Excluded
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.model.chosen_scores import chosen_scores
from hybrid_seq_gnn.model.item_table import ItemTable
from hybrid_seq_gnn.model.linear_cross_entropy import Extra, linear_cross_entropy, linear_mixture_loss
from hybrid_seq_gnn.model.memory_scores import MemoryScores


@dataclass(frozen=True)
class DotScores:
    """Scores `query @ table.T + bias`; column 0 is padding, which rankings and losses ignore.

    Attributes:
        query: (M, D) query of each row.
        table: (N, D) items, row 0 is padding.
        alpha: (M,) weight of the sequence side in each row, None if nothing is mixed.
        owner: the module whose weight `table` is, or None.
        bias: (N,) added to all rows, without gradient; None adds nothing.
    """

    query: Float[Tensor, "M D"]
    table: Float[Tensor, "N D"]
    alpha: Float[Tensor, "M"] | None = None
    owner: ItemTable | None = None
    bias: Float[Tensor, "N"] | None = None

    def all(self) -> Float[Tensor, "M N"]:
        """All scores. Cost: M * N * D, memory M * N."""
        if self.bias is None:
            return self.query @ self.table.T
        return torch.addmm(self.bias, self.query, self.table.T)

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """Scores of K items per row."""
        scores = chosen_scores(self.query, self.table, items, self.owner)
        return scores if self.bias is None else scores + self.bias[items]

    def cross_entropy(
        self, targets: Int[Tensor, "M"], smoothing: float = 0.0, excluded: Excluded | None = None
    ) -> Float[Tensor, ""]:
        """Mean over rows of -log softmax(scores)[target], over all items but padding and those excluded."""
        return linear_cross_entropy(self.query, self.table, targets, smoothing, excluded=excluded, bias=self.bias)

    def log_probabilities(self) -> Float[Tensor, "M N"]:
        """log softmax over all items; -inf for padding."""
        scores = self.all()
        scores[:, 0] = -torch.inf
        return F.log_softmax(scores, dim=1)

    def scaled(self, temperature: float) -> "DotScores":
        if temperature == 1:
            return self
        bias = None if self.bias is None else self.bias / temperature
        return replace(self, query=self.query / temperature, bias=bias)


def item_scores(
    query: Float[Tensor, "M D"],
    table: Float[Tensor, "N D"],
    cosine: float | None,
    bias: Float[Tensor, "N"] | None = None,
) -> DotScores:
    """Dot products of queries and items; with a temperature `cosine`, cos(query, item) / cosine instead."""
    if cosine is not None:
        query, table = F.normalize(query, dim=1) / cosine, F.normalize(table, dim=1)
    return DotScores(query, table, bias=bias)


@dataclass(frozen=True)
class MixtureScores:
    """A mixture of two distributions of the next item.

        linear:     score_j = log(alpha p_seq(j) + (1 - alpha) p_graph(j))
        geometric:  score_j = alpha log p_seq(j) + (1 - alpha) log p_graph(j)    up to a constant of the row

    A linear score is a log-probability. A geometric score needs a log_softmax to become one, which is done only for a
    likelihood: a constant per row does not change ranks, so for ranking neither the mixture nor its sides are
    normalised. With alpha = 1 the geometric scores equal those of the sequence side to the last bit, with alpha = 0
    those of the graph side. If both sides are dot products, the geometric mixture is one too:

        score_j = [alpha q_seq, (1 - alpha) q_graph] . [T_seq[j], T_graph[j]]

    Attributes:
        seq, graph: the two sides; that of the graph has no bias.
        alpha: (M,) weight of the sequence side.
        states: (M, D) states of the sequence side, which a fusion may use.
        geometric: whether the mixture is geometric or linear.
    """

    seq: DotScores
    graph: DotScores | MemoryScores
    alpha: Float[Tensor, "M"]
    states: Float[Tensor, "M D"]
    geometric: bool

    def __post_init__(self) -> None:
        assert isinstance(self.graph, MemoryScores) or self.graph.bias is None

    def mix(self, seq: Tensor, graph: Tensor) -> Tensor:
        """Mix log-probabilities (linear, in a stable way) or finite scores (geometric)."""
        alpha = self.alpha.view(-1, *[1] * (seq.dim() - 1))
        if self.geometric:
            return alpha * seq + (1 - alpha) * graph
        tiny = torch.finfo(alpha.dtype).tiny  # log 0 has no gradient
        return torch.logaddexp(alpha.clamp(min=tiny).log() + seq, (1 - alpha).clamp(min=tiny).log() + graph)

    def sides(self) -> tuple[Float[Tensor, "M N"], Float[Tensor, "M N"]]:
        """The inputs of `mix` for all items. In a geometric mixture, ignore the scores of padding."""
        if self.geometric:
            return self.seq.all(), self.graph.all()
        return self.seq.log_probabilities(), self.graph.log_probabilities()

    def all(self) -> Float[Tensor, "M N"]:
        """Scores of all items; -inf for padding."""
        seq, graph = self.sides()
        return F.pad(self.mix(seq[:, 1:], graph[:, 1:]), (1, 0), value=-torch.inf)  # log 0 has no gradient

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """Scores of K items per row. Memory: linear M * N, since the softmax needs all items; geometric M * K * D."""
        not_padding = items.clamp(min=1)  # the log 0 of padding has no gradient
        if self.geometric:
            sides = self.seq.at(not_padding), self.graph.at(not_padding)
        else:
            seq, graph = self.sides()
            sides = seq.gather(1, not_padding), graph.gather(1, not_padding)
        return self.mix(*sides).masked_fill(items == 0, -torch.inf)

    def scaled(self, temperature: float) -> "MixtureScores":
        """The scores themselves.

        Raises:
            UserError: temperature is not 1, which is undefined for a mixture.
        """
        if temperature != 1:
            raise UserError(f"loss.temperature={temperature} does not work with fusion.level=score; leave it at 1.")
        return self

    def cross_entropy(
        self, targets: Int[Tensor, "M"], smoothing: float = 0.0, excluded: Excluded | None = None
    ) -> Float[Tensor, ""]:
        """Mean over rows of -log p(target) of the mixture. Memory: a chunk of rows times N.

        Args:
            excluded: no candidates in a geometric mixture; in a linear one, in each softmax, and never in a memory.

        Raises:
            UserError: label smoothing, which is undefined for a mixture.
        """
        if smoothing:
            raise UserError(f"loss.label_smoothing={smoothing} does not work with fusion.level=score; set it to 0.")
        seq, graph, alpha = self.seq, self.graph, self.alpha.to(self.seq.table.dtype)
        query, table, bias = seq.query, seq.table, seq.bias
        if not self.geometric:
            if isinstance(graph, DotScores):
                sides = (query, table, graph.query, graph.table)
                return linear_mixture_loss(alpha, targets, None, *sides, excluded=excluded, bias=bias)
            other = graph.log_probability(targets)
            return linear_mixture_loss(alpha, targets, other, query, table, excluded=excluded, bias=bias)
        query, extra = alpha[:, None] * query, None
        if isinstance(graph, DotScores):
            query = torch.cat([query, (1 - alpha)[:, None] * graph.query], dim=1)
            table = torch.cat([table, graph.table], dim=1)
        else:
            extra = Extra(1 - alpha, graph.all)
        weight = None if bias is None else alpha[:, None]
        return linear_cross_entropy(
            query, table, targets, extra=extra, excluded=excluded, bias=bias, bias_weight=weight
        )
