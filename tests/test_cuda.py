"""On a CUDA device, models and losses compute what they compute on a CPU; without one, nothing here runs."""

import copy

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.evaluation.evaluate import evaluating, rank_users
from tests.conftest import leave_last_two_out, make_sequences, options
from tests.test_contracts import MIXTURES, criterion, recommender

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]

SAMPLED = {"bce", "bpr", "gbce", "sampled_softmax"}
COUNTED = {"popularity", "markov", "item_knn", "ease"}  # models without weights
HYBRIDS = [("embedding", "linear", "lightgcn"), ("embedding", "linear", "gat"), *MIXTURES]
MODELS = [{"model": name} for name in options("model") if name != "hybrid"]
MODELS += [{"level": level, "mix": mix, "gnn": gnn} for level, mix, gnn in HYBRIDS]
WAITING = {"bert4rec", "gat", "transitions", "evidence"}  # the device counts masked places, loops or edges


@pytest.fixture(scope="module")
def world():
    sequences = make_sequences([6, 9, 12, 7, 15, 8], num_items=20)
    return {"sequences": sequences, "split": leave_last_two_out(sequences)}


def step(model, loss, world, device):
    """The loss and all gradients of one step without dropout."""
    model, loss = copy.deepcopy(model).to(device), copy.deepcopy(loss).to(device)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if type(module).__name__ == "GATConv":  # importing PyTorch Geometric here would warn
            module.dropout = 0.0
    item = next(TrainingWindows(**world, max_length=10, batch_size=4).epoch(np.random.default_rng(0))).to(
        torch.device(device)
    )
    torch.manual_seed(0)
    value = loss(*model.training_scores(item.batch, item.targets))
    value.backward()
    return value.detach().cpu(), {k: w.grad.cpu() for k, w in model.named_parameters() if w.grad is not None}


def same(model, loss, world):
    (value, grads), (ours, our_grads) = (step(model, loss, world, device) for device in ("cpu", "cuda"))
    assert torch.allclose(value, ours, rtol=1e-4)
    assert grads.keys() == our_grads.keys() and grads
    for name, grad in grads.items():
        assert torch.allclose(grad, our_grads[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("kind", [each for each in MODELS if each.get("model") not in COUNTED], ids=str)
@pytest.mark.parametrize("loss", ["cross_entropy", "unseen"])
def test_a_step_of_training_is_that_of_a_cpu(kind, loss, world):
    if kind.get("model") == "bert4rec":
        pytest.skip("its masks are drawn by the device")
    same(recommender(world, **kind), criterion(world, loss), world)


@pytest.mark.parametrize("loss", sorted(SAMPLED))
@pytest.mark.parametrize("negatives", options("negatives"))
def test_a_step_with_drawn_negatives_is_finite(loss, negatives, world):
    value, grads = step(recommender(world, "sasrec"), criterion(world, loss, negatives), world, "cuda")
    assert value.isfinite() and all(grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize("kind", MODELS, ids=str)
def test_ranks_are_those_of_a_cpu(kind, world):
    model, ranks = recommender(world, **kind), []
    for device in (torch.device("cpu"), torch.device("cuda")):
        with evaluating(model.to(device)):
            positions = world["split"].valid
            ranking = rank_users(model, world["sequences"], positions, batch_size=2, mask=True, device=device)
            ranks.append(ranking.ranks.tolist())
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("kind", MODELS, ids=str)
@pytest.mark.parametrize("loss", ["cross_entropy", "unseen"])
def test_the_cpu_never_waits_in_a_step(kind, loss, world):
    name = kind.get("model", kind.get("gnn"))
    if name in WAITING | COUNTED:
        pytest.skip("waits, or has no step")
    device = torch.device("cuda")
    model, loss = recommender(world, **kind).to(device), criterion(world, loss).to(device)
    item = next(TrainingWindows(**world, max_length=10, batch_size=4).epoch(np.random.default_rng(0)))
    try:
        for mode in ("default", "error"):  # the first step makes what is kept for the others
            torch.cuda.set_sync_debug_mode(mode)
            there = item.to(device)
            loss(*model.training_scores(there.batch, there.targets)).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
