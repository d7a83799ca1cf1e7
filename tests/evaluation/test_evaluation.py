import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.groups import LengthGroups, grouped_metrics
from hybrid_seq_gnn.evaluation.metrics import NAMES, metrics
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings


def test_a_model_without_opinion_ranks_last():
    assert rank_of_target(torch.zeros(2, 7), torch.tensor([0, 6])).tolist() == [7, 7]


def test_a_model_without_opinion_ranks_last_among_what_is_left_after_masking():
    history = torch.tensor([[2, 3, 0, 2]])
    assert rank_of_target(torch.zeros(1, 7), torch.tensor([5]), history).tolist() == [4]  # of items 1, 4, 5, 6


def test_nan_never_wins():
    scores = torch.tensor([[0.0, 1.0, float("nan"), 3.0]])
    assert rank_of_target(scores, torch.tensor([3])).tolist() == [2]
    assert rank_of_target(scores, torch.tensor([2])).tolist() == [4]
    assert rank_of_target(torch.full((1, 4), float("nan")), torch.tensor([1])).tolist() == [4]


def test_padding_and_history_are_no_candidates_but_the_target_always_is():
    scores = torch.tensor([[9.0, 8.0, 7.0, 6.0, 5.0]])
    history = torch.tensor([[1, 3, 0]])
    assert rank_of_target(scores, torch.tensor([4]), history).tolist() == [2]
    again = torch.tensor([3])  # the user has it once more
    assert rank_of_target(scores, again, history).tolist() == [2]


@given(
    arrays(np.float64, 8, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])), st.integers(1, 7), st.sets(st.integers(1, 7))
)
def test_a_rank_equals_counting_by_hand(scores, target, history):
    candidates = [i for i in range(1, 8) if i == target or i not in history]
    slow = 1 + sum(scores[i] >= scores[target] for i in candidates if i != target)
    padded = torch.tensor([sorted(history) + [0] * (8 - len(history))])
    assert rank_of_target(torch.tensor(scores)[None], torch.tensor([target]), padded).item() == slow


@given(st.permutations(range(1, 9)), st.integers(1, 8))
def test_a_rank_does_not_depend_on_the_numbering_of_items_nor_on_the_scale(order, target):
    scores = torch.tensor([3.0, 1.0, 1.0, 2.0, -5.0, 0.0, 7.0, 7.0, 1.5])
    moved = scores.clone()
    moved[list(order)] = scores[1:]
    there = list(order)[target - 1]
    rank = rank_of_target(scores[None], torch.tensor([target]))
    assert rank == rank_of_target(moved[None], torch.tensor([there]))
    assert rank == rank_of_target(moved[None].exp() * 3 - 1, torch.tensor([there]))


@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(1, 60)))
def test_metrics_equal_five_lines_of_python(ranks):
    found = metrics(ranks)
    assert tuple(found) == NAMES
    for k in (5, 10, 20):
        assert found[f"HR@{k}"] == pytest.approx(sum(r <= k for r in ranks) / len(ranks))
        assert found[f"NDCG@{k}"] == pytest.approx(sum(1 / math.log2(r + 1) for r in ranks if r <= k) / len(ranks))
        assert found[f"MRR@{k}"] == pytest.approx(sum(1 / r for r in ranks if r <= k) / len(ranks))


def test_groups_follow_the_true_length_and_the_long_one_exists():
    ranks, lengths = np.array([1, 2, 30, 4]), np.array([10, 11, 50, 51])
    found = grouped_metrics(ranks, lengths, LengthGroups())
    assert [found[name]["count"] for name in ("short", "medium", "long", "overall")] == [1, 2, 1, 4]
    assert found["medium"]["HR@10"] == 0.5
    assert found["long"]["MRR@10"] == 0.25
    assert found["overall"]["HR@10"] == 0.75


def test_an_empty_group_is_there_with_nulls():
    found = grouped_metrics(np.array([1]), np.array([5]), LengthGroups())
    assert found["long"] == {**dict.fromkeys(NAMES), "count": 0}


def test_thresholds_are_settings():
    assert LengthGroups(short=2, long=3).group_of(np.array([2, 3, 4])).tolist() == ["short", "medium", "long"]


@pytest.mark.parametrize(("short", "long"), [(50, 50), (60, 50), (0, 5)])
def test_thresholds_out_of_order_are_refused_by_name(short, long):
    with pytest.raises(ValueError, match=rf"evaluation\.groups\.short={short} evaluation\.groups\.long={long}"):
        LengthGroups(short=short, long=long)


def test_a_batch_of_nobody_is_refused_by_name():
    with pytest.raises(ValueError, match=r"evaluation\.batch_size=0"):
        EvaluationSettings(batch_size=0)


def test_alpha_statistics_are_by_group():
    found = alpha_statistics(np.array([0.2, 0.4, 0.9], dtype=np.float32), np.array([5, 8, 20]), LengthGroups())
    assert found["short"] == {
        "mean": pytest.approx(0.3),
        "std": pytest.approx(0.1),
        "min": pytest.approx(0.2),
        "max": pytest.approx(0.4),
        "count": 2,
    }
    assert found["long"] == {"mean": None, "std": None, "min": None, "max": None, "count": 0}
    assert found["overall"]["count"] == 3
