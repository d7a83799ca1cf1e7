"""The directed item graph as compact rows that move with a model: what followed each item, and how often."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.normalize import heaviest
from hybrid_seq_gnn.graph.pairs import blocks

MOST_EDGES = 1 << 25  # that are kept where nobody says how many
ROWS_KEPT = 2  # of the runs of a sweep, which share a process

Block = tuple[np.ndarray, np.ndarray, np.ndarray]  # i, j, weight of some edges


@dataclass(frozen=True)
class Rows:
    """What `Successors` keeps, as arrays."""

    start: np.ndarray
    then: np.ndarray
    count: np.ndarray
    total: np.ndarray
    top_k: int | None


@dataclass(frozen=True)
class Edges:
    """The edges that lead from (R, L) items.

    Attributes:
        edge: (G,) which of the E.
        item: (G,) the place among the R * L items from which it leads.
        cell: (G,) row * N + j, where it leads to in (R, N).
    """

    edge: Int[Tensor, "G"]
    item: Int[Tensor, "G"]
    cell: Int[Tensor, "G"]


class Successors(nn.Module):
    """How often item j followed item i, in the training part of histories.

        C_ij = sum over pairs of events s < t <= s + window with items i != j of decay ** (t - s - 1)
        R_i  = sum_j C_ij

    Pairs are counted and pruned for some items i at a time, so memory is bounded in events and items.

    Args:
        sequences, split: the training part is counted.
        window, decay: see above.
        top_k: keep the heaviest so many j of each i; None keeps all, or where they are more than MOST_EDGES, as many
            of each item as fit.

    Attributes:
        top_k: how many are kept in the end, None if all are.
        start: (N + 1,) the edges of item i are those from start[i] to start[i + 1].
        then: (E,) the item j of each edge, ascending for each i. count: (E,) C_ij. total: (N,) R_i of what is kept.

    Shape:
        N items with padding, which has no edge. 8 bytes an edge.
    """

    start: Tensor
    then: Tensor
    count: Tensor
    total: Tensor

    def __init__(self, sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None = None) -> None:
        super().__init__()
        self.size = sequences.num_items + 1
        rows = cached_rows(sequences, split, window, decay, top_k, MOST_EDGES)
        self.top_k = rows.top_k
        for name in ("start", "then", "count", "total"):
            self.register_buffer(name, torch.tensor(getattr(rows, name)))  # a copy: others share the rows
        self._key: Tensor | None = None

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The mean of what followed each item: sum_j C_ij / R_i items_j."""
        share = self.count / self.total.clamp(min=1e-12).repeat_interleave(self.start.diff())
        ends = self.start.to(self.then.dtype)
        return F.embedding_bag(
            self.then, items, ends, per_sample_weights=share.to(items.dtype), mode="sum", include_last_offset=True
        )

    def degree(self, items: Int[Tensor, "R L"]) -> Int[Tensor, "R L"]:
        """How many edges lead from each item."""
        return self.start[items + 1] - self.start[items]

    def count_of(self, items: Int[Tensor, "R L"], targets: Int[Tensor, "R"]) -> Float[Tensor, "R L"]:
        """C[item, target] of each row. Cost: R * L * log E."""
        if self._key is None or self._key.device != self.then.device:  # i * N + j of every edge, ascending
            every = torch.arange(self.size, device=self.then.device)
            self._key = every.repeat_interleave(self.start.diff()) * self.size + self.then
        if not len(self._key):
            return self.total.new_zeros(items.shape)
        key = items * self.size + targets.unsqueeze(1)
        place = torch.searchsorted(self._key, key).clamp_(max=len(self._key) - 1)
        return torch.where(self._key[place] == key, self.count[place], 0.0)

    def edges_of(self, items: Int[Tensor, "R L"], many: int) -> Edges:
        """The edges that lead from items, of which there are `many`."""
        degree = self.degree(items).flatten()
        item = torch.arange(len(degree), device=items.device).repeat_interleave(degree, output_size=many)
        offset = self.start[items.flatten()] - (degree.cumsum(0) - degree)
        edge = torch.arange(many, device=items.device) + offset.index_select(0, item)
        row = torch.arange(len(items), device=items.device).repeat_interleave(items.shape[1]) * self.size
        return Edges(edge, item, row.index_select(0, item) + self.then.index_select(0, edge))

    def add(
        self, onto: Float[Tensor, "R N"], edges: Edges, value: Float[Tensor, "E"], weight: Float[Tensor, "R L"]
    ) -> Float[Tensor, "R N"]:
        """onto[r, j] += weight[r, l] * value of every edge from item l of row r to j. In place; cost: the edges."""
        added = value.index_select(0, edges.edge) * weight.flatten().index_select(0, edges.item)
        onto.view(-1).index_add_(0, edges.cell, added)
        return onto


_kept: dict[tuple[str, int, float, int | None, int], Rows] = {}


def cached_rows(sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None, most: int) -> Rows:
    """The rows, counted once for all runs of this process that want the same."""
    key = split.hash(sequences), window, decay, top_k, most
    if key not in _kept:
        while len(_kept) >= ROWS_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = count_rows(sequences, split, window, decay, top_k, most)
    return _kept[key]


def count_rows(sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None, most: int) -> Rows:
    """The rows, counted and pruned for some items at a time."""
    found: list[Block] = []
    for first, then, weight, _ in blocks(sequences, split, window, decay):
        found.append(prune((first.astype(np.int32), then.astype(np.int32), weight.astype(np.float32)), top_k))
        if top_k is None and sum(len(block[0]) for block in found) > most:
            top_k = max(1, most // sequences.num_items)
            found = [prune(block, top_k) for block in found]
    found = found or [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
    first, then, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    size = sequences.num_items + 1
    total = np.bincount(first, weights=weight, minlength=size).astype(np.float32)
    return Rows(np.searchsorted(first, np.arange(size + 1)), then, weight, total, top_k)


def prune(block: Block, top_k: int | None) -> Block:
    """The heaviest `top_k` edges of each item; all if that is None."""
    if top_k is None:
        return block
    keep = heaviest(*block, top_k)
    first, then, weight = block
    return first[keep], then[keep], weight[keep]
