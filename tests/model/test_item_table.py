"""Collected gradients are those of PyTorch, whoever else changes them."""

import copy

import pytest
import torch
from torch import nn

from hybrid_seq_gnn.model.item_table import ItemTable

ITEMS, DIM = 60, 3


def tables():
    """A table that collects, and an embedding that does not."""
    ours = ItemTable(ITEMS, DIM).double()
    theirs = nn.Embedding(ITEMS + 1, DIM, padding_idx=0).double()
    theirs.load_state_dict(ours.state_dict())
    ours.collect = True
    return ours, theirs


def backward(table, reads, whole=None):
    """A loss that is different for each read; perhaps one of the whole table comes before read number `whole`."""
    parts = [(k + 1) * (table(items) + 1).square().sum() for k, items in enumerate(reads)]
    if whole is not None:
        parts.insert(whole, (table.weight**3).sum())
    for part in parts:  # one after another: what comes between the first and the last is not forgotten
        part.backward()


def twice(items):
    return [torch.tensor(items), torch.tensor([items, items[::-1]])]  # 1D and 2D


STEPS = [
    ("reads", {"reads": twice([5, 7, 5, 0])}),
    ("other items", {"reads": twice([1, 60])}),
    ("the whole table", {"reads": twice([2, 3]), "whole": 1}),
    ("after it", {"reads": twice([4])}),
    ("the whole table first", {"reads": twice([2, 3]), "whole": 0}),
    ("after that", {"reads": twice([6])}),
    ("many items", {"reads": [torch.arange(1, 40), torch.tensor([8])]}),
    ("after them", {"reads": [torch.tensor([9])]}),
]


@pytest.mark.parametrize("clip", [None, 0.1])
def test_collected_gradients_are_those_of_an_embedding(clip):
    ours, theirs = tables()
    both = [(t, torch.optim.AdamW(t.parameters(), lr=0.1, fused=True)) for t in (ours, theirs)]
    for what, step in STEPS:
        for table, optimizer in both:
            optimizer.zero_grad()
            backward(table, **step)
            if clip:
                nn.utils.clip_grad_norm_(table.parameters(), clip)
        assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-12, atol=1e-15), what
        for _, optimizer in both:
            optimizer.step()
        assert torch.allclose(ours.weight, theirs.weight, rtol=1e-12, atol=1e-15), what
    assert torch.cat(ours._added).tolist() == [9]  # steps before the last one are forgotten
    assert (ours._buffer._version == ours._version) == (clip is None)  # so only these rows are set to 0 next


def test_gradients_of_several_backward_passes_are_summed_and_copies_are_apart():
    ours, theirs = tables()
    for table in (ours, theirs):
        backward(table, twice([5, 6]))
        backward(table, twice([6, 7]))
    assert torch.allclose(ours.weight.grad, theirs.weight.grad)
    before = ours.weight.grad.clone()
    copied = copy.deepcopy(ours)
    copied.zero_grad()
    backward(copied, twice([8]))
    assert copied.weight.grad[5:8].abs().sum() == 0
    assert torch.equal(ours.weight.grad, before)


def test_only_what_a_training_step_reads_of_few_rows_is_collected():
    few, many = torch.tensor([1, 2]), torch.arange(1, 20)
    table, _ = tables()
    assert table.collects(few) and table(few).is_leaf
    assert not table.collects(many) and not table(many).is_leaf
    with torch.no_grad():
        assert not table(few).requires_grad
    assert not table.eval()(few).is_leaf
    assert not table.train().requires_grad_(False)(few).requires_grad
    table.requires_grad_().collect = False
    assert not table(few).is_leaf
