"""The directed item graph as compact rows: which items followed each item, and how often."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.sparse import csr_array, vstack
from torch import Tensor, nn

from hybrid_seq_gnn.data.cache import FORMAT, get_or_make, load_or_make
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.normalize import entries, heaviest
from hybrid_seq_gnn.graph.pairs import blocks

MAX_EDGES = 1 << 25  # limit on the number of edges if top_k is not set
MOST_CELLS = 1 << 24  # of a dense matrix, 64 MiB
LEAST_FILLED = 1 / 50  # share of its cells that are edges, above which it is faster than the edges
MAX_CACHED = 2  # sets of rows cached for the runs of a sweep, which share a process


@dataclass(frozen=True)
class Rows:
    """The buffers of `Successors`, as arrays."""

    start: np.ndarray
    then: np.ndarray
    count: np.ndarray
    total: np.ndarray
    top_k: int | None


@dataclass(frozen=True)
class Edges:
    """The outgoing edges of (R, L) items.

    Attributes:
        edge: (G,) index among all E edges.
        item: (G,) index of its source among the R * L items.
        cell: (G,) row * N + j, index of its target in a flat (R, N).
    """

    edge: Int[Tensor, "G"]
    item: Int[Tensor, "G"]
    cell: Int[Tensor, "G"]


class Successors(nn.Module):
    """How often item j followed item i, in the training part of histories.

        C_ij = sum over pairs of events s < t <= s + window with items i != j of decay ** (t - s - 1)
        R_i  = sum_j C_ij

    Pairs are counted and pruned in blocks of items i, so memory is bounded in events and items.

    Args:
        sequences, split: only the training part is counted.
        window, decay: see above.
        top_k: number of heaviest j kept for each i. None keeps all; if they are more than MAX_EDGES, it keeps as many
            per item as fit.

    Attributes:
        top_k: the number actually kept per item, None if all are.
        start: (N + 1,) the edges of item i are those from start[i] to start[i + 1].
        then: (E,) the item j of each edge, ascending for each i. count: (E,) C_ij. total: (N,) R_i over kept edges.

    Shape:
        N items with padding, which has no edge. 8 bytes per edge.
    """

    start: Tensor
    then: Tensor
    count: Tensor
    total: Tensor

    def __init__(self, sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None = None) -> None:
        super().__init__()
        self.size = sequences.num_items + 1
        rows = cached_rows(sequences, split, window, decay, top_k, MAX_EDGES)
        self.top_k = rows.top_k
        for name in ("start", "then", "count", "total"):
            self.register_buffer(name, torch.tensor(getattr(rows, name)))  # a copy: the cached rows are shared
        self._key: Tensor | None
        self._dense: dict[str, Tensor]
        self.forget()

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The weighted mean of the items that followed each item: sum_j C_ij / R_i items_j."""
        share = self.count / self.total.clamp(min=1e-12).repeat_interleave(self.start.diff())
        offsets = self.start.to(self.then.dtype)
        return F.embedding_bag(
            self.then, items, offsets, per_sample_weights=share.to(items.dtype), mode="sum", include_last_offset=True
        )

    def degree(self, items: Int[Tensor, "R L"]) -> Int[Tensor, "R L"]:
        """Number of outgoing edges of each item."""
        return self.start[items + 1] - self.start[items]

    def count_of(self, items: Int[Tensor, "R L"], targets: Int[Tensor, "R"]) -> Float[Tensor, "R L"]:
        """C[item, target] for the items and the target of each row. Cost: R * L * log E."""
        if self._key is None or self._key.device != self.then.device:  # i * N + j of every edge, ascending
            nodes = torch.arange(self.size, device=self.then.device)
            self._key = nodes.repeat_interleave(self.start.diff()) * self.size + self.then
        if not len(self._key):
            return self.total.new_zeros(items.shape)
        key = items * self.size + targets.unsqueeze(1)
        place = torch.searchsorted(self._key, key).clamp_(max=len(self._key) - 1)
        return torch.where(self._key[place] == key, self.count[place], 0.0)

    def edges_of(self, items: Int[Tensor, "R L"], num_edges: int) -> Edges:
        """The `num_edges` outgoing edges of the items."""
        degree = self.degree(items).flatten()
        item = torch.arange(len(degree), device=items.device).repeat_interleave(degree, output_size=num_edges)
        offset = self.start[items.flatten()] - (degree.cumsum(0) - degree)
        edge = torch.arange(num_edges, device=items.device) + offset.index_select(0, item)
        row = torch.arange(len(items), device=items.device).repeat_interleave(items.shape[1]) * self.size
        return Edges(edge, item, row.index_select(0, item) + self.then.index_select(0, edge))

    @property
    def fills_a_matrix(self) -> bool:
        """Whether so many pairs of items are edges that sums over rows of a dense matrix are faster. Memory: N * N."""
        cells = self.size * self.size
        return cells <= MOST_CELLS and len(self.then) > LEAST_FILLED * cells

    def sum_rows(
        self, items: Int[Tensor, "R L"], name: str, value: Float[Tensor, "E"], weight: Float[Tensor, "R L"]
    ) -> Float[Tensor, "R N"]:
        """What `add` adds to zeros, from a dense matrix of the values, which is kept under a name. Cost: R * L * N."""
        matrix = self._dense.get(name)
        if matrix is None or matrix.device != value.device or matrix.dtype != weight.dtype:
            row = torch.arange(self.size, device=value.device).repeat_interleave(self.start.diff())
            matrix = torch.zeros(self.size, self.size, dtype=weight.dtype, device=value.device)
            matrix.view(-1)[row * self.size + self.then] = value.to(weight.dtype)
            self._dense[name] = matrix
        return F.embedding_bag(items, matrix, per_sample_weights=weight.contiguous(), mode="sum")

    def forget(self) -> None:
        """Drop what was made of values that have changed."""
        self._key = None
        self._dense = {}

    def add(
        self, out: Float[Tensor, "R N"], edges: Edges, value: Float[Tensor, "E"], weight: Float[Tensor, "R L"]
    ) -> Float[Tensor, "R N"]:
        """out[r, j] += weight[r, l] * value[edge] for every edge from item l of row r to j. In place; cost: G."""
        added = value.index_select(0, edges.edge) * weight.flatten().index_select(0, edges.item)
        out.view(-1).index_add_(0, edges.cell, added)
        return out


