import logging
import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_seq_gnn.data import cache
from hybrid_seq_gnn.data.events import events
from hybrid_seq_gnn.data.filters import filter_events, repeated_events
from hybrid_seq_gnn.data.pairs import Pairs
from hybrid_seq_gnn.data.prepare import from_disk, prepare
from hybrid_seq_gnn.data.sequences import by_user
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.split import global_time, leave_one_out
from hybrid_seq_gnn.data.synthetic import Synthetic
from hybrid_seq_gnn.data.table import Table


def history(sequences, user):
    row = sequences.user_ids.tolist().index(user)
    return sequences.item_ids[sequences.history(row, sequences.lengths[row]) - 1].tolist()


def test_ties_of_time_keep_the_order_of_the_file():
    told = events(np.array([1, 2, 1, 1, 2]), np.array(["c", "x", "a", "b", "y"]), timestamp=np.array([5.0, 1, 5, 4, 1]))
    sequences = by_user(told)
    assert history(sequences, 1) == ["b", "c", "a"]
    assert history(sequences, 2) == ["x", "y"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60))
def test_sequences_equal_a_slow_stable_sort(rows):
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    sequences = by_user(events(user, item, timestamp=time.astype(np.float64)))
    for who in set(user.tolist()):
        assert history(sequences, who) == [
            i for _, i, _ in sorted((r for r in rows if r[0] == who), key=lambda r: r[2])
        ]
    assert sequences.items.min() >= 1
    assert sequences.items.max() == sequences.num_items


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40))
def test_an_event_repeats_where_an_earlier_row_is_the_same(rows):
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    expected = [row in rows[:k] for k, row in enumerate(rows)]
    assert repeated_events(events(user, item, timestamp=time)).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_users_and_items_are_numbered_as_they_appear_among_the_events_that_are_left(rows):
    user, item, keep = (np.array(column) for column in zip(*rows, strict=True))
    sequences = by_user(events(user, item).keep(keep))
    assert sequences.user_ids.tolist() == list(dict.fromkeys(user[keep].tolist()))
    assert sequences.item_ids.tolist() == list(dict.fromkeys(item[keep].tolist()))


def test_leave_one_out_holds_out_the_last_two():
    sequences = by_user(events(np.repeat([7, 8], [3, 5]), np.arange(8)))
    split = leave_one_out(sequences)
    assert split.train_end.tolist() == [1, 3]
    assert split.valid.tolist() == [1, 3]
    assert split.test.tolist() == [2, 4]


def test_leave_one_out_names_a_user_who_is_too_short():
    with pytest.raises(ValueError, match=r"1 users have fewer than 3 events \(user 8: 2\)"):
        leave_one_out(by_user(events(np.repeat([7, 8], [3, 2]), np.arange(5))))


def test_a_global_split_trains_on_nothing_that_came_after_the_first_moment():
    rng = np.random.default_rng(0)
    sequences = by_user(
        events(rng.integers(0, 30, 600), rng.integers(0, 50, 600), timestamp=rng.integers(0, 1000, 600).astype(float))
    )
    split = global_time(sequences, 0.1, 0.2)
    times = np.sort(sequences.timestamps)
    first, second = times[int(600 * 0.7)], times[int(600 * 0.8)]
    for user in range(sequences.num_users):
        when = sequences.timestamps[sequences.indptr[user] : sequences.indptr[user + 1]]
        assert (when[: split.train_end[user]] < first).all()
        assert (when[split.train_end[user] :] >= first).all()
        if (v := split.valid[user]) >= 0:
            assert first <= when[v] < second and v >= 1 and (when[:v] < first).all()
        if (t := split.test[user]) >= 0:
            assert when[t] >= second and t >= 1 and (when[:t] < second).all()
    assert (split.valid >= 0).any() and (split.test >= 0).any()


def test_a_global_split_needs_times():
    with pytest.raises(ValueError, match="needs timestamps"):
        global_time(by_user(events(np.array([1, 1]), np.array([1, 2]))), 0.1, 0.1)


