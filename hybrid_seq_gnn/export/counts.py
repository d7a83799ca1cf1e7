"""Sums over the edges that leave a user's last items, in a form that can be traced."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.graph.successors import Edges
from hybrid_seq_gnn.model.counts import DenseScores, history_rows
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.model.markov import POPULARITY, Markov
from hybrid_seq_gnn.model.memory_scores import MemoryScores


def recent_items(history: Int[Tensor, "1 T"], last: int) -> Int[Tensor, "1 last"]:
    """The last items, latest first; 0 before the first event."""
    return F.pad(history, (last, 0))[:, -last:].flip(1)


def edges_of(start: Int[Tensor, "S"], then: Int[Tensor, "E"], items: Int[Tensor, "K"]) -> Edges:
    """The G edges that leave K items, one item after the other; see `Successors.edges_of`. Cost: G."""
    degree = start[items + 1] - start[items]
    end = degree.cumsum(0)
    place = torch.arange(end[-1].item())
    turns = torch.zeros(place.shape[0] + 1, dtype=torch.int64).index_add(0, end, torch.ones_like(end))
    item = turns.cumsum(0)[: place.shape[0]]
    edge = place + (start[items] - end + degree).index_select(0, item)
    return Edges(edge, item, then.index_select(0, edge).long())


class OfOneHistory(MemoryScores):
    """A memory's distribution after the latest event of one history."""

    def probabilities(self, chunk: slice = slice(None)) -> Float[Tensor, "rows N"]:
        assert isinstance(self.memory, Evidence)
        recent = recent_items(self.batch.items, self.memory.last)
        edges = edges_of(self.memory.successors.start, self.memory.successors.then, recent[0])
        return F.pad(self.memory.distribution(recent, edges, None)[:, 1:], (1, 0))


class PlainSum(nn.Module):
    """`EASE` or `ItemKNN` as a product with the row of all items."""

    matrix: Tensor

    def __init__(self, model: EASE | ItemKNN) -> None:
        super().__init__()
        self.register_buffer("matrix", model.weights if isinstance(model, EASE) else model.similar)
        self.recency = model.recency

    def next_item_scores(self, batch: Batch) -> DenseScores:
        return DenseScores(history_rows(batch, len(self.matrix), self.recency) @ self.matrix)


class PlainMarkov(nn.Module):
    """`Markov` by the edges of the last items; an item that occurs twice counts once, at its latest place.

    Shape:
        E edges, from each item: start (N + 1,), then (E,), share (E,).
    """

    start: Tensor
    then: Tensor
    share: Tensor
    popularity: Tensor
    recency: Tensor

    def __init__(self, model: Markov) -> None:
        super().__init__()
        stored = dict(model.follows.named_buffers())
        prefix = "back_" if "back_first" in stored else ""  # a symmetric matrix is its own transpose
        for name, entry in {"start": "first", "then": "column", "share": "value"}.items():
            self.register_buffer(name, stored[prefix + entry])
        self.register_buffer("popularity", POPULARITY * model.count)
        self.register_buffer("recency", model.recency ** torch.arange(model.max_length, dtype=torch.float32))

    def next_item_scores(self, batch: Batch) -> DenseScores:
        recent = recent_items(batch.items, len(self.recency))[0]
        later = (recent.unsqueeze(1) == recent).float().tril(-1).sum(1) > 0
        weight = torch.where(later, 0.0, self.recency)
        edges = edges_of(self.start, self.then, recent)
        added = self.share.index_select(0, edges.edge) * weight.index_select(0, edges.item)
        return DenseScores(self.popularity.index_add(0, edges.cell, added).unsqueeze(0))
