"""What ranks mean, and that they depend on nothing but scores and history."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_seq_gnn.data import batches
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.evaluation.evaluate import evaluating, rank_users
from hybrid_seq_gnn.evaluation.groups import LengthGroups, grouped_metrics
from hybrid_seq_gnn.evaluation.metrics import metrics, per_user
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from tests.conftest import leave_last_two_out, make_sequences

ITEMS = 15
NOTHING = [-torch.inf, torch.inf, torch.nan, 0.0, torch.finfo(torch.float32).min, torch.finfo(torch.float32).max]


def masked_rank(scores, history, target):
    return rank_of_target(scores[None], torch.tensor([target]), torch.tensor([history])).item()


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_model_that_gives_every_item_the_same_ranks_last_whatever_it_gives(value, dtype):
    assert masked_rank(torch.full((8,), value).to(dtype), [2, 3, 0], 5) == 5  # of items 1, 4, 5, 6, 7


@pytest.mark.parametrize("value", [-torch.inf, torch.nan])
def test_a_target_that_the_model_rules_out_ranks_last(value):
    scores = torch.arange(8.0)
    scores[[5, 6]] = value
    assert masked_rank(scores, [1, 0], 5) == 6  # of items 2 to 7; item 6 is ruled out as well and ties


@given(st.lists(st.sampled_from([-1.0, 0.0, 2.0, *NOTHING]), min_size=8, max_size=8), st.sets(st.integers(1, 7)))
def test_a_rank_lies_between_one_and_the_number_of_candidates(scores, history):
    target = 4
    candidates = len(set(range(1, 8)) - history | {target})
    assert 1 <= masked_rank(torch.tensor(scores), sorted(history) or [0], target) <= candidates


@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, *NOTHING]), min_size=8, max_size=8), st.integers(1, 7))
def test_a_worse_score_never_gives_a_better_rank(scores, target):
    scores = torch.tensor(scores)
    worse = scores.clone()
    worse[target] = scores[target] - 1
    assert masked_rank(worse, [0], target) >= masked_rank(scores, [0], target)


def test_masking_leaves_the_scores_themselves_alone():
    scores = torch.randn(3, 6)
    before = scores.clone()
    rank_of_target(scores, torch.tensor([1, 4, 5]), torch.tensor([[1, 2], [3, 0], [0, 0]]))
    assert torch.equal(scores, before)


@dataclass
class Told:
    """Scores that were written down beforehand."""

    table: torch.Tensor
    alpha: torch.Tensor | None

    def all(self):
        return self.table


class Teller:
    """Scores by user alone; alpha is the last length that it saw."""

    max_length = 4

    def __init__(self, users, mixes=True):
        self.table = torch.randn(users, ITEMS + 1, generator=torch.Generator().manual_seed(0)).round(decimals=1)
        self.mixes, self.sizes = mixes, []

    def next_item_scores(self, batch):
        self.sizes.append(len(batch.users))
        return Told(self.table[batch.users], batch.length.amax(1) / 100 if self.mixes else None)


@pytest.fixture
def world():
    sequences = make_sequences([3, 5, 8, 12, 40, 7, 4, 25, 15, 3], num_items=ITEMS)  # 40 and 25: items come again
    return sequences, leave_last_two_out(sequences)


def ranking(model, sequences, positions, batch_size=3, mask=True):
    return rank_users(model, sequences, positions, batch_size=batch_size, mask=mask, device=torch.device("cpu"))


@pytest.mark.parametrize("mask", [True, False])
def test_ranks_equal_counting_one_user_at_a_time_over_the_full_history(world, mask):
    sequences, split = world
    model = Teller(sequences.num_users)
    found = ranking(model, sequences, split.test, mask=mask)
    for user, rank in zip(found.users, found.ranks, strict=True):
        history = sequences.history(user, split.test[user])
        target = sequences.items[sequences.indptr[user] + split.test[user]]
        others = [i for i in range(1, ITEMS + 1) if i != target and not (mask and i in history)]
        scores = model.table[user]
        assert rank == 1 + sum((scores[i] >= scores[target]).item() for i in others)


@given(st.integers(1, 12))
def test_ranks_do_not_depend_on_the_batch_size(batch_size):
    sequences = make_sequences([3, 5, 8, 12, 40, 7, 4, 25, 15, 3], num_items=ITEMS)
    positions = leave_last_two_out(sequences).test
    one, other = (ranking(Teller(10), sequences, positions, size) for size in (1, batch_size))
    for name in ("users", "ranks", "lengths", "alpha"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_lengths_and_alpha_belong_to_their_users_and_know_nothing_of_truncation(world):
    sequences, split = world
    found = ranking(Teller(sequences.num_users), sequences, split.test)
    assert found.lengths.tolist() == split.test.tolist()  # up to 39, though the model reads 4
    assert found.alpha.tolist() == pytest.approx((split.test / 100).tolist())


def test_users_without_a_target_are_not_ranked(world):
    sequences, split = world
    test = np.where(np.arange(10) % 3 == 0, -1, split.test)
    found = ranking(Teller(10), sequences, Split(split.train_end, split.valid, test).test)
    assert found.users.tolist() == [1, 2, 4, 5, 7, 8]
    assert len(found.ranks) == len(found.lengths) == len(found.alpha) == 6
    nobody = ranking(Teller(10), sequences, np.full(10, -1))
    assert (len(nobody.users), len(nobody.ranks), nobody.alpha) == (0, 0, None)
    assert metrics(nobody.ranks)["HR@10"] is None


def test_a_model_that_mixes_nothing_has_no_alpha(world):
    sequences, split = world
    assert ranking(Teller(10, mixes=False), sequences, split.test).alpha is None


def test_fewer_users_at_a_time_where_the_scores_would_fill_memory(world, monkeypatch):
    monkeypatch.setattr(batches, "SCORES_AT_A_TIME", 2 * (ITEMS + 1) + 1)
    model = Teller(10)
    ranking(model, world[0], world[1].test, batch_size=256)
    assert max(model.sizes) == 2
    monkeypatch.setattr(batches, "SCORES_AT_A_TIME", 1)
    ranking(model, world[0], world[1].test, batch_size=256)
    assert model.sizes[-1] == 1


def test_evaluation_mode_ends_even_when_something_breaks():
    model = torch.nn.Dropout()

    def breaks():
        with evaluating(model):
            assert not model.training
            assert not torch.is_grad_enabled()
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        breaks()
    assert model.training
    model.eval()
    with evaluating(model):
        pass
    assert not model.training


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 80)), min_size=1, max_size=40))
def test_the_overall_metric_is_the_mean_of_the_groups_weighted_by_their_counts(rows):
    ranks, lengths = np.array(rows).T
    found = grouped_metrics(ranks, lengths, LengthGroups())
    parts = [found[name] for name in ("short", "medium", "long")]
    assert sum(part["count"] for part in parts) == found["overall"]["count"] == len(rows)
    for name in per_user(ranks):
        total = sum(part[name] * part["count"] for part in parts if part["count"])
        assert total / len(rows) == pytest.approx(found["overall"][name])