def test_a_k_core_is_iterated_until_it_holds():
    # item 9 holds user 3 up, and user 3 holds item 9 up: both go only in the second round
    user = np.array([1, 1, 2, 2, 3, 3, 4])
    item = np.array([5, 6, 5, 6, 5, 9, 9])
    kept, log = filter_events(events(user, item), Synthetic(k_core=2, min_user_events=1, split="global_time"))
    assert sorted(set(kept.user_ids[kept.user].tolist())) == [1, 2]
    assert log[0] == "data.k_core=2: removed 3 of 7 events, 2 users, 1 items"


def test_each_filter_says_what_it_removed():
    told = events(np.array([1, 1, 1, 1, 2, 2]), np.array([5, 6, 7, 8, 5, 6]), rating=np.array([5.0, 4, 3, 4, 5, 1]))
    kept, log = filter_events(told, Synthetic(min_rating=4.0, min_user_events=3, max_users=1))
    assert len(kept) == 3
    assert log == [
        "data.min_rating=4: removed 2 of 6 events, 0 users, 1 items",
        "data.min_user_events=3: removed 1 of 4 events, 1 users, 0 items",
        "data.max_users=1: removed 0 of 3 events, 0 users, 0 items",
    ]


def test_max_users_keeps_the_first_in_the_file():
    told = events(np.array([9, 3, 9, 7, 3, 7, 9, 3, 7]), np.arange(9))
    kept, _ = filter_events(told, Synthetic(min_user_events=3, max_users=2))
    assert set(kept.user_ids[kept.user].tolist()) == {9, 3}


def test_a_rating_filter_without_ratings_is_refused():
    with pytest.raises(ValueError, match=r"data\.min_rating=4: these data have no ratings"):
        filter_events(events(np.array([1]), np.array([1])), Synthetic(min_rating=4.0))


@pytest.mark.parametrize("source", [Pairs, Table])
def test_without_times_dropping_duplicates_is_refused_and_not_advised(source, tmp_path):
    path, settings = tmp_path / "log.csv", {"timestamp": None} if source is Table else {}
    text = "user item\n" * (source is Table)
    text += "".join(f"{user} {item}\n" * 2 for user in range(30) for item in "abc")
    path.write_text(text.replace(" ", ",") if source is Table else text)
    warning = prepare(source(path=str(path), **settings)).log[-1]
    assert "100 % repeat the event before them" in warning
    assert "data.duplicates" not in warning
    with pytest.raises(ValueError, match=r"data\.duplicates=drop: these data have no times") as error:
        prepare(source(path=str(path), duplicates="drop", **settings))
    assert ("data.timestamp" in str(error.value)) == (source is Table)


def test_dropping_duplicates_is_not_advised_where_they_are_dropped(tmp_path):
    path, rows = tmp_path / "log.csv", [f"{user},{item // 2},{item}\n" for user in range(30) for item in range(6)]
    path.write_text("user,item,timestamp\n" + "".join(rows))
    last = [prepare(Table(path=str(path), duplicates=what)).log[-1] for what in ("keep", "drop")]
    assert all("100 % repeat the event before them" in line for line in last)
    assert ["data.duplicates=drop helps" in line for line in last] == [True, False]


def test_when_nobody_is_left_the_message_says_what_to_lower():
    with pytest.raises(ValueError, match=r"the longest history has 2 events.*Lower data\.min_user_events"):
        filter_events(events(np.array([1, 1, 2]), np.array([1, 2, 3])), Synthetic())


@pytest.fixture
def source(tmp_path) -> Source:
    return Synthetic(users=50, items=40, cache_dir=str(tmp_path / "cache"))


def only_file(tmp_path):
    (path,) = (tmp_path / "cache").iterdir()
    return path


def same(one, other):
    return (
        np.array_equal(one.sequences.items, other.sequences.items)
        and np.array_equal(one.split.test, other.split.test)
        and (one.data_hash, one.split_hash, one.log) == (other.data_hash, other.split_hash, other.log)
    )


