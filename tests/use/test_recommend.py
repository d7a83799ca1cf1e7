"""A trained model, loaded without its data, recommends what its evaluation ranked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.use import load
from hybrid_seq_gnn.use.histories import of_lists, of_training, typed
from hybrid_seq_gnn.use.recommend import recommend, top_k
from tests.conftest import options
from tests.use.trained import KINDS, run_of


def test_every_model_of_the_catalogue_is_tried():
    assert {*options("model")} <= {*KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_a_held_out_item_is_its_rank(kind):
    run = run_of(kind)
    trained, per_user = run.trained, run.per_user.set_index("user")
    asked = of_training(trained, before="test")
    (found,) = recommend(trained, asked, trained.num_items)
    assert len(asked) == len(per_user) > 20
    for user, items, scores in zip(asked.users, found.items, found.scores, strict=True):
        (place,) = np.flatnonzero(items == trained.numbers([per_user.loc[user, "target"]])[0])
        at_least = int((scores >= scores[place]).sum())  # a tie counts against the held-out item
        assert at_least == per_user.loc[user, "rank"]
        assert place < at_least
    if found.alpha is not None:
        np.testing.assert_allclose(found.alpha, per_user.loc[asked.users, "alpha"], rtol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lightgcn"])
def test_a_model_needs_no_data_to_be_loaded(kind, monkeypatch):
    run = run_of(kind)
    monkeypatch.setitem(run.config["data"], "_target_", "nothing")
    trained = load.load_trained(load.choose(run.folder), "cpu")
    history = trained.item_ids[[3, 7, 1]].tolist()
    here = next(recommend(trained, typed(trained, history), 5))
    there = next(recommend(run.trained, typed(run.trained, history), 5))
    assert here.items.tolist() == there.items.tolist()
    assert here.scores.tolist() == there.scores.tolist()
    assert not {*here.items[0].tolist()} & {4, 8, 2}


@given(st.integers(1, 12), st.integers(0, 12), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_best_k_are_those_of_a_slow_sort(k, seen, random):
    scores = torch.tensor([[random.choice([0.0, 1.0, 2.0, -torch.inf, torch.nan]) for _ in range(13)]])
    had = torch.tensor([[random.randrange(13) for _ in range(seen)]], dtype=torch.long).reshape(1, seen)
    left = [j for j in range(1, 13) if j not in had[0] and torch.isfinite(scores[0, j])]
    expected = sorted(left, key=lambda j: (-float(scores[0, j]), j))[:k]
    items, best = top_k(scores, k, had)
    assert items[0].tolist() == expected + [0] * (k - len(expected))
    assert best[0, : len(expected)].tolist() == [float(scores[0, j]) for j in expected]
    for place, item in enumerate(expected):  # as the evaluation ranks, but for ties
        rank = int(rank_of_target(scores, torch.tensor([item]), had))
        assert place + 1 <= rank


def test_who_else_is_asked_for_changes_nothing():
    trained = run_of("hybrid").trained
    lists = [trained.item_ids[:n].tolist() for n in (5, 0, 12, 1)]
    together = next(recommend(trained, of_lists(trained, list("abcd"), lists), 4))
    for row, one in enumerate(lists):
        alone = next(recommend(trained, of_lists(trained, ["x"], [one]), 4))
        assert alone.items[0].tolist() == together.items[row].tolist()
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-5)


def test_an_empty_history_gets_what_is_popular():
    trained = run_of("sasrec").trained
    found = next(recommend(trained, of_lists(trained, ["x"], [[]]), 3))
    assert trained.counts is not None
    popular = sorted(range(1, trained.num_items + 1), key=lambda j: (-trained.counts[j], j))[:3]
    assert found.items[0].tolist() == popular


def test_unknown_items_are_left_out_and_counted():
    trained = run_of("hybrid").trained
    known = trained.item_ids[:3].tolist()
    asked = of_lists(trained, ["a", "b"], [["nothing", *known], ["other"]])
    assert (asked.unknown, asked.lengths.tolist()) == (2, [3, 0])
    assert asked.items.tolist() == [1, 2, 3]


def test_seen_items_are_candidates_where_the_user_says_so():
    run = run_of("hybrid")
    history = run.items[:4].tolist()
    without = run.recommend(history=history, k=26)
    assert not {*without["item"]} & {*history}
    assert {*run.recommend(history=history, k=30, include_seen=True)["item"]} == {*run.items}
    assert len(run.recommend(history=history, k=30)) == 26  # no more candidates


@pytest.mark.parametrize("k", [0, 31, -1])
def test_k_beyond_the_catalogue_is_refused(k):
    with pytest.raises(UserError, match=f"k={k}: expected a whole number from 1 to 30"):
        run_of("hybrid").recommend(history=run_of("hybrid").items[:2].tolist(), k=k)


def test_what_cannot_be_asked_is_said():
    run = run_of("hybrid")
    with pytest.raises(UserError, match="this model knows none of nothing, at all"):
        run.recommend(history=["nothing", "at all"])
    with pytest.raises(UserError, match="users: 12345 is not in the training data"):
        run.recommend(users=[12345])
    with pytest.raises(UserError, match="has learned a vector for each user"):
        run_of("lightgcn").recommend(history=run.items[:2].tolist())
    with pytest.raises(UserError, match="give events, a history or users"):
        run.recommend(users=[1], history=[2])
    with pytest.raises(UserError, match="the frame lacks the column user"):
        run.recommend(pd.DataFrame({"item": [1]}))


def test_ids_are_found_as_text_and_as_numbers():
    trained = run_of("hybrid").trained
    assert trained.item_ids.dtype.kind == "i"
    some = trained.item_ids[[4, 2]]
    assert trained.numbers(some).tolist() == [5, 3]
    assert trained.numbers([str(one) for one in some]).tolist() == [5, 3]
    assert trained.numbers(["x", "", "1.5"]).tolist() == [0, 0, 0]
    assert trained.numbers([]).tolist() == []


def test_other_data_than_those_of_the_training_are_not_taken_for_them(tmp_path):
    trained = run_of("hybrid").trained
    other = {**trained.config, "data": {**trained.config["data"], "seed": 5}}
    with pytest.raises(UserError, match="have changed since it was trained"):
        of_training(replace(trained, config=other))


def test_a_part_of_the_state_that_is_missing_or_has_no_place_is_named(tmp_path):
    model = build({"_target_": "hybrid_seq_gnn.model.sasrec.SASRec"}, num_items=3)
    state = dict(model.state_dict())
    with pytest.raises(UserError, match=r"does not fit its configuration: items\.weight"):
        load.put(model, {k: v for k, v in state.items() if k != "items.weight"}, tmp_path)
    with pytest.raises(UserError, match=r"does not fit its configuration: nowhere\.weight"):
        load.put(model, {**state, "nowhere.weight": torch.zeros(1)}, tmp_path)


@pytest.mark.parametrize("kind", ["lightgcn", "hybrid"])
def test_some_users_get_what_they_get_among_all(kind):
    run = run_of(kind)
    everyone = run.recommend(k=3)
    some = run.per_user["user"].tolist()[40:20:-3]
    found = run.recommend(users=some, k=3)
    assert list(dict.fromkeys(found["user"])) == some
    expected = pd.concat([everyone[everyone["user"] == user] for user in some], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
