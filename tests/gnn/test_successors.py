"""What followed each item: counted in parts, pruned, counted once, kept on disk."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data import cache
from hybrid_seq_gnn.graph import pairs, successors
from hybrid_seq_gnn.graph.normalize import entries
from hybrid_seq_gnn.graph.pairs import ordered_pairs
from hybrid_seq_gnn.graph.successors import Successors
from tests.conftest import leave_last_two_out, make_sequences


@pytest.fixture
def world():
    sequences = make_sequences([3, 5, 8, 12, 30, 7, 4, 25], num_items=14)  # items come again
    return sequences, leave_last_two_out(sequences)


@pytest.mark.parametrize("size", [1, 50])
def test_pairs_counted_some_items_at_a_time_are_the_pairs_counted_at_once(size, world, monkeypatch):
    whole = ordered_pairs(*world, 4, 0.7)
    monkeypatch.setattr(pairs, "PAIRS_AT_A_TIME", size)
    assert len(list(pairs.blocks(*world, 4, 0.7))) > 3
    for one, other in zip(entries(whole), entries(ordered_pairs(*world, 4, 0.7)), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("top_k", "most"), [(2, 10**9), (2, 3), (None, 14 * 3)])
def test_the_heaviest_successors_are_kept_and_as_many_as_fit(top_k, most, world, monkeypatch):
    first, _, weight = entries(ordered_pairs(*world, 4, 0.7))
    monkeypatch.setattr(pairs, "PAIRS_AT_A_TIME", 50)
    rows = successors.count_rows(*world, 4, 0.7, top_k, most)
    assert rows.top_k == (top_k or 3)
    for item in range(15):
        own = slice(rows.start[item], rows.start[item + 1])
        heaviest = np.sort(weight[first == item])[::-1][: rows.top_k]
        assert np.sort(rows.count[own])[::-1] == pytest.approx(heaviest)
        assert (np.diff(rows.then[own]) > 0).all()
        assert rows.total[item] == pytest.approx(heaviest.sum())


def test_runs_of_one_process_count_once_and_share_no_tensor(world, monkeypatch):
    sequences, split = world
    monkeypatch.setattr(successors, "_cache", {})
    first = Successors(sequences, split, 3, 0.7)
    monkeypatch.setattr(successors, "count_rows", None)  # cannot be called
    second = Successors(sequences, split, 3, 0.7)
    first.count.zero_()
    assert second.count.min() > 0
    with pytest.raises(TypeError):
        Successors(sequences, split, 3, 0.8)
    sequences.items[0] = sequences.items[0] % 14 + 1
    with pytest.raises(TypeError):
        Successors(sequences, split, 3, 0.7)


def test_counts_that_took_long_are_taken_from_the_disk_by_the_next_process(world, tmp_path, monkeypatch):
    sequences, split = replace(world[0], cache=tmp_path), world[1]
    monkeypatch.setattr(cache, "SLOW", 0)
    monkeypatch.setattr(successors, "_cache", {})
    first = Successors(sequences, split, 3, 0.7, top_k=2)
    monkeypatch.setattr(successors, "_cache", {})
    monkeypatch.setattr(successors, "count_rows", None)  # cannot be called
    second = Successors(sequences, split, 3, 0.7, top_k=2)
    assert second.top_k == 2
    for one, other in zip(first.buffers(), second.buffers(), strict=True):
        assert torch.equal(one, other)