def is_mapped(prepared):
    """Whether data come from the cache, which maps its files read-only."""
    return not prepared.sequences.items.flags.writeable


def test_what_the_cache_gives_is_what_was_made(source):
    made, found = from_disk(source), from_disk(source)
    assert not is_mapped(made) and is_mapped(found)
    assert same(made, found)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:99] + b"x" + raw[100:], lambda raw: b""])
def test_a_damaged_cache_is_made_anew_and_not_believed(damage, source, tmp_path, caplog):
    made = from_disk(source)
    path = only_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = from_disk(source)
    assert not is_mapped(again) and same(made, again)
    assert "is damaged; preparing the data again" in caplog.text
    assert is_mapped(from_disk(source))


def test_cached_data_are_mapped_into_memory_and_not_copied(source):
    from_disk(source)
    before = pa.total_allocated_bytes()
    found = from_disk(source)
    assert pa.total_allocated_bytes() - before < found.sequences.items.nbytes
    assert is_mapped(found)


def test_text_and_whole_numbers_come_back_from_the_cache(tmp_path):
    arrays = {"text": np.array(["ä", "", "7"], object), "large": np.array([2**63 - 1]), "none": np.zeros(0)}
    for stored in (False, True):
        back = cache.load_or_make(tmp_path, "x", lambda: arrays, always=True)
        assert (back is not arrays) == stored
        assert {name: values.tolist() for name, values in back.items()} == {k: v.tolist() for k, v in arrays.items()}


def test_what_is_made_quickly_is_not_stored(tmp_path):
    cache.load_or_make(tmp_path, "x", lambda: {"a": np.arange(3)})
    assert not list(tmp_path.iterdir())


def made_by(folder, made):
    def make():
        with made.get_lock():
            made.value += 1
        time.sleep(0.3)
        return {"a": np.arange(3)}

    assert cache.load_or_make(folder, "x", make, always=True)["a"].tolist() == [0, 1, 2]


def test_of_processes_that_start_together_one_makes_and_the_others_wait(tmp_path):
    fork = multiprocessing.get_context("fork")
    made = fork.Value("i", 0)
    workers = [fork.Process(target=made_by, args=(tmp_path, made)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert made.value == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]


def test_the_runs_of_one_process_share_their_data_in_memory(source):
    assert prepare(source) is prepare(source)
    assert prepare(replace(source, users=51)) is not prepare(source)
    without = replace(source, cache=False)
    assert prepare(without) is not prepare(without)


def test_another_file_or_setting_is_prepared_anew(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\n" + "".join(f"1,{k},{k}\n" for k in range(6)))
    first = prepare(Table(path=str(path)))
    assert not is_mapped(prepare(Table(path=str(path), min_user_events=4)))
    path.write_text("user,item,timestamp\n" + "".join(f"1,{k},{9 - k}\n" for k in range(6)))
    second = prepare(Table(path=str(path)))
    assert not is_mapped(second)
    assert first.split_hash != second.split_hash


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert prepare(Synthetic(users=20, cache_dir=str(tmp_path / "file" / "x"))).sequences.num_users == 20
    assert "not cached" in caplog.text


def hash_of(source):
    return prepare(source).split_hash


def test_two_processes_may_prepare_the_same_data_at_once(source, tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        hashes = pool.map(hash_of, [source] * 8)
    assert len(set(hashes)) == 1
    assert only_file(tmp_path)  # one file, and nothing left beside it
    assert is_mapped(from_disk(source))


def test_the_split_hash_knows_ids_order_and_roles():
    user, item = np.repeat([1, 2], 4), np.arange(8)
    base = by_user(events(user, item))
    split = leave_one_out(base)
    hashes = {
        split.hash(base),
        leave_one_out(by_user(events(user, item[::-1].copy()))).hash(by_user(events(user, item[::-1].copy()))),
        split.hash(by_user(events(user + 1, item))),
        type(split)(split.train_end - 1, split.valid, split.test).hash(base),
    }
    assert len(hashes) == 4
