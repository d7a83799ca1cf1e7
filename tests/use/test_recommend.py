"""A trained model, loaded without its data, recommends what its evaluation ranked."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn import train
from hybrid_seq_gnn.data.events import encode
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.use import load, parts
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
    for asked in ({"history": run.items[:2]}, {"events": pd.DataFrame({"user": [1], "item": run.items[:1]})}):
        with pytest.raises(UserError, match="before=test is for users of the training data"):
            run.recommend(**asked, before="test")


@pytest.mark.parametrize("before", ["valid", "TEST", ""])
def test_a_moment_of_another_name_is_refused(before, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would speak first
    with pytest.raises(UserError, match=f"before={before}: expected now, test or validation"):
        run_of("hybrid").recommend(users=[1], before=before)


def test_ids_are_found_as_text_and_as_numbers():
    trained = run_of("hybrid").trained
    assert trained.item_ids.dtype.kind == "i"
    some = trained.item_ids[[4, 2]]
    assert trained.numbers(some).tolist() == [5, 3]
    assert trained.numbers([str(one) for one in some]).tolist() == [5, 3]
    assert trained.numbers(["x", "", "1.5"]).tolist() == [0, 0, 0]
    assert trained.numbers(some.astype(float)).tolist() == [5, 3]
    assert trained.numbers([f"{one}.0" for one in some]).tolist() == [5, 3]
    assert trained.numbers([]).tolist() == []


@pytest.mark.parametrize(
    "one", ["--5", "-", 0.5, float("nan"), float("inf"), 1e300, None, pd.NA, True, [5], 2**64, "9" * 19]
)
def test_what_is_no_whole_number_is_unknown(one):
    assert load.places(pd.Index([0, 1, 5]), [one, 5]).tolist() == [-1, 2]


COLUMNS = {
    "floats": pd.Series([11.0, 12.0]),
    "hashes": pd.Series([2**63 + 1, 7], dtype="uint64"),
    "fractions": pd.Series([1.5, 2.0]),
    "bytes": pd.Series([b"ab", b"c"]),
    "truths": pd.Series([True, False]),
    "text": pd.Series(["11.0", "x"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_the_ids_of_a_column_are_found_by_the_values_of_the_column(name):
    column = COLUMNS[name]
    _, ids = encode(pa.chunked_array([pa.Array.from_pandas(column)]))
    for values in (column, column.to_numpy(), column.tolist()):
        assert load.places(pd.Index(ids), values).tolist() == [0, 1]
    assert load.places(pd.Index(ids), [None, float("nan"), "nan"]).tolist() == [-1, -1, -1]


def test_text_ids_are_found_by_whole_floats_however_they_were_written():
    assert load.places(pd.Index(["12", "x", "None", "nan"]), [12.0, None, float("nan")]).tolist() == [0, -1, -1]
    assert load.places(pd.Index(["12.0", "x"]), [12.0, 12]).tolist() == [0, -1]
    assert load.places(pd.Index([str(2**60)]), [float(2**60)]).tolist() == [-1]  # may have been another


def test_items_that_arrive_as_floats_get_what_the_same_whole_numbers_get():
    run = run_of("hybrid")
    items = run.items[[4, 2, 9, 1]]
    frame = pd.DataFrame({"user": ["a", "a", "b", "b"], "item": items})
    expected = run.recommend(frame, k=5)
    pd.testing.assert_frame_equal(run.recommend(frame.astype({"item": float}), k=5), expected)
    one = run.recommend(history=[float(item) for item in items[:2]], k=5)
    assert one["item"].tolist() == expected[expected["user"] == "a"]["item"].tolist()
    users = run.per_user["user"].tolist()[:2]
    pd.testing.assert_frame_equal(run.recommend(users=map(float, users), k=5), run.recommend(users=users, k=5))


def test_a_run_with_64_bit_hashes_for_ids_is_trained_and_used(tmp_path):
    pl = pytest.importorskip("polars", reason="polars is not installed")
    user, item = np.repeat(np.arange(40), 6), np.random.default_rng(0).integers(0, 20, 240)
    log = pl.DataFrame({"user": user.astype(np.uint64) + 2**63, "item": item.astype(np.uint64) * 2**59 + 7})
    assert log["item"].max() > 2**63
    run = train({"frame": log, "timestamp": None, "cache": False}, folder=tmp_path / "run", model="markov")
    first = log["user"][0]
    found = run.recommend(log, k=3)
    assert found[found["user"] == first]["item"].tolist() == run.recommend(users=[first], k=3)["item"].tolist()
    assert {*found["item"]} <= {str(one) for one in log["item"]}
    assert {*run.per_user["user"]} == {str(one) for one in log["user"]}
    two = log.filter(pl.col("user") > 2**63 + 37)
    small = pl.DataFrame({"user": np.array([7, 7], dtype=np.uint64), "item": two["item"][:2]})
    assert {*run.recommend(pl.concat([two, small]), k=1)["user"]} == {2**63 + 38, 2**63 + 39, 7}


@pytest.mark.parametrize(
    ("items", "dtype", "kind"),
    [([None, 1, 2], pa.int64(), int), ([1, None, 2], pa.int32(), int), ([1, None, 2], pa.string(), str)],
    ids=["int64", "int32", "text"],
)
def test_a_null_in_a_list_is_unknown_and_leaves_the_others_what_they_are(items, dtype, kind, tmp_path):
    trained = run_of("hybrid").trained
    known = [None if one is None else kind(trained.item_ids[int(one)]) for one in items]
    table = pa.table({"user": [3, 4], "history": pa.array([known, [one for one in known if one]], pa.list_(dtype))})
    pq.write_table(table, tmp_path / "h.parquet")
    (found,) = parts.histories_in([str(tmp_path / "h.parquet")], trained, np.arange(2))
    first, second = np.split(found.items, found.indptr[1:-1])
    assert first.tolist() == second.tolist() == [int(one) + 1 for one in items if one is not None]
    rank = parts.Rank(str(trained.folder), "cpu")
    ranked = [rank(frame) for frame in (*parts.frames_in([str(tmp_path / "h.parquet")]), table)]
    pd.testing.assert_frame_equal(*ranked)
    assert ranked[0]["rank"].tolist()[1] > 0


def test_histories_without_a_user_or_a_list_are_refused(tmp_path):
    path = tmp_path / "h.parquet"
    pq.write_table(pa.table({"user": [3, None], "history": [[1], [2]]}), path)
    with pytest.raises(UserError, match=r"h\.parquet: a row has no user"):
        list(parts.frames_in([str(path)]))
    for history in (["11 12"], [11], [{"a": 1}]):
        pq.write_table(pa.table({"user": [3], "history": history}), path)
        with pytest.raises(UserError, match=r"the column history holds .*, and not lists of item ids"):
            parts.rows_in([str(path)])


@pytest.mark.parametrize("name", ["user", "item", "timestamp"])
@pytest.mark.parametrize("dtype", ["float64", "Int64", "object"])
def test_a_frame_with_a_missing_value_is_refused(name, dtype):
    frame = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 3], "timestamp": [1, 2, 3]}).astype({name: dtype})
    frame.loc[1, name] = None
    with pytest.raises(UserError, match=f"recommend: the frame has no {name} in row 2"):
        run_of("hybrid").recommend(frame)


def test_a_frame_of_other_items_is_refused_and_users_without_one_are_not():
    run = run_of("hybrid")
    with pytest.raises(UserError, match=r"recommend: this model knows none of 11\.5, x"):
        run.recommend(pd.DataFrame({"user": [1, 2], "item": [11.5, "x"]}))
    found = run.recommend(pd.DataFrame({"user": [1, 2], "item": [run.items[0], "x"]}), k=2)
    assert found["user"].tolist() == [1, 1, 2, 2]
    assert run.recommend(pd.DataFrame({"user": [], "item": []})).empty
    frame = pd.DataFrame({"user": pd.Categorical(["b"], ["a", "b"]), "item": run.items[:1]})
    assert run.recommend(frame, k=2)["user"].tolist() == ["b", "b"]


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
