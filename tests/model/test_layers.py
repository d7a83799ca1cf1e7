"""Attention in groups of histories of like length, and dropout from few random numbers, against slow versions."""

import pytest
import torch
import torch.nn.functional as F

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.dropout import Dropout
from hybrid_seq_gnn.model.layers import QUERIES, ROWS, AttentionLayout, Block

WIDTH, HEADS = 8, 2
SIZES = [5, 1, 9, 9, 2, 7] * ROWS  # six groups, the last one of short histories only
EVEN, LONG = [4] * (ROWS + 2), [2 * QUERIES + 3, QUERIES, 1, QUERIES + 1]


def batch_of(sizes):
    length = torch.arange(1, max(sizes) + 1)
    length = torch.where(length <= torch.tensor(sizes)[:, None], length, 0)
    return Batch(torch.arange(len(sizes)), length, length)


def slow_attention(block, x, sizes, causal):
    """One history and one head at a time, with the matrix of all weights."""
    mixed = []
    for rows in x.split(sizes):
        q, k, v = (part.view(len(rows), HEADS, -1).transpose(0, 1) for part in block.qkv(rows).chunk(3, dim=1))
        logits = q @ k.transpose(1, 2) / (WIDTH // HEADS) ** 0.5
        if causal:
            logits = logits.masked_fill(torch.ones(len(rows), len(rows)).triu(1).bool(), -torch.inf)
        mixed.append((logits.softmax(2) @ v).transpose(0, 1).reshape(len(rows), WIDTH))
    return block.project(torch.cat(mixed))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("sizes", "device", "groups"),
    [(SIZES, "cpu", 6), (EVEN, "cpu", 2), (LONG, "cpu", 1), (SIZES, "gpu", 1), (EVEN, "gpu", 1)],
    ids=["cpu", "cpu-even", "cpu-long", "gpu", "gpu-even"],
)
def test_attention_in_groups_equals_one_history_at_a_time_in_value_and_gradient(sizes, device, groups, causal):
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, 0.0, WIDTH).double()
    x = torch.randn(sum(sizes), WIDTH, dtype=torch.float64, requires_grad=True)
    layout = AttentionLayout(batch_of(sizes), causal)
    if device == "gpu":
        layout.as_one()
    assert len(layout.groups) == groups
    assert layout.even == (sizes is EVEN)
    found, expected = block.attend(x, layout), slow_attention(block, x, sizes, causal)
    assert torch.allclose(found, expected)
    weight = torch.randn_like(found)
    inputs = [x, *block.qkv.parameters()]
    grads = [torch.autograd.grad((out * weight).sum(), inputs) for out in (found, expected)]
    for ours, theirs in zip(*grads, strict=True):
        assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("sizes", [SIZES, EVEN, LONG], ids=["uneven", "even", "long"])
def test_the_block_in_ranking_is_the_whole_block(sizes, heads):
    torch.manual_seed(0)
    block = Block(WIDTH, heads, 0.0, WIDTH).double()
    torch.nn.init.normal_(block.qkv.bias)
    x, layout = torch.randn(sum(sizes), WIDTH, dtype=torch.float64), AttentionLayout(batch_of(sizes))
    assert torch.allclose(block.ranking(x, layout), block(x, layout))


@pytest.mark.parametrize("sizes", [SIZES, EVEN, LONG], ids=["uneven", "even", "long"])
def test_the_block_at_the_latest_positions_is_the_whole_block_there(sizes):
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, 0.3, WIDTH).double().eval()
    torch.nn.init.normal_(block.qkv.bias)
    x = torch.randn(sum(sizes), WIDTH, dtype=torch.float64)
    layout = AttentionLayout(batch_of(sizes))
    assert torch.allclose(block.at_last(x, layout), block(x, layout)[layout.batch.last])


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_dropout_drops_a_share_and_scales_the_rest_and_its_gradient(p):
    torch.manual_seed(0)
    x = torch.ones(501, 399, requires_grad=True)
    out = Dropout(p)(x)
    assert (out == 0).float().mean() == pytest.approx(p, abs=0.004)
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)
    beside = (out[1:] == 0) & (out[:-1] == 0)  # independent of its neighbours
    assert beside.float().mean() == pytest.approx(p * p, abs=0.006)


def test_dropout_is_added_to_what_stays():
    x, change = torch.randn(2, 40, 8).requires_grad_().unbind()
    drop = Dropout(0.5)
    torch.manual_seed(1)
    alone = drop(change)
    torch.manual_seed(1)
    total = drop.add(x, change)
    assert torch.allclose(total, x + alone)
    to_x, to_change = torch.autograd.grad(total.sum(), (x, change))
    assert torch.equal(to_x, torch.ones(40, 8))
    assert torch.equal(to_change != 0, alone != 0)


def test_dropout_does_nothing_in_evaluation_or_with_share_0_and_leaves_bfloat16_to_pytorch():
    x = torch.randn(30, 4)
    for drop in (Dropout(0.5).eval(), Dropout(0.0)):
        assert torch.equal(drop(x), x)
        assert torch.equal(drop.add(x, x), x + x)
    torch.manual_seed(2)
    expected = F.dropout(x.bfloat16(), 0.5)
    torch.manual_seed(2)
    assert torch.equal(Dropout(0.5)(x.bfloat16()), expected)


def test_dropout_of_nearly_all_keeps_a_finite_scale():
    assert Dropout(0.9999999)(torch.ones(1000, 4)).isfinite().all()
