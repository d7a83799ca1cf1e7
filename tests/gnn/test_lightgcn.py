import warnings

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.gnn.lightgcn import LightGCN
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.transition import Transition


@pytest.mark.parametrize("num_layers", [0, 1, 2, 4])
def test_lightgcn_equals_the_dense_formula_of_the_paper(num_layers, sequences, split):
    graph = Cooccurrence().build(sequences, split)
    weights = np.zeros((31, 31))
    weights[graph.source, graph.target] = graph.weight
    scale = np.diag(1 / np.sqrt(np.maximum(weights.sum(1), 1e-300)))
    scale[weights.sum(1) == 0] = 0
    a_hat = torch.tensor(scale @ weights @ scale)
    items = torch.randn(31, 5, dtype=torch.float64)
    layers = [torch.linalg.matrix_power(a_hat, k) @ items for k in range(num_layers + 1)]
    ours = LightGCN(30, 5, graph.adjacency(), num_layers=num_layers)(items)
    assert torch.allclose(ours, torch.stack(layers).mean(0), atol=1e-6)


def test_a_layer_equals_torch_geometrics_on_the_weighted_graph(sequences, split):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_geometric.nn import LGConv
    graph = Cooccurrence().build(sequences, split)
    items = torch.randn(31, 5)
    edge_index = torch.from_numpy(np.stack([graph.source, graph.target]))
    theirs = LGConv()(items, edge_index, torch.from_numpy(graph.weight).float())
    ours = LightGCN(30, 5, graph.adjacency(), num_layers=1)(items)
    assert torch.allclose(2 * ours - items, theirs, atol=1e-6)


def test_an_isolated_item_keeps_its_direction(sequences, split):
    graph = Cooccurrence(min_count=99).build(sequences, split)
    items = torch.randn(31, 5)
    assert torch.allclose(LightGCN(30, 5, graph.adjacency(), num_layers=3)(items), items / 4)


def test_layer_weights_weigh_the_layers(sequences, split):
    adjacency = Cooccurrence().build(sequences, split).adjacency()
    items = torch.randn(31, 5)
    ours = LightGCN(30, 5, adjacency, num_layers=2, layer_weights=[0.0, 0.0, 1.0])(items)
    assert torch.allclose(ours, adjacency(adjacency(items)))


@pytest.mark.parametrize("graph", [Cooccurrence(), Transition()])
def test_values_and_gradients_equal_those_of_the_dense_formula(graph, sequences, split):
    adjacency, weights = graph.build(sequences, split).adjacency(), [0.5, -0.3, 0.2]
    dense = adjacency(torch.eye(31, dtype=torch.float64))
    items = torch.randn(31, 5, dtype=torch.float64, requires_grad=True)
    slow = sum(w * torch.linalg.matrix_power(dense, k) @ items for k, w in enumerate(weights))
    ours = LightGCN(30, 5, adjacency, num_layers=2, layer_weights=weights)(items)
    assert torch.allclose(ours, slow)
    grad = torch.randn(31, 5, dtype=torch.float64)
    assert torch.allclose(*(torch.autograd.grad(out, items, grad)[0] for out in (ours, slow)))


@pytest.mark.parametrize("graph", [Cooccurrence(), Transition()])
def test_dropped_edges_are_gone_in_both_directions_and_the_others_scaled(graph, sequences, split):
    adjacency = graph.build(sequences, split).adjacency()
    net = LightGCN(30, 5, adjacency, num_layers=1, layer_weights=[0.0, 1.0], edge_dropout=0.25).double()
    whole = net.eval()(torch.eye(31, dtype=torch.float64))
    table = torch.eye(31, dtype=torch.float64, requires_grad=True)
    thin = net.train()(table)
    ratio = (thin / whole)[whole != 0]
    assert set(ratio.detach().numpy().round(6)) == {0.0, round(1 / 0.75, 6)}
    assert 0.1 < (ratio == 0).double().mean() < 0.4
    gone = (thin == 0) & (whole != 0)
    both = (whole != 0) & (whole.T != 0)
    assert torch.equal(gone & both, gone.T & both)
    weights = torch.randn(31, 31, dtype=torch.float64)
    (thin * weights).sum().backward()
    assert torch.allclose(table.grad, thin.detach().T @ weights)
    assert not torch.equal(net(table), thin)  # anew at each step


def test_without_edge_dropout_no_random_number_is_drawn(sequences, split):
    net = LightGCN(30, 5, Cooccurrence().build(sequences, split).adjacency()).train()
    before = torch.random.get_rng_state()
    net(torch.randn(31, 5, generator=torch.Generator()))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("setting", [{"num_layers": -1}, {"layer_weights": [1.0]}, {"edge_dropout": 1.0}])
def test_a_bad_setting_is_refused_by_name(setting, sequences, split):
    with pytest.raises(ValueError, match=rf"gnn\.{next(iter(setting))}="):
        LightGCN(30, 5, Cooccurrence().build(sequences, split).adjacency(), **setting)
