"""First item embeddings from co-occurrence, against a dense decomposition, and in the models that start from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data import cache
from hybrid_seq_gnn.graph import normalize, spectral
from hybrid_seq_gnn.graph.spectral import GRAPH, spectral_vectors
from hybrid_seq_gnn.model.encoder import OWN_SCORE
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.sasrec import SASRec
from tests.conftest import leave_last_two_out, make_sequences

ITEMS, ABSENT = 30, 31


@pytest.fixture
def world():
    """Histories of thirty items, and one item that nobody has had."""
    sequences = make_sequences([12, 5, 28, 20, 9, 30, 7, 16, 25, 4], num_items=ITEMS)
    sequences = replace(sequences, item_ids=np.arange(1, ABSENT + 1))
    return sequences, leave_last_two_out(sequences)


def pmi(world):
    graph = replace(GRAPH, weighting="pmi").build(*world)
    matrix = np.zeros((graph.nodes, graph.nodes))
    matrix[graph.source, graph.target] = graph.weight
    return matrix


@pytest.mark.parametrize("width", [1, 6, ITEMS, 50])
def test_dot_products_of_the_vectors_are_the_largest_parts_of_the_information(world, width):
    values, vectors = np.linalg.eigh(pmi(world))
    kept = np.argsort(-np.abs(values))[:width]
    found = spectral_vectors(*world, width)
    assert found.shape == (ABSENT + 1, width)
    expected = vectors[:, kept] * np.abs(values[kept]) @ vectors[:, kept].T
    assert np.allclose((found @ found.T).numpy(), expected, atol=0.01)


def test_held_out_items_leave_no_trace_in_the_vectors(world):
    sequences, split = world
    changed = sequences.items.copy()
    changed[sequences.indptr[1:] - 1] = changed[sequences.indptr[1:] - 2] = 7
    assert torch.equal(spectral_vectors(replace(sequences, items=changed), split, 6), spectral_vectors(*world, 6))
    changed[sequences.indptr[:-1]] = 7
    assert not torch.allclose(
        spectral_vectors(replace(sequences, items=changed), split, 6), spectral_vectors(*world, 6)
    )


def test_a_cache_holds_the_vectors_of_each_number_of_threads(world, tmp_path, monkeypatch):
    sequences, split = world
    monkeypatch.setattr(cache, "SLOW", 0.0)
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for _ in range(2):
            spectral_vectors(replace(sequences, cache=tmp_path), split, 6)
        assert len(list(tmp_path.glob("*.arrow"))) == threads


def test_histories_without_a_pair_give_vectors_of_zeros():
    sequences = make_sequences([3, 3], num_items=5)
    assert not spectral_vectors(sequences, leave_last_two_out(sequences), 4).any()


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
@pytest.mark.parametrize("width", [4, 64])
def test_a_model_starts_from_the_vectors_turned_and_scaled(world, kind, width):
    torch.manual_seed(0)
    model = kind(ABSENT, embedding_dim=width)
    before = model.items.weight.detach().clone()
    model.init_items(*world)
    after = model.items.weight.detach().clone()
    assert torch.equal(after[[0, ABSENT]], before[[0, ABSENT]])  # an item without a neighbour keeps its own
    vectors = spectral_vectors(*world, width)
    gram, expected = after[1:-1] @ after[1:-1].T, vectors[1:-1] @ vectors[1:-1].T
    assert torch.allclose(gram / gram.trace(), expected / expected.trace(), atol=1e-5)
    torch.manual_seed(1)
    model.init_items(*world)
    other = model.items.weight.detach()[1:-1]
    assert not torch.allclose(other, after[1:-1], atol=0.01)
    assert torch.allclose(other @ other.T, gram, atol=1e-4)
    own_scores = after[1:-1].square().sum(1) * width**0.5 / after[1:-1].norm(dim=1)  # a state: the item, of variance 1
    assert own_scores.square().mean().sqrt() == pytest.approx(OWN_SCORE, rel=1e-4)


def test_init_random_leaves_a_model_as_it_is(world):
    torch.manual_seed(0)
    model = SASRec(ABSENT, embedding_dim=8, init="random")
    before = model.items.weight.detach().clone()
    model.init_items(*world)
    assert torch.equal(model.items.weight, before)


def test_of_too_many_pairs_those_that_are_counted_most_are_used(world, monkeypatch):
    monkeypatch.setattr(normalize, "MOST_EDGES", 150)
    kept = GRAPH.build(*world)
    assert 0 < len(kept.source) <= 150
    counts = np.zeros((kept.nodes, kept.nodes))
    counts[kept.source, kept.target] = kept.weight
    degree = counts.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(np.log(counts * counts.sum() / np.outer(degree, degree)), nan=0.0, neginf=0.0)
    values, vectors = np.linalg.eigh(np.maximum(information, 0.0))
    found = spectral_vectors(*world, ABSENT + 1)
    assert np.allclose((found @ found.T).numpy(), vectors * np.abs(values) @ vectors.T, atol=0.01)


def test_vectors_that_took_long_are_taken_from_the_disk(world, tmp_path, monkeypatch):
    sequences, split = world
    monkeypatch.setattr(cache, "SLOW", 0.0)
    cached = replace(sequences, cache=tmp_path)
    first = spectral_vectors(cached, split, 6)
    monkeypatch.setattr(spectral, "decompose", None)
    assert torch.equal(spectral_vectors(cached, split, 6), first)
    with pytest.raises(TypeError):  # another width, another split: not the same vectors
        spectral_vectors(cached, split, 5)
    with pytest.raises(TypeError):
        spectral_vectors(cached, replace(split, train_end=split.train_end - 1), 6)
