"""Sparse matrices that move with a model, and their product with a dense one."""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class SparseMatrix(nn.Module):
    """A constant square sparse matrix A with a product `A @ x` whose gradient is A.T @ grad.

    PyTorch's own gradient of this product transposes A anew at every step; here a symmetric A is its own transpose, and
    any other keeps its transpose beside it. The entries are kept as plain tensors, which every file format knows.

    Args:
        row, column, value: (E,) the entries, in any order, no place twice.
        size: N, rows and columns.

    Shape:
        x: (N, D). Returns (N, D). Cost: E * D.
    """

    def __init__(self, row: np.ndarray, column: np.ndarray, value: np.ndarray, size: int) -> None:
        super().__init__()
        self.size = size
        order, back = np.lexsort((column, row)), np.lexsort((row, column))
        self.symmetric = (
            np.array_equal(row[order], column[back])
            and np.array_equal(column[order], row[back])
            and np.allclose(value[order], value[back], rtol=1e-6, atol=0.0)
        )
        self.keep("", row[order], column[order], value[order])
        if not self.symmetric:
            self.keep("back_", column[back], row[back], value[back])

    def keep(self, prefix: str, row: np.ndarray, column: np.ndarray, value: np.ndarray) -> None:
        """Register entries that are sorted by row and column, as compressed sparse rows."""
        first = np.searchsorted(row, np.arange(self.size + 1))
        self.register_buffer(f"{prefix}first", torch.from_numpy(first.astype(np.int32)))
        self.register_buffer(f"{prefix}column", torch.from_numpy(column.astype(np.int32)))
        self.register_buffer(f"{prefix}value", torch.from_numpy(value.astype(np.float32)))

    def matrix(self, prefix: str, dtype: torch.dtype, value: Tensor | None = None) -> Tensor:
        """The sparse tensor over the kept entries, or over other values; none is copied unless the type differs."""
        first, column = (self.get_buffer(f"{prefix}{name}") for name in ("first", "column"))
        value = self.get_buffer(f"{prefix}value") if value is None else value
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
            return torch.sparse_csr_tensor(
                first, column, value.to(dtype), (self.size, self.size), check_invariants=False
            )

    def edges(self) -> tuple[Tensor, Tensor]:
        """Row and column of every entry, (E,) each, int64."""
        first, column = self.get_buffer("first").long(), self.get_buffer("column").long()
        return torch.arange(self.size, device=column.device).repeat_interleave(first.diff()), column

    def name_pairs(self) -> None:
        """Number the pairs {row, column}, each dropped as one by `drop_edges`; before the matrix goes to a device."""
        row, column = (t.numpy() for t in self.edges())
        ids, pair = np.unique(np.minimum(row, column) * self.size + np.maximum(row, column), return_inverse=True)
        self.num_pairs = len(ids)
        self.register_buffer("pair", torch.from_numpy(pair), persistent=False)
        if not self.symmetric:
            back = np.lexsort((row, column))  # the order in which the transpose keeps its entries
            self.register_buffer("back_pair", torch.from_numpy(pair[back]), persistent=False)

    def drop_edges(self, share: float) -> "DroppedEdges":
        """The matrix without a random share of its pairs, the others scaled by 1 / (1 - share); see `name_pairs`.

        Both directions of a pair go or stay together, so a symmetric matrix stays symmetric. Cost: E.
        """
        kept = torch.rand(self.num_pairs, device=self.get_buffer("pair").device) >= share
        return DroppedEdges(self, kept / (1 - share))

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        product: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return product


class DroppedEdges:
    """A sparse matrix with a factor on each of its pairs of nodes.

    Args:
        whole: the matrix, whose pairs are numbered.
        factor: (pairs,) 0 for a pair that is left out.
    """

    def __init__(self, whole: SparseMatrix, factor: Float[Tensor, "pairs"]) -> None:
        self.whole, self.factor, self.symmetric = whole, factor, whole.symmetric

    def matrix(self, prefix: str, dtype: torch.dtype) -> Tensor:
        """The sparse tensor, see `SparseMatrix.matrix`."""
        values = self.whole.get_buffer(f"{prefix}value") * self.factor[self.whole.get_buffer(f"{prefix}pair")]
        return self.whole.matrix(prefix, dtype, values)

    def __call__(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        product: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sparse: "SparseMatrix | DroppedEdges") -> Tensor:
        ctx.sparse = sparse
        with torch.autocast(x.device.type, enabled=False):  # there is no sparse product in bfloat16 on a CPU
            return sparse.matrix("", x.dtype) @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0]
        return ctx.sparse.matrix("" if ctx.sparse.symmetric else "back_", grad.dtype) @ grad, None
