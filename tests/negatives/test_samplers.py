"""log q of every sampler against how often it draws what."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hybrid_seq_gnn.model.scores import DotScores
from hybrid_seq_gnn.negatives.dynamic import Dynamic
from hybrid_seq_gnn.negatives.hard import Hard
from hybrid_seq_gnn.negatives.in_batch import InBatch
from hybrid_seq_gnn.negatives.mixed import Mixed
from hybrid_seq_gnn.negatives.popularity import Popularity
from tests.conftest import leave_last_two_out, make_sequences

DRAWS = 40_000
USER = 3


@pytest.fixture
def world():
    sequences = make_sequences([3, 5, 8, 12, 30, 7, 4, 25, 9, 14])
    return sequences, leave_last_two_out(sequences)


def draw(sampler, users, targets):
    torch.manual_seed(0)
    return sampler(users, targets, None)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (Popularity, {"exponent": 0.75}),
        (Popularity, {"exponent": 0.0}),
        (Hard, {"pool": 5}),
        (Mixed, {"pool": 5, "hard_share": 0.3}),
    ],
)
def test_draws_follow_log_q(cls, settings, world):
    sequences, split = world
    sampler = cls(sequences, split, num_negatives=DRAWS, **settings)
    ids, log_q = draw(sampler, torch.tensor([USER]), torch.tensor([1]))
    seen = set(sequences.history(USER, split.train_end[USER]).tolist())
    drawn, counts = np.unique(ids.numpy(), return_counts=True)
    assert not seen & set(drawn.tolist())
    q = dict(zip(ids[0].tolist(), log_q[0].exp().tolist(), strict=True))
    expected = np.array([q[item] for item in drawn.tolist()])
    assert expected.sum() == pytest.approx(1.0, abs=1e-4)  # every item that can be drawn was, and q is whole
    assert chisquare(counts, DRAWS * expected / expected.sum()).pvalue > 1e-3


def test_in_batch_draws_follow_log_q_where_the_batch_is_all_of_training(world):
    sequences, split = world
    trained = [sequences.history(user, split.train_end[user])[1:] for user in range(sequences.num_users)]
    targets = torch.from_numpy(np.concatenate(trained))  # a user's first event is no target
    users = torch.full_like(targets, USER)
    ids, log_q = draw(InBatch(sequences, split, num_negatives=1000), users, targets)
    drawn, found = np.unique(ids.numpy(), return_counts=True)
    q = dict(zip(ids.flatten().tolist(), log_q.exp().flatten().tolist(), strict=True))
    expected = np.array([q[item] for item in drawn.tolist()])
    assert expected.sum() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(found / found.sum() - expected / expected.sum()).max() < 0.005


def test_an_item_that_no_target_is_counts_once_in_log_q(world):
    sequences, split = world
    later = {int(i) for u in range(sequences.num_users) for i in sequences.history(u, split.train_end[u])[1:]}
    never = next(i for i in range(1, sequences.num_items + 1) if i not in later)
    sampler = InBatch(sequences, split, num_negatives=5)
    targets = torch.full((8,), never)  # as BERT4Rec may predict it, if it is a first event
    user = next(u for u in range(sequences.num_users) if targets[0] not in sequences.history(u, split.train_end[u]))
    _, log_q = draw(sampler, torch.full_like(targets, user), targets)
    assert log_q.min().item() >= -np.log(sampler.count.sum().item())


def test_hard_negatives_are_the_most_popular_that_the_user_has_not_had(world):
    sequences, split = world
    counts = sequences.training_counts(split)
    sampler = Hard(sequences, split, num_negatives=500, pool=4)
    for user in range(sequences.num_users):
        seen = set(sequences.history(user, split.train_end[user]).tolist())
        slow = sorted((i for i in range(1, 31) if i not in seen), key=lambda i: (-counts[i], i))[:4]
        ids, _ = draw(sampler, torch.tensor([user]), torch.tensor([1]))
        assert set(ids[0].tolist()) == set(slow)


def test_a_user_who_has_had_all_popular_items_gets_the_next_ones():
    sequences = make_sequences([20, 4, 4], num_items=24)
    sampler = Hard(sequences, leave_last_two_out(sequences), num_negatives=50, pool=3)
    ids, log_q = draw(sampler, torch.tensor([0]), torch.tensor([1]))
    assert len(set(ids[0].tolist())) == 3
    assert torch.allclose(log_q.exp(), torch.tensor(1 / 3))


def test_dynamic_negatives_are_the_highest_scored_of_their_pool(world):
    sequences, split = world
    scores = DotScores(torch.ones(200, 1), torch.arange(31.0).unsqueeze(1))  # item i scores i
    users = torch.full((200,), USER)
    torch.manual_seed(0)
    ids, _ = Dynamic(sequences, split, num_negatives=1, pool=400)(users, users, scores)
    unseen = set(range(1, 31)) - set(sequences.history(USER, split.train_end[USER]).tolist())
    assert set(ids.flatten().tolist()) == {max(unseen)}


@pytest.mark.parametrize(
    ("cls", "setting"),
    [(Popularity, {"exponent": -1.0}), (Hard, {"pool": 0}), (Mixed, {"hard_share": 1.5}), (Dynamic, {"pool": 0})],
)
def test_a_bad_setting_is_refused_by_name(cls, setting, world):
    with pytest.raises(ValueError, match=rf"negatives\.{next(iter(setting))}="):
        cls(*world, **setting)
