"""The sparse product: its gradient, its edges, and what moves with a model."""

import warnings

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.graph.sparse import SparseMatrix


def random_matrix(symmetric, size=7):
    rng = np.random.default_rng(1)
    entries = rng.random((size, size)) * (rng.random((size, size)) < 0.4)
    entries = entries + entries.T if symmetric else entries
    row, column = np.nonzero(entries)
    return SparseMatrix(row, column, entries[row, column], size)


@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_pass_gradcheck(symmetric):
    matrix = random_matrix(symmetric).double()
    assert matrix.symmetric == symmetric
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: matrix(matrix(x).tanh()), x)


def test_tiny_values_do_not_pass_for_symmetric():
    matrix = SparseMatrix(np.array([1, 2]), np.array([2, 1]), np.array([1e-9, 3e-9]), 3)
    x = torch.eye(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(matrix(x)[1].sum(), x)
    assert not matrix.symmetric
    assert gradient[2].tolist() == pytest.approx([1e-9] * 3)


def test_a_matrix_without_entries_gives_zeros():
    nothing = np.zeros(0, dtype=np.int64)
    matrix = SparseMatrix(nothing, nothing, np.zeros(0), 4)
    x = torch.randn(4, 2, requires_grad=True)
    matrix(x).sum().backward()
    assert not matrix(x).any()
    assert not x.grad.any()


def test_edges_are_the_entries():
    matrix = random_matrix(symmetric=False)
    full = torch.zeros(7, 7)
    full[matrix.edges()] = matrix.value
    assert torch.allclose(full @ torch.eye(7), matrix(torch.eye(7)))


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_saved_matrix_comes_back_and_multiplies_the_same(symmetric, tmp_path):
    matrix, x = random_matrix(symmetric), torch.randn(7, 3)
    torch.save(matrix.state_dict(), tmp_path / "matrix.pt")
    other = random_matrix(symmetric)
    other.value.zero_()
    other.load_state_dict(torch.load(tmp_path / "matrix.pt", weights_only=True))
    assert torch.equal(other(x), matrix(x))


def test_all_of_it_moves_with_the_model():
    matrix = random_matrix(symmetric=False).to("meta")
    assert {part.device.type for part in matrix.buffers()} == {"meta"}
    assert len(dict(matrix.named_buffers())) == 6  # three arrays each way


def test_the_same_product_twice_is_bit_identical():
    matrix, x = random_matrix(symmetric=True, size=200), torch.randn(200, 64)
    assert torch.equal(matrix(x), matrix(x))


def test_a_product_warns_of_nothing():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = torch.randn(7, 2, requires_grad=True)
        random_matrix(symmetric=False)(x).sum().backward()
    assert not caught
