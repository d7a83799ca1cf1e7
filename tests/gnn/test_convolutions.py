"""GAT, GATv2 and GraphSAGE against their formulas, written with dense matrices."""

import pytest
import torch
import torch.nn.functional as F

from hybrid_seq_gnn.gnn.gat import GAT
from hybrid_seq_gnn.gnn.gatv2 import GATv2
from hybrid_seq_gnn.gnn.sage import SAGE
from hybrid_seq_gnn.graph.bipartite import Bipartite
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.transition import Transition

D, ITEMS = 4, 30


@pytest.fixture(params=[Cooccurrence(window=1), Transition(window=1)])
def graph(request, sequences, split):
    return request.param.build(sequences, split)


@pytest.fixture
def items():
    table = torch.randn(ITEMS + 1, D)
    table[0] = 0
    return table


def hears(graph):
    """[i, j]: item i hears item j, because an edge goes from i to j."""
    matrix = torch.zeros(ITEMS + 1, ITEMS + 1, dtype=torch.bool)
    matrix[torch.from_numpy(graph.source), torch.from_numpy(graph.target)] = True
    return matrix


def slow_sage(conv, x, graph):
    neighbours = hears(graph).float()
    mean = neighbours @ x / neighbours.sum(1, keepdim=True).clamp(min=1)
    return conv.lin_l(mean) + conv.lin_r(x)


def slow_gat(conv, x, graph):
    """Heads averaged; an item hears itself too."""
    h = conv.lin(x).view(len(x), conv.heads, D)
    mine, theirs = (h * conv.att_dst).sum(2), (h * conv.att_src).sum(2)
    logits = F.leaky_relu(mine[:, None] + theirs[None], 0.2)
    return attend(logits, h, graph) + conv.bias


def slow_gatv2(conv, x, graph):
    h, mine = conv.lin_l(x).view(len(x), conv.heads, D), conv.lin_r(x).view(len(x), conv.heads, D)
    logits = (F.leaky_relu(mine[:, None] + h[None], 0.2) * conv.att[0]).sum(3)
    return attend(logits, h, graph) + conv.bias


def attend(logits, h, graph):
    allowed = hears(graph) | torch.eye(len(h), dtype=torch.bool)
    weight = logits.masked_fill(~allowed[:, :, None], -torch.inf).softmax(1)
    return torch.einsum("ijh,jhd->ihd", weight, h).mean(1)


NETWORKS = [(SAGE, slow_sage), (GAT, slow_gat), (GATv2, slow_gatv2)]


@pytest.mark.parametrize(("network", "slow"), NETWORKS)
@pytest.mark.parametrize("residual", [True, False])
def test_two_layers_equal_the_dense_formula(network, slow, residual, graph, items):
    net = network(ITEMS, D, graph.adjacency(), num_layers=2, residual=residual).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # biases too
    x = items
    for layer, bend in zip(net.layers, (F.elu, lambda out: out), strict=True):
        out = bend(slow(layer, x, graph))
        x = x + out if residual else out
        x = torch.cat([torch.zeros(1, D), x[1:]])
    assert torch.allclose(net(items), x, atol=1e-5)


@pytest.mark.parametrize(("network", "slow"), NETWORKS)
def test_every_weight_and_every_user_node_gets_a_gradient(network, slow, items, sequences, split):
    adjacency = Bipartite().build(sequences, split).adjacency()
    net = network(ITEMS, D, adjacency, num_layers=2).eval()
    (net(items) * torch.randn(ITEMS + 1, D)).sum().backward()
    assert net.nodes.users.shape == (sequences.num_users, D)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize(
    ("network", "setting"),
    [(SAGE, {"num_layers": 0}), (SAGE, {"dropout": 1.0}), (GAT, {"heads": 0}), (GATv2, {"heads": 0})],
)
def test_a_bad_setting_is_refused_by_name(network, setting, graph):
    with pytest.raises(ValueError, match=rf"gnn\.{next(iter(setting))}="):
        network(ITEMS, D, graph.adjacency(), **setting)
