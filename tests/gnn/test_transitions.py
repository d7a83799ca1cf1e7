"""The transition memory against one that is counted anew, slowly, for every position."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.gnn.evidence import UNIFORM
from hybrid_seq_gnn.gnn.transitions import Transitions
from tests.conftest import leave_last_two_out, make_sequences

ITEMS = 6  # few, so that items come again close to each other
WINDOW, DECAY, LAST, RECENCY = 3, 0.7, 5, 0.8


@pytest.fixture
def world():
    sequences = make_sequences([4, 9, 14, 11], num_items=ITEMS)
    return sequences, leave_last_two_out(sequences)


def memory(world, exponent):
    return Transitions(*world, window=WINDOW, decay=DECAY, last=LAST, recency=RECENCY, exponent=exponent).double()


def training_histories(world):
    sequences, split = world
    return [sequences.history(u, split.train_end[u]).tolist() for u in range(sequences.num_users)]


def whole_histories(rows):
    """Every history but its last item as one batch, and the item after each position."""
    width = max(map(len, rows)) - 1
    items = torch.tensor([row[:-1] + [0] * (width - len(row) + 1) for row in rows])
    targets = torch.tensor([item for row in rows for item in row[1:]])
    return Batch(torch.arange(len(rows)), items, torch.where(items > 0, torch.arange(1, width + 1), 0)), targets


def slow(rows, recent, exponent, without=None):
    """p of every item; `without` is the (user, place) of an event whose own pairs do not count."""
    counts = defaultdict(float)
    for user, row in enumerate(rows):
        for t in range(len(row)):
            for s in range(max(t - WINDOW, 0), t):
                if row[s] != row[t] and (user, t) != without:
                    counts[row[s], row[t]] += DECAY ** (t - s - 1)
    above, below = np.zeros(ITEMS + 1), 0.0
    for k, item in enumerate(recent[::-1][:LAST]):
        total = sum(counts[item, j] for j in range(1, ITEMS + 1))
        if total > 1e-6:
            above += RECENCY**k * np.array([counts[item, j] for j in range(ITEMS + 1)]) / total**exponent
            below += RECENCY**k * total ** (1 - exponent)
    p = above / below if below > 0 else np.full(ITEMS + 1, 1 / ITEMS)
    p = (1 - UNIFORM) * p + UNIFORM / ITEMS
    p[0] = 0.0
    return p


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.0])
def test_p_of_all_items_equals_the_formula_and_sums_to_one(exponent, world):
    rows = training_histories(world)
    batch, targets = whole_histories(rows)
    found = memory(world, exponent).of_all(batch, torch.arange(len(targets)))
    expected = [slow(rows, row[:t], exponent) for row in rows for t in range(1, len(row))]
    assert np.allclose(found.numpy(), expected, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(len(targets), dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.0])
def test_in_training_an_events_own_pairs_are_left_out_even_where_items_come_again(exponent, world):
    rows = training_histories(world)
    batch, targets = whole_histories(rows)
    found = memory(world, exponent).of_targets(batch, targets, leave_out=True)
    expected = [
        slow(rows, row[:t], exponent, without=(user, t))[row[t]]
        for user, row in enumerate(rows)
        for t in range(1, len(row))
    ]
    assert np.allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.75, 1.0])
def test_in_training_the_pairs_are_left_out_of_the_whole_distribution_too(exponent, world):
    rows = training_histories(world)
    batch, targets = whole_histories(rows)
    some = torch.arange(0, len(targets), 2)
    found = memory(world, exponent).of_all(batch, some, targets[some])
    expected = [
        slow(rows, row[:t], exponent, without=(user, t)) for user, row in enumerate(rows) for t in range(1, len(row))
    ]
    assert np.allclose(found.numpy(), np.array(expected)[::2], atol=1e-6)


def test_without_leaving_out_the_target_has_the_probability_that_it_has_among_all(world):
    batch, targets = whole_histories(training_histories(world))
    net = memory(world, 0.75)
    every = net.of_all(batch, torch.arange(len(targets)))
    chosen = net.of_targets(batch, targets, leave_out=False)
    assert torch.allclose(every.gather(1, targets[:, None])[:, 0], chosen)


def test_an_item_that_was_never_followed_tells_nothing():
    sequences = make_sequences([3, 3], num_items=ITEMS)  # one training event each: no pair at all
    net = Transitions(sequences, leave_last_two_out(sequences))
    batch = Batch(torch.tensor([0]), torch.tensor([[2, 5]]), torch.tensor([[1, 2]]))
    assert torch.allclose(net.of_all(batch, torch.tensor([1]))[0, 1:], torch.full((ITEMS,), 1 / ITEMS))
    assert torch.allclose(net.of_targets(batch, torch.tensor([3, 4]), leave_out=True), torch.tensor(1 / ITEMS))


def test_on_embeddings_it_is_the_mean_of_what_followed(world):
    table = torch.randn(ITEMS + 1, 3, dtype=torch.float64)
    table[0] = 0
    rows = training_histories(world)
    expected = torch.zeros_like(table)
    for item in range(1, ITEMS + 1):
        p = (slow(rows, [item], 1.0) - UNIFORM / ITEMS) / (1 - UNIFORM)
        p[0] = 0
        if any(item in row[:-1] for row in rows):
            expected[item] = torch.from_numpy(p) @ table
    assert torch.allclose(memory(world, 0.75)(table), expected, atol=1e-6)


@pytest.mark.parametrize(
    "setting", [{"window": 0}, {"decay": 0.0}, {"last": 0}, {"recency": 0.0}, {"recency": 1.1}, {"exponent": -0.1}]
)
def test_a_bad_setting_is_refused_by_name(setting, world):
    with pytest.raises(ValueError, match=rf"gnn\.{next(iter(setting))}="):
        Transitions(*world, **setting)
