"""Sparse matrices that move between devices with a model, and their product with a dense matrix."""

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.sparse import coo_array, csr_array
from torch import Tensor, nn


class SparseMatrix(nn.Module):
    """A constant square sparse matrix A with a product `A @ x` whose gradient is A.T @ grad.

    PyTorch's own gradient of this product transposes A at every step. Here a symmetric A is used as its own transpose,
    and any other A stores its transpose as well. Entries are plain tensors, which every checkpoint format supports.

    Args:
        row, column, value: (E,) the entries, in any order, without duplicates.
        size: N, number of rows and of columns.

    Shape:
        x: (N, D). Returns (N, D). Cost: E * D.
    """

    def __init__(self, row: np.ndarray, column: np.ndarray, value: np.ndarray, size: int) -> None:
        super().__init__()
        self.size = size
        matrix = coo_array((value, (row, column)), shape=(size, size)).tocsr()
        back = matrix.T.tocsr()
        self.symmetric = (
            np.array_equal(matrix.indptr, back.indptr)
            and np.array_equal(matrix.indices, back.indices)
            and np.allclose(matrix.data, back.data, rtol=1e-6, atol=0.0)
        )
        self.register_entries("", matrix)
        if not self.symmetric:
            self.register_entries("back_", back)

    def register_entries(self, prefix: str, matrix: csr_array) -> None:
        """Register the compressed sparse rows of a matrix."""
        self.register_buffer(f"{prefix}first", torch.from_numpy(matrix.indptr.astype(np.int32)))
        self.register_buffer(f"{prefix}column", torch.from_numpy(matrix.indices.astype(np.int32)))
        self.register_buffer(f"{prefix}value", torch.from_numpy(matrix.data.astype(np.float32)))

    def matrix(self, prefix: str, dtype: torch.dtype, value: Tensor | None = None) -> Tensor:
        """The sparse tensor with the stored or other values; nothing is copied unless the dtype differs."""
        first, column = (self.get_buffer(f"{prefix}{name}") for name in ("first", "column"))
        value = self.get_buffer(f"{prefix}value") if value is None else value
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse (CSR tensor support is in beta|invariant checks)", UserWarning)
            return torch.sparse_csr_tensor(
                first, column, value.to(dtype), (self.size, self.size), check_invariants=False
            )

    def edges(self) -> tuple[Tensor, Tensor]:
        """Row and column of every entry, (E,) each, int64."""
        first, column = self.get_buffer("first").long(), self.get_buffer("column").long()
        return torch.arange(self.size, device=column.device).repeat_interleave(first.diff()), column

    def number_pairs(self) -> None:
        """Number the pairs {row, column} for `drop_edges`. Call it while the matrix is on the CPU."""
        row, column = (t.numpy() for t in self.edges())
        ids, pair = np.unique(np.minimum(row, column) * self.size + np.maximum(row, column), return_inverse=True)
        self.num_pairs = len(ids)
        self.register_buffer("pair", torch.from_numpy(pair), persistent=False)
        if not self.symmetric:
            back = np.lexsort((row, column))  # the order of the transpose's entries
            self.register_buffer("back_pair", torch.from_numpy(pair[back]), persistent=False)

    def drop_edges(self, share: float) -> "DroppedEdges":
        """The matrix without a random share of its pairs, the others scaled by 1 / (1 - share); needs `number_pairs`.

        Both directions of a pair are dropped together, so a symmetric matrix stays symmetric. Cost: E.
        """
        keep = torch.rand(self.num_pairs, device=self.get_buffer("pair").device) >= share
        return DroppedEdges(self, keep / (1 - share))

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return propagated(x, self, [0.0, 1.0])


class DroppedEdges:
    """A sparse matrix whose entries are multiplied by one factor per pair of nodes.

    Args:
        full: the matrix, after `number_pairs`.
        factor: (pairs,) 0 for a dropped pair.
    """

    def __init__(self, full: SparseMatrix, factor: Float[Tensor, "pairs"]) -> None:
        self.full, self.factor, self.symmetric = full, factor, full.symmetric

    def matrix(self, prefix: str, dtype: torch.dtype) -> Tensor:
        """The sparse tensor, see `SparseMatrix.matrix`."""
        values = self.full.get_buffer(f"{prefix}value") * self.factor[self.full.get_buffer(f"{prefix}pair")]
        return self.full.matrix(prefix, dtype, values)


class _Propagation(torch.autograd.Function):
    """Horner's scheme: a_0 X + A (a_1 X + A (a_2 X + ...)); the gradient is the same with A.T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sparse: "SparseMatrix | DroppedEdges", weights: list[float]) -> Tensor:
        ctx.sparse, ctx.weights = sparse, weights
        return _Propagation.horner(x.detach(), sparse, weights, "")  # embedding_bag prepares for gradients otherwise

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        prefix = "" if ctx.sparse.symmetric else "back_"
        return _Propagation.horner(grads[0].contiguous(), ctx.sparse, ctx.weights, prefix), None, None

    @staticmethod
    def horner(x: Tensor, sparse: "SparseMatrix | DroppedEdges", weights: list[float], prefix: str) -> Tensor:
        out = x * weights[-1]
        for weight in reversed(weights[:-1]):
            out = product(sparse, prefix, out)
            if weight:
                out.add_(x, alpha=weight)
        return out


def propagated(
    x: Float[Tensor, "N D"], sparse: "SparseMatrix | DroppedEdges", weights: list[float]
) -> Float[Tensor, "N D"]:
    """sum_k a_k A^k x, the layers of LightGCN, for weights a_0 .. a_K. Cost: K * E * D."""
    total: Tensor = _Propagation.apply(x, sparse, weights)  # type: ignore[no-untyped-call]
    return total


def product(sparse: "SparseMatrix | DroppedEdges", prefix: str, x: Tensor) -> Tensor:
    """The matrix, or its transpose (`back_`), times x. On a CPU, summing bags of rows is 2.5 to 5 times as fast."""
    with torch.autocast(x.device.type, enabled=False):  # CPUs have no sparse product in bfloat16
        matrix = sparse.matrix(prefix, x.dtype)
        if x.device.type != "cpu":
            return matrix @ x
        rows, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        return F.embedding_bag(columns, x, rows, mode="sum", per_sample_weights=values, include_last_offset=True)
