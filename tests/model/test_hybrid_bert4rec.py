"""A hybrid around an encoder that sees both sides: what a hidden place knows of itself, and what it must not."""

import pytest
import torch

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.transitions import Transitions
from hybrid_seq_gnn.model.bert4rec import BERT4Rec
from hybrid_seq_gnn.model.hybrid import Hybrid
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_hybrid import SIZE, ByLength, hybrid
from tests.model.test_sasrec import batch_of

FIRST, SECOND = [3, 1, 4, 1], [5, 9]
TARGETS = torch.tensor([1, 4, 1, 7, 9, 2])  # the item after each position
LONGER = [[*FIRST, 7], [*SECOND, 2]]


def learned(model, hide, batch=None, monkeypatch=None):
    """Training scores, items asked for and users, where exactly these (user, place) pairs are hidden."""
    drawn = torch.ones(2, 5)
    for user, place in hide:
        drawn[user, place] = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *size, **more: drawn)
        return model.training_scores(batch or batch_of(FIRST, SECOND), TARGETS)


def test_a_hidden_place_is_asked_for_its_item_and_the_last_one_always():
    _, items, users = learned(BERT4Rec(20, **SIZE), [(0, 2), (1, 0)])
    assert items.tolist() == [4, 7, 5, 2]
    assert users.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("level", ["embedding", "score"])
def test_n_of_a_hidden_place_is_the_number_of_events_before_it(level):
    fusion = ByLength()
    fusion.level = level
    model = hybrid(fusion, encoder="bert4rec").double()
    batch = batch_of(FIRST, SECOND)
    seen = torch.tensor([[3], [0]])  # the first user had three events before those that are read
    batch = Batch(batch.users, batch.items, torch.where(batch.items > 0, batch.length + seen, 0))
    scores, *_ = learned(model, [(0, 0), (0, 2), (1, 1)], batch)
    assert scores.alpha.tolist() == pytest.approx([0.3, 0.5, 0.7, 0.1, 0.2])
    assert model.next_item_scores(batch).alpha.tolist() == pytest.approx([0.7, 0.2])


def test_the_graph_side_of_a_hidden_place_is_the_mean_of_what_stands_before_it():
    fusion = Fixed(level="score")
    model = hybrid(fusion, encoder="bert4rec", graph_recency=0.5).double().eval()
    graph = model.graph_table()
    scores, *_ = learned(model, [(0, 0), (0, 2), (1, 1)])
    slow = torch.stack(
        [
            torch.zeros(8, dtype=torch.float64),  # nothing before: all items alike
            (graph[1] + 0.5 * graph[3]) / 1.5,
            (graph[1] + 0.5 * graph[4] + 0.25 * graph[1] + 0.125 * graph[3]) / 1.875,
            graph[5],
            (graph[9] + 0.5 * graph[5]) / 1.5,
        ]
    )
    assert torch.allclose(scores.graph.query, slow)


def test_a_memory_is_asked_after_the_event_before_and_leaves_out_the_pairs_of_the_hidden_one():
    sequences = make_sequences([12, 9, 14, 11], num_items=9)
    memory = Transitions(sequences, leave_last_two_out(sequences))
    model = Hybrid(9, memory, Fixed(level="score"), encoder="bert4rec", **SIZE)
    batch = batch_of(FIRST, SECOND)
    scores, items, _ = learned(model, [(0, 0), (0, 2), (1, 1)])
    every = memory.of_targets(batch, TARGETS, leave_out=True)
    expected = torch.stack([torch.tensor(1 / 9), every[1], every[3], every[4], every[5]])
    assert torch.allclose(scores.graph.log_probability(items).exp(), expected)
    model.eval()
    scores, items, _ = learned(model, [(0, 0), (0, 2), (1, 1)])
    whole = scores.graph.log_probabilities().exp()
    assert torch.allclose(whole.sum(1), torch.ones(5), atol=1e-5)
    assert torch.allclose(whole.gather(1, items[:, None])[:, 0], scores.graph.log_probability(items).exp(), atol=1e-6)
    assert whole[0, 1:].tolist() == pytest.approx([1 / 9] * 9)


@pytest.mark.parametrize("hide", [False, True])
def test_on_the_input_side_only_the_items_that_are_seen_are_mixed(hide):
    model = hybrid(Fixed(alpha=0.3, side="input", level="embedding"), encoder="bert4rec").double().eval()
    places = [(0, 2)] if hide else []
    before = learned(model, places)[0].query
    with torch.no_grad():
        changed = torch.where(torch.arange(21)[:, None] == 4, 9.0, model.graph_table())
        model.graph_table = lambda: changed
    after = learned(model, places)[0].query
    assert torch.equal(before, after) == hide
