"""Models that only count, against the same thing written slowly."""

import itertools

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.model.counts import history_rows, sum_of_history
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.model.markov import Markov
from hybrid_seq_gnn.model.popularity import PopularityRecommender
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_sasrec import batch_of


@pytest.fixture
def world():
    sequences = make_sequences([6, 9, 12, 7, 15, 8, 10], num_items=20)
    return sequences, leave_last_two_out(sequences)


def matrix(sequences, split):
    x = np.zeros((sequences.num_users, 21))
    for user in range(sequences.num_users):
        x[user, sequences.history(user, split.train_end[user])] = 1
    return x


def test_ease_is_the_ridge_regression_without_a_diagonal(world):
    """Column j minimises |x_j - X b|^2 + l2 |b|^2 with b_j = 0: solved one column at a time."""
    x = matrix(*world)
    slow = np.zeros((21, 21))
    for j in range(21):
        others = [i for i in range(21) if i != j]
        some = x[:, others]
        slow[others, j] = np.linalg.solve(some.T @ some + 5.0 * np.eye(20), some.T @ x[:, j])
    assert np.allclose(EASE(*world, l2=5.0).weights.numpy(), slow, atol=1e-5)


def test_item_knn_is_the_shrunk_cosine_of_its_neighbours(world):
    x = matrix(*world)
    model = ItemKNN(*world, neighbours=100, shrink=2.0)
    for i in range(1, 21):
        for j in range(1, 21):
            both, one, other = x[:, i] @ x[:, j], x[:, i].sum(), x[:, j].sum()
            slow = 0.0 if i == j else both / (np.sqrt(one * other) + 2.0)
            assert model.similar[i, j].item() == pytest.approx(slow, abs=1e-6)
    few = ItemKNN(*world, neighbours=3, shrink=2.0).similar
    assert ((few > 0).sum(0) >= 3)[1:].any()
    assert torch.equal(few[few > 0], model.similar[few > 0])


def test_markov_is_what_followed_the_last_item(world):
    sequences, split = world
    follows = np.zeros((21, 21))
    for user in range(sequences.num_users):
        history = sequences.history(user, split.train_end[user]).tolist()
        for one, other in itertools.pairwise(history):
            follows[one, other] += 1
    rows = follows / np.maximum(follows.sum(1, keepdims=True), 1)
    scores = Markov(*world).next_item_scores(batch_of([5], [9])).all()
    assert np.allclose(scores.numpy(), rows[[5, 9]], atol=1e-6)


def test_popularity_counts_the_training_part(world):
    scores = PopularityRecommender(*world).next_item_scores(batch_of([5], [9])).all()
    assert np.array_equal(scores[0].numpy(), matrix(*world).sum(0))  # no user has an item twice here
    assert torch.equal(scores[0], scores[1])


@pytest.mark.parametrize("recency", [1.0, 0.7])
def test_the_sum_over_a_history_is_the_product_with_its_row_whatever_is_repeated_or_shorter(recency):
    batch = batch_of([3, 9, 3, 20], [7], [20, 20, 1], [5, 6, 7, 8])
    weights = torch.randn(21, 21, dtype=torch.float64)
    weights[0] = 1e9  # padding counts for nothing
    rows = torch.zeros(4, 21, dtype=torch.float64)
    for user, items in enumerate(batch.items.tolist()):
        had = [item for item in items if item]
        for back, item in enumerate(reversed(had)):
            rows[user, item] = max(rows[user, item], recency**back)
    assert torch.allclose(sum_of_history(batch, weights, recency), rows @ weights)
    assert torch.allclose(history_rows(batch, 21, recency).double(), rows)
