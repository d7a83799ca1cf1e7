"""Weightings, pruning and the other graphs, against dense matrices and slow loops."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array

from hybrid_seq_gnn.graph import normalize
from hybrid_seq_gnn.graph.bipartite import Bipartite
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.normalize import entries, heaviest
from hybrid_seq_gnn.graph.transition import Transition
from tests.conftest import leave_last_two_out, make_sequences

ITEMS = 12


@pytest.fixture
def repeats():
    """Histories in which items come again."""
    sequences = make_sequences([3, 5, 8, 13, 30, 7, 4, 25], num_items=ITEMS)
    return sequences, leave_last_two_out(sequences)


def dense(graph):
    matrix = np.zeros((graph.nodes, graph.nodes))
    np.add.at(matrix, (graph.source, graph.target), graph.weight)  # an edge that is there twice counts twice
    return matrix


def slow_weighting(weight, weighting):
    """Entry by entry."""
    result = np.zeros_like(weight)
    for i, j in zip(*np.nonzero(weight), strict=True):
        w, out, into = weight[i, j], weight[i].sum(), weight[:, j].sum()
        result[i, j] = {
            "raw": w,
            "log": np.log(1 + w),
            "cosine": w / np.sqrt(out * into),
            "pmi": max(np.log(w * weight.sum() / (out * into)), 0),
        }[weighting]
    return result


@pytest.mark.parametrize("weighting", ["raw", "log", "cosine", "pmi"])
@pytest.mark.parametrize("graph", [Cooccurrence, Transition])
def test_a_weighting_equals_its_formula_entry_by_entry(graph, weighting, repeats):
    raw = dense(graph(decay=0.7).build(*repeats))
    found = graph(decay=0.7, weighting=weighting).build(*repeats)
    assert np.allclose(dense(found), slow_weighting(raw, weighting))
    assert found.weight.min() > 0  # an edge of weight 0 is no edge


@pytest.mark.parametrize("weighting", ["raw", "log", "cosine", "pmi"])
@pytest.mark.parametrize("top_k", [None, 2])
def test_a_cooccurrence_graph_is_undirected_whatever_its_options(weighting, top_k, repeats):
    found = Cooccurrence(decay=0.7, weighting=weighting, top_k=top_k, self_loops=True).build(*repeats)
    assert np.allclose(dense(found), dense(found).T, rtol=1e-12, atol=0)
    assert found.adjacency().symmetric


@pytest.mark.parametrize("top_k", [1, 3])
def test_top_k_keeps_an_edge_that_is_among_the_heaviest_of_either_end(top_k, repeats):
    raw = dense(Cooccurrence().build(*repeats))
    chosen = np.zeros_like(raw, dtype=bool)
    for i in range(len(raw)):
        heaviest = sorted(np.flatnonzero(raw[i]), key=lambda j: (-raw[i, j], j))[:top_k]
        chosen[i, heaviest] = True
    assert np.array_equal(dense(Cooccurrence(top_k=top_k).build(*repeats)), np.where(chosen | chosen.T, raw, 0))


def test_top_k_of_transitions_keeps_the_heaviest_edges_out_of_each_item(repeats):
    raw, found = dense(Transition().build(*repeats)), dense(Transition(top_k=2).build(*repeats))
    for row, kept in zip(raw, found, strict=True):
        heaviest = sorted(np.flatnonzero(row), key=lambda j: (-row[j], j))[:2]
        assert set(np.flatnonzero(kept)) == set(heaviest)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True, max_size=40),
    st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0]), min_size=40, max_size=40),
    st.integers(1, 5),
    st.integers(1, 50),
)
def test_the_heaviest_of_a_row_are_the_first_of_a_slow_sort(pairs, weights, top_k, at_a_time):
    matrix = coo_array((weights[: len(pairs)], np.array(pairs, dtype=int).reshape(-1, 2).T), shape=(7, 7)).tocsr()
    row, column, weight = entries(matrix)
    order = sorted(range(len(row)), key=lambda e: (row[e], -weight[e], column[e]))
    place = {e: k for i in range(7) for k, e in enumerate(e for e in order if row[e] == i)}
    expected = [(row[e], column[e], weight[e]) for e in range(len(row)) if place[e] < top_k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalize, "AT_A_TIME", at_a_time)
        assert list(zip(*entries(heaviest(matrix, top_k)), strict=True)) == expected


@pytest.mark.parametrize("graph", [Cooccurrence, Transition])
@pytest.mark.parametrize("most", [5, 50, 80])
def test_of_a_dense_graph_as_many_edges_are_kept_as_fit(graph, most, repeats, monkeypatch, caplog):
    whole = graph().build(*repeats)
    assert whole.top_k is None
    assert "top_k" not in whole.statistics()
    monkeypatch.setattr(normalize, "MOST_EDGES", most)
    with caplog.at_level("INFO"):
        found = graph().build(*repeats)
    assert f"of {len(whole.source)} edges between items, only the {found.top_k} heaviest of each" in caplog.text
    assert found.statistics()["top_k"] == found.top_k
    assert len(found.source) <= most or found.top_k == 1
    same = graph(top_k=found.top_k).build(*repeats)
    assert np.array_equal(dense(found), dense(same))
    counted = sum(min(found.top_k + 1, n) for n in np.bincount(whole.source))  # one more of each would be too many
    assert counted * (2 if graph is Cooccurrence else 1) > most


@pytest.mark.parametrize(("window", "decay", "min_count"), [(1, 1.0, 1), (3, 0.7, 1), (4, 0.5, 2)])
def test_a_transition_points_from_what_came_first_to_what_came_after(window, decay, min_count, repeats):
    sequences, split = repeats
    weight, count = Counter(), Counter()
    for user in range(sequences.num_users):
        history = sequences.history(user, split.train_end[user]).tolist()
        for t, then in enumerate(history):
            for s in range(max(t - window, 0), t):
                if history[s] != then:
                    weight[history[s], then] += decay ** (t - s - 1)
                    count[history[s], then] += 1
    graph = Transition(window=window, decay=decay, min_count=min_count).build(sequences, split)
    found = dict(zip(zip(graph.source.tolist(), graph.target.tolist(), strict=True), graph.weight, strict=True))
    assert found == {pair: pytest.approx(weight[pair]) for pair, n in count.items() if n >= min_count}


def test_the_bipartite_graph_joins_users_to_the_items_of_their_training_part(repeats):
    sequences, split = repeats
    expected = np.zeros((1 + ITEMS + sequences.num_users,) * 2)
    for user in range(sequences.num_users):
        for item in sequences.history(user, split.train_end[user]):
            expected[item, 1 + ITEMS + user] = expected[1 + ITEMS + user, item] = 1  # once, however often
    assert np.array_equal(dense(Bipartite().build(sequences, split)), expected)


@pytest.mark.parametrize("graph", [Cooccurrence(), Cooccurrence(weighting="pmi"), Transition(), Bipartite()])
def test_no_graph_stretches_what_it_smooths(graph, repeats):
    matrix = graph.build(*repeats).adjacency()
    values = np.zeros((matrix.size, matrix.size))
    row, column = (part.numpy() for part in matrix.edges())
    values[row, column] = matrix.value.numpy()
    assert np.linalg.norm(values, ord=2) <= 1 + 1e-6


def test_a_window_longer_than_any_history_is_all_pairs_and_costs_no_more(repeats):
    longest = dense(Cooccurrence(window=29).build(*repeats))
    assert np.array_equal(dense(Cooccurrence(window=10**12).build(*repeats)), longest)


def test_items_without_a_neighbour_are_counted_as_isolated():
    sequences = make_sequences([4, 3], num_items=9)
    found = Cooccurrence().build(sequences, leave_last_two_out(sequences)).statistics()
    assert found["isolated_items"] == 7  # two training events of one user make the only edge
    assert found["edges"] == 2


def test_histories_without_a_pair_make_a_graph_without_edges():
    sequences = make_sequences([3, 3], num_items=9)
    for graph in (Cooccurrence(), Cooccurrence(weighting="pmi", top_k=3), Transition(weighting="cosine")):
        found = graph.build(sequences, leave_last_two_out(sequences))
        assert found.statistics()["edges"] == 0
        assert found.statistics()["isolated_items"] == 9


@pytest.mark.parametrize("setting", [{"window": 0}, {"min_count": 0}, {"decay": 0.0}, {"top_k": 0}])
def test_a_bad_setting_of_transitions_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"graph\.{next(iter(setting))}="):
        Transition(**setting)
