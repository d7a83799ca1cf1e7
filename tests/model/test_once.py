import copy

import pytest
import torch

from hybrid_seq_gnn.evaluation.evaluate import evaluating
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.graph.sparse import propagated
from hybrid_seq_gnn.model.graph_side import GraphSide
from hybrid_seq_gnn.model.lightgcn import LightGCNRecommender
from hybrid_seq_gnn.training.average import WeightAverage
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_hybrid import hybrid
from tests.model.test_sasrec import batch_of


def recommender():
    sequences = make_sequences([3, 5, 8, 12], num_items=20)
    return LightGCNRecommender(20, sequences, leave_last_two_out(sequences), embedding_dim=8)


def of_hybrid(level):
    return hybrid(Fixed(alpha=0.4, level=level))


MODELS = {
    "embeddings": lambda: of_hybrid("embedding"),
    "scores": lambda: of_hybrid("score"),
    "graph side": lambda: GraphSide(of_hybrid("score")),
    "lightgcn": recommender,
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture
def products(monkeypatch):
    """One entry for each propagation over a graph."""
    made = []

    def counted(*arguments):
        made.append(arguments)
        return propagated(*arguments)

    for module in ("gnn.lightgcn", "model.lightgcn"):
        monkeypatch.setattr(f"hybrid_seq_gnn.{module}.propagated", counted)
    return made


BATCH = batch_of([3, 1, 4], [2, 2])


def ranked(model):
    with evaluating(model):
        return [model.next_item_scores(BATCH).all().clone() for _ in range(2)]


def test_a_ranking_propagates_the_graph_once(model, products):
    first, second = ranked(model)
    assert torch.equal(first, second)
    assert len(products) == 1


def test_changed_weights_are_ranked_as_without_the_kept_table(model):
    average = WeightAverage(model, 0.5)
    start = ranked(model)[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    scores, _, _ = model.training_scores(BATCH, torch.tensor([1, 4, 2, 2, 9]))
    scores.all()[:, 1:].sum().backward()
    optimizer.step()
    with torch.no_grad():
        slow = model.eval().next_item_scores(BATCH).all()
    assert not torch.allclose(slow, start)
    assert torch.equal(ranked(model)[0], slow)
    with average.in_place_of(model):
        assert torch.equal(ranked(model)[0], start)
    with torch.inference_mode():
        served = model.next_item_scores(BATCH).all()
        model.load_state_dict(average.weights, strict=False)
        assert torch.equal(served, slow)
        assert torch.equal(model.next_item_scores(BATCH).all(), start)


def test_other_tensors_in_the_place_of_weights_are_used_too(model):
    model.eval()
    with torch.inference_mode():
        start = model.next_item_scores(BATCH).all()
        other = {name: torch.randn_like(weight) for name, weight in model.named_parameters()}  # they count no changes
        model.load_state_dict(other, strict=False, assign=True)
        changed = model.next_item_scores(BATCH).all()
        assert not torch.allclose(changed, start)
        assert torch.equal(copy.deepcopy(model).next_item_scores(BATCH).all(), changed)
    ranked_with = []
    for value in (0.1, 0.2, 0.3):
        others = {name: value * torch.arange(weight.numel()).view(weight.shape).sin() for name, weight in other.items()}
        model.load_state_dict(others, strict=False, assign=True)
        with torch.inference_mode():
            ranked_with.append(model.next_item_scores(BATCH).all())
        with torch.no_grad():
            assert torch.equal(model.next_item_scores(BATCH).all(), ranked_with[-1])
    assert not torch.allclose(ranked_with[1], ranked_with[2])
