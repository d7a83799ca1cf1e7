"""Ranks and metrics against scikit-learn, from scores to numbers."""

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.evaluation.metrics import CUTOFFS, metrics
from hybrid_seq_gnn.evaluation.ranks import rank_of_target

sklearn = pytest.importorskip("sklearn.metrics")

USERS, ITEMS = 60, 20


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((USERS, ITEMS + 1))
    return scores, rng.integers(1, ITEMS + 1, USERS)


def ours(scores, targets, history=None):
    history = torch.zeros(USERS, 1, dtype=torch.long) if history is None else history
    target = torch.from_numpy(targets)
    return metrics(rank_of_target(torch.from_numpy(scores), target, history).numpy())


@pytest.mark.parametrize("k", CUTOFFS)
def test_ndcg_and_hit_rate_equal_scikit_learns(k, world):
    scores, targets = world
    relevant = np.eye(ITEMS + 1)[targets][:, 1:]
    found = ours(scores, targets)
    assert found[f"NDCG@{k}"] == pytest.approx(sklearn.ndcg_score(relevant, scores[:, 1:], k=k))
    expected = (
        sklearn.top_k_accuracy_score(targets, scores[:, 1:], k=k, labels=range(1, ITEMS + 1)) if k < ITEMS else 1.0
    )
    assert found[f"HR@{k}"] == pytest.approx(expected)


def test_mrr_over_all_items_equals_scikit_learns_average_precision(world):
    scores, targets = world
    relevant = np.eye(ITEMS + 1)[targets][:, 1:]
    expected = sklearn.label_ranking_average_precision_score(relevant, scores[:, 1:])
    assert ours(scores, targets)["MRR@20"] == pytest.approx(expected)  # 20 items: nothing is cut off


def test_masking_the_history_is_leaving_these_items_out_of_scikit_learns_ranking(world):
    scores, targets = world
    history = torch.tensor([[1, 2, 3]]).repeat(USERS, 1)
    found = ours(scores, targets, history)["NDCG@5"]
    slow = []
    for row, target in zip(scores, targets.tolist(), strict=True):
        left = [i for i in range(1, ITEMS + 1) if i > 3 or i == target]
        slow.append(sklearn.ndcg_score([[float(i == target) for i in left]], [row[left]], k=5))
    assert found == pytest.approx(np.mean(slow))