_cache: dict[tuple[str, int, float, int | None, int], Rows] = {}


def cached_rows(sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None, limit: int) -> Rows:
    """The rows, counted once per process and shared by its runs; cached on disk too if counting takes long."""
    key = split.hash(sequences), window, decay, top_k, limit

    def arrays() -> dict[str, np.ndarray]:
        rows = count_rows(sequences, split, window, decay, top_k, limit)
        return {**vars(rows), "top_k": np.array([rows.top_k or 0])}

    def from_disk() -> Rows:
        found = load_or_make(sequences.cache, hashlib.sha256(f"{FORMAT} {key}".encode()).hexdigest(), arrays)
        return Rows(**{**found, "top_k": int(found["top_k"][0]) or None})  # type: ignore[arg-type]

    return get_or_make(_cache, key, from_disk, MAX_CACHED)


def count_rows(sequences: Sequences, split: Split, window: int, decay: float, top_k: int | None, limit: int) -> Rows:
    """Count and prune the rows block by block, with about `limit` edges at most if top_k is None."""
    parts: list[csr_array] = []
    for block in blocks(sequences, split, window, decay):
        block = block.astype(np.float32)
        parts.append(block if top_k is None else heaviest(block, top_k))
        if top_k is None and sum(part.nnz for part in parts) > limit:
            top_k = max(1, limit // sequences.num_items)
            parts = [heaviest(part, top_k) for part in parts]
    counts = vstack(parts, format="csr")
    total = np.bincount(entries(counts)[0], weights=counts.data, minlength=len(counts.indptr) - 1).astype(np.float32)
    return Rows(counts.indptr.astype(np.int64), counts.indices.astype(np.int32), counts.data, total, top_k)
