"""The polynomial against the normaliser itself, in value and in slope."""

import pytest
import torch

from hybrid_seq_gnn.training.normaliser import interpolate, polynomial

ALPHA = torch.linspace(0, 1, 41, dtype=torch.float64)


def sides(sharp, users=40, items=200):
    """Scores of a model with opinions, and of a memory that knows a few items and gives the others next to nothing."""
    rng = torch.Generator().manual_seed(0)
    seq, graph = torch.randn(2, users, items, generator=rng, dtype=torch.float64)
    known = torch.rand(users, items, generator=rng) < 0.1
    return sharp * seq, torch.where(known, graph, graph / 5 - 12)


def exact(seq, graph, alpha):
    p, q = seq.softmax(1), graph.softmax(1)
    return (p[:, None] ** alpha[..., None] * q[:, None] ** (1 - alpha[..., None])).sum(2).log()


@pytest.mark.parametrize("sharp", [0.0, 1.0, 2.0])
def test_it_is_the_normaliser_to_a_thousandth_of_a_nat(sharp):
    seq, graph = sides(sharp)
    alpha = ALPHA.expand(len(seq), -1).clone().requires_grad_()
    found, slow = interpolate(polynomial(seq, graph), alpha), exact(seq, graph, alpha)
    assert slow.min() < -0.5  # there is something to get wrong
    assert (found - slow).abs().max() < 1e-3
    assert (found - slow).mean(0).abs().max() < 1e-4
    mine, theirs = (torch.autograd.grad(z.sum(), alpha)[0] for z in (found, slow))
    assert (mine - theirs).abs().max() < 3e-2
    assert (mine - theirs).mean(0).abs().max() < 5e-3


def test_at_the_ends_it_is_nothing_and_at_its_nodes_it_is_exact():
    seq, graph = sides(3.0)
    coefficients = polynomial(seq + 5.0, graph - 7.0)  # scores mean the same when a constant is added
    assert interpolate(coefficients, torch.tensor([[0.0, 1.0]]).double().expand(40, -1)).abs().max() < 1e-12
    half = torch.full((40, 1), 0.5, dtype=torch.float64)
    assert torch.allclose(interpolate(coefficients, half), exact(seq, graph, half))


def test_the_gradient_is_that_of_the_polynomial():
    coefficients = polynomial(*sides(1.0, users=3))
    alpha = torch.tensor([[0.1, 0.5], [0.3, 0.9], [0.01, 0.99]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: interpolate(coefficients, a), [alpha])
