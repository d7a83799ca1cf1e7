import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hybrid_seq_gnn.negatives.uniform import Uniform
from tests.conftest import leave_last_two_out, make_sequences


def test_a_negative_is_never_padding_nor_seen_in_training(sequences, split):
    sampler = Uniform(sequences, split, num_negatives=500)
    users = torch.arange(sequences.num_users)
    ids, _ = sampler(users, users, None)
    for user in range(sequences.num_users):
        seen = set(sequences.history(user, split.train_end[user]).tolist())
        drawn = set(ids[user].tolist())
        assert not drawn & (seen | {0})
        assert drawn <= set(range(1, sequences.num_items + 1))


def test_held_out_items_may_be_drawn(sequences, split):
    ids, _ = Uniform(sequences, split, num_negatives=2000)(torch.tensor([0]), torch.tensor([1]), None)
    assert set(sequences.history(0, 3)[-2:].tolist()) <= set(ids[0].tolist())


def test_negatives_are_uniform_and_log_q_is_their_probability(sequences, split):
    torch.manual_seed(0)
    ids, log_q = Uniform(sequences, split, num_negatives=20_000)(torch.tensor([3]), torch.tensor([1]), None)
    unseen = sorted(set(range(1, 31)) - set(sequences.history(3, split.train_end[3]).tolist()))
    counts = np.array([(ids == item).sum().item() for item in unseen])
    assert counts.sum() == 20_000
    assert chisquare(counts).pvalue > 1e-3
    assert torch.allclose(log_q.exp(), torch.tensor(1 / len(unseen)))


def test_the_rows_of_a_user_may_share_negatives_that_follow_the_same_law(sequences, split):
    torch.manual_seed(0)
    sampler = Uniform(sequences, split, num_negatives=20_000, per="user")
    ids, log_q = sampler(torch.tensor([3, 3, 3, 5, 3]), torch.arange(5), None)
    assert (ids[0] == ids[1]).all() and (ids[1] == ids[2]).all()
    assert (ids[0] != ids[4]).any()  # another window of the same user
    for row, user in ((0, 3), (3, 5)):
        unseen = sorted(set(range(1, 31)) - set(sequences.history(user, split.train_end[user]).tolist()))
        counts = np.array([(ids[row] == item).sum().item() for item in unseen])
        assert counts.sum() == 20_000
        assert chisquare(counts).pvalue > 1e-3
        assert torch.allclose(log_q[row].exp(), torch.tensor(1 / len(unseen)))


def test_a_repeated_item_is_counted_once():
    sequences = make_sequences([40], num_items=5)
    sequences.items[:] = np.array([1, 2] * 20)
    ids, log_q = Uniform(sequences, leave_last_two_out(sequences), num_negatives=100)(
        torch.tensor([0]), torch.tensor([1]), None
    )
    assert set(ids[0].tolist()) == {3, 4, 5}
    assert torch.allclose(log_q.exp(), torch.tensor(1 / 3))


def test_a_user_who_has_had_everything_is_named():
    sequences = make_sequences([32], num_items=4)
    with pytest.raises(ValueError, match="user 100 has seen all 4 items"):
        Uniform(sequences, leave_last_two_out(sequences))


def test_no_negatives_are_refused(sequences, split):
    with pytest.raises(ValueError, match=r"negatives\.num_negatives=0"):
        Uniform(sequences, split, num_negatives=0)
