"""Sparse matrices that move with a model, and their product with a dense one."""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


def csr(row: np.ndarray, column: np.ndarray, value: np.ndarray, size: int) -> Tensor:
    """A (size, size) sparse CSR tensor of float32; entries must be sorted by row, then column."""
    crow = np.searchsorted(row, np.arange(size + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(crow),
            torch.from_numpy(column),
            torch.from_numpy(value.astype(np.float32)),
            (size, size),
            check_invariants=True,
        )


class SparseMatrix(nn.Module):
    """A constant square sparse matrix A with a product `A @ x` whose gradient is A.T @ grad.

    PyTorch's own gradient of this product transposes A anew at every step; here a symmetric A is its own transpose, and
    any other keeps its transpose beside it.

    Args:
        row, column, value: (E,) the entries, in any order, no place twice.
        size: N, rows and columns.

    Shape:
        x: (N, D). Returns (N, D). Cost: E * D.
    """

    def __init__(self, row: np.ndarray, column: np.ndarray, value: np.ndarray, size: int) -> None:
        super().__init__()
        order = np.lexsort((column, row))
        row, column, value = row[order], column[order], value[order]
        back = np.lexsort((row, column))
        self.symmetric = bool(
            np.array_equal(row, column[back])
            and np.array_equal(column, row[back])
            and np.allclose(value, value[back], rtol=1e-6)
        )
        self.register_buffer("matrix", csr(row, column, value, size))
        transposed = None if self.symmetric else csr(column[back], row[back], value[back], size)
        self.register_buffer("transposed", transposed)

    matrix: Tensor
    transposed: Tensor | None

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """A @ x."""
        back = self.matrix if self.transposed is None else self.transposed
        product: Tensor = _Product.apply(x, self.matrix, back)  # type: ignore[no-untyped-call]
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return matrix.to(x.dtype) @ x if matrix.dtype != x.dtype else matrix @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (back,), grad = ctx.saved_tensors, grads[0]
        return (back.to(grad.dtype) if back.dtype != grad.dtype else back) @ grad, None, None
