from collections import Counter

import numpy as np
import pytest
import scipy.sparse
import torch

from hybrid_seq_gnn.data import cache
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.items import ItemGraph
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from tests.conftest import leave_last_two_out, make_sequences


def slow_counts(sequences, split, window, decay):
    """Weight and number of pairs of each unordered pair of items, by two loops."""
    weight, count = Counter(), Counter()
    for user in range(sequences.num_users):
        history = sequences.history(user, split.train_end[user]).tolist()
        for s in range(len(history)):
            for t in range(s + 1, min(s + window, len(history) - 1) + 1):
                if history[s] != history[t]:
                    pair = frozenset((history[s], history[t]))
                    weight[pair] += decay ** (t - s - 1)
                    count[pair] += 1
    return weight, count


def edges(graph):
    return dict(zip(zip(graph.source.tolist(), graph.target.tolist(), strict=True), graph.weight.tolist(), strict=True))


@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize("decay", [1.0, 0.7])
@pytest.mark.parametrize("min_count", [1, 2])
def test_the_graph_equals_two_slow_loops(window, decay, min_count):
    sequences = make_sequences([3, 5, 8, 12, 30, 7, 4, 25], num_items=12)  # items come again in long histories
    split = leave_last_two_out(sequences)
    graph = Cooccurrence(window=window, decay=decay, min_count=min_count).build(sequences, split)
    weight, count = slow_counts(sequences, split, window, decay)
    expected = {}
    for pair, n in count.items():
        if n >= min_count:
            one, other = sorted(pair)
            expected[one, other] = expected[other, one] = pytest.approx(weight[pair])
    assert edges(graph) == expected


def test_a_graph_that_took_long_is_taken_from_the_disk_by_the_next_process(sequences, split, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SLOW", 0)
    built = ItemGraph.cached(tmp_path, "x", lambda: Cooccurrence(top_k=3).build(sequences, split))
    found = ItemGraph.cached(tmp_path, "x", lambda: pytest.fail("it is built again"))
    assert edges(found) == edges(built)
    assert found.statistics() == built.statistics()
    assert torch.equal(found.adjacency().value, built.adjacency().value)


def test_histories_shorter_than_the_window_count():
    sequences = make_sequences([4])
    graph = Cooccurrence(window=10).build(sequences, leave_last_two_out(sequences))
    one, other = sequences.items[:2].tolist()
    assert edges(graph) == {(one, other): 1.0, (other, one): 1.0}


def test_users_do_not_run_into_each_other():
    sequences = make_sequences([3] * 10)  # one training event each
    assert len(Cooccurrence().build(sequences, leave_last_two_out(sequences)).source) == 0


def test_a_held_out_item_leaves_no_trace(sequences, split):
    before = edges(Cooccurrence().build(sequences, split))
    for user in range(sequences.num_users):
        start, end = sequences.indptr[user] + split.train_end[user], sequences.indptr[user + 1]
        sequences.items[start:end] = sequences.items[start:end] % sequences.num_items + 1
    assert edges(Cooccurrence().build(sequences, split)) == before


def test_a_training_item_does_leave_one(sequences, split):
    before = edges(Cooccurrence().build(sequences, split))
    sequences.items[sequences.indptr[4]] = sequences.items[sequences.indptr[4]] % sequences.num_items + 1
    assert edges(Cooccurrence().build(sequences, split)) != before


def test_log_weighting_and_self_loops(sequences, split):
    raw = edges(Cooccurrence().build(sequences, split))
    assert edges(Cooccurrence(weighting="log").build(sequences, split)) == {
        k: pytest.approx(np.log1p(w)) for k, w in raw.items()
    }
    looped = edges(Cooccurrence(self_loops=True).build(sequences, split))
    heaviest = max(w for (one, _), w in raw.items() if one == 3)
    assert looped[3, 3] == heaviest
    assert len(looped) == len(raw) + sequences.num_items


def test_padding_has_no_edge_and_statistics_count(sequences, split):
    graph = Cooccurrence(window=1).build(sequences, split)
    assert graph.source.min() >= 1
    found = graph.statistics()
    degree = np.bincount(graph.source, minlength=31)[1:]
    assert (found["nodes"], found["edges"]) == (30, len(graph.source))
    assert found["isolated_items"] == (degree == 0).sum()
    assert found["degree"]["median"] == np.median(degree)
    assert found["density"] == pytest.approx(len(graph.source) / 900)


@pytest.mark.parametrize("setting", [{"window": 0}, {"min_count": 0}, {"decay": 0.0}, {"decay": 1.1}])
def test_a_bad_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"graph\.{next(iter(setting))}="):
        Cooccurrence(**setting)


def dense(matrix, size):
    return matrix(torch.eye(size, dtype=torch.float64))


def test_the_normalised_graph_has_spectral_radius_one_whatever_the_weights(sequences, split):
    graph = Cooccurrence().build(sequences, split)
    heavy = type(graph)(graph.num_items, graph.source, graph.target, graph.weight * 35)
    for some in (graph, heavy):
        values = np.linalg.eigvalsh(dense(some.adjacency(), 31).numpy())
        assert abs(values).max() == pytest.approx(1.0, abs=1e-6)


def test_normalisation_divides_by_weighted_degrees(sequences, split):
    graph = Cooccurrence().build(sequences, split)
    weights = np.zeros((31, 31))
    weights[graph.source, graph.target] = graph.weight
    degree = weights.sum(1)
    slow = weights / np.sqrt(np.outer(np.where(degree > 0, degree, 1), np.where(degree > 0, degree, 1)))
    assert np.allclose(dense(graph.adjacency(), 31).numpy(), slow, atol=1e-7)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_product_and_its_gradient_equal_the_dense_ones(symmetric):
    rng = np.random.default_rng(0)
    entries = scipy.sparse.random(9, 9, 0.3, random_state=rng).toarray()
    entries = entries + entries.T if symmetric else entries
    row, column = np.nonzero(entries)
    shuffled = rng.permutation(len(row))
    row, column = row[shuffled], column[shuffled]
    matrix = SparseMatrix(row, column, entries[row, column], 9).double()
    assert matrix.symmetric == symmetric
    x = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    full = torch.tensor(entries.astype(np.float32), dtype=torch.float64)
    weight = torch.randn(9, 4, dtype=torch.float64)
    assert torch.allclose(matrix(x), full @ x)
    ours = torch.autograd.grad((matrix(x) * weight).sum(), x)
    assert torch.allclose(ours[0], full.T @ weight)
