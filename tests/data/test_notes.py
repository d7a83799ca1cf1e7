"""What the log says of data that may mean something else."""

import numpy as np
import pytest

from hybrid_seq_gnn.data.events import events
from hybrid_seq_gnn.data.notes import missing_ids, repeats_history, time_span
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.data.table import Table
from tests.data.test_real_files import HEADER, parquet, table
from tests.data.test_sources import read


def of(source):
    return "\n".join(prepare(source).log)


@pytest.mark.parametrize("one", ["NA", "null", "\\N", "None", "nan", "  ", "<NA>"])
def test_an_id_that_looks_missing_is_counted(one):
    user, item = np.array([one, "u", one], object), np.array(["a", "b", "c"], object)
    said = f"events have the user {one!r}; if that means missing, remove them"
    assert missing_ids(events(user, item)) == [f"warning: 2 {said}"]
    assert missing_ids(events(item, user)) == [f"warning: 2 {said.replace('user', 'item')}"]


def test_ids_that_look_like_ids_are_not():
    assert not missing_ids(events(np.array(["Nan Goldin", "nana", "-"], object), np.array([0, 1, 2])))


def test_a_missing_user_shows_in_the_log(tmp_path):
    rows = "".join(f"{'NA' if k % 3 else 'u'},{k},{k}\n" for k in range(30))
    assert prepare(table(tmp_path, HEADER + rows)).log[0].startswith("warning: 20 events have the user 'NA'")


TIMES = [
    ([1_700_000_000, 1_700_086_400], "times: 2023-11-14 to 2023-11-15 (UTC, read as seconds since 1970)"),
    ([1_700_000_000_000, 1_700_086_400_000], "times: 2023-11-14 to 2023-11-15 (UTC, read as milliseconds since 1970)"),
    ([1_700_000_000, 1_700_086_400_000], "times: 1970-01-20 to 2023-11-15 (UTC, read as milliseconds since 1970)"),
    ([20200930, 20201001], "times: 20200930 to 20201001"),
    (["1500-01-02", "2020-09-30"], "times: 1500-01-02 to 2020-09-30 (UTC)"),
]


@pytest.mark.parametrize(("times", "said"), TIMES)
def test_the_first_and_last_time_show_in_which_unit_they_were_read(times, said, tmp_path):
    assert time_span(read(table(tmp_path, HEADER + f"u,a,{times[1]}\nu,b,{times[0]}\n"))) == [said]


def test_times_of_parquet_have_a_unit(tmp_path):
    days = np.array(["2020-09-30", "2020-10-01"], "datetime64[ms]")
    for times in (days, days.astype("datetime64[D]")):
        found = read(parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=times))
        assert time_span(found) == ["times: 2020-09-30 to 2020-10-01 (UTC)"]


def rows(time, order=1):
    lines = [f"{user},{user + k},{time(k)}\n" for user in range(20) for k in range(6)]
    return HEADER + "".join(lines[::order])


@pytest.mark.parametrize("order", [1, -1])
def test_held_out_items_whose_time_is_tied_are_told_once(order, tmp_path):
    log = of(table(tmp_path, rows(lambda k: k // 4, order)))
    said = "100 % of the held-out items have the time of the event before them, so the order of the file decides"
    assert log.count("have the time of") == 1
    assert said in log
    assert ("it has the newest events first: turn its rows around" in log) == (order < 0)


def test_a_few_ties_or_none_are_not_told(tmp_path):
    assert "the order of the file" not in of(table(tmp_path, rows(lambda k: k)))
    assert "the order of the file" not in of(table(tmp_path, rows(lambda k: max(k, 1))))
    assert "times:" not in of(table(tmp_path, rows(lambda k: k), timestamp=None))


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        ([30112023, 1122023, 5122023], "%d%m%Y"),
        ([11302023, 1302024], "%m%d%Y"),
        ([20231130, 20231201], None),
        ([30112023, 32112023], None),
        ([30112023, 31122999], None),
        ([3, 1122023], None),
    ],
)
def test_dates_written_as_digits_that_do_not_sort_are_said(times, time_format, tmp_path):
    lines = time_span(read(table(tmp_path, HEADER + "".join(f"1,{time},{time}\n" for time in times))))
    assert [line.split("data.time_format=")[1] for line in lines[1:]] == [time_format] * bool(time_format)
    if time_format:
        found = read(Table(path=str(tmp_path / "log.csv"), time_format=time_format)).timestamp
        assert (np.diff(found) > 0).all()


def walks(history, users=20):
    return HEADER + "".join(
        f"{user},{user * 10 + item},{k}\n" for user in range(users) for k, item in enumerate(history)
    )


@pytest.mark.parametrize(
    ("history", "last"), [((1, 2, 3, 4, 5, 1), False), ((1, 2, 1, 2, 3, 2, 4, 2), False), ((1, 2, 3, 4, 5, 5), True)]
)
def test_held_out_items_of_the_history_are_told_once(history, last, tmp_path):
    for others, told in ((0, True), (170, True), (190, False)):  # of 20 who repeat, among others who do not
        new = walks(range(100, 106), 20 + others).replace(HEADER, "").splitlines(keepends=True)[120:]
        log = of(table(tmp_path, walks(history) + "".join(new), f"{others}.csv"))
        assert log.count("of the held-out items are in the user's history already") == told
        assert log.count("evaluation.mask_history=false") == told
        assert ("repeat the event before them" in log) == (told and last)


def test_an_item_is_in_the_history_if_it_comes_before_and_by_the_same_user():
    items = [[1, 2, 3], [4, 1, 4, 4], [5, 3], [7, 8, 7, 9, 9], [2]]
    ends = np.cumsum([0, *map(len, items)])
    sequences = Sequences(ends, np.concatenate(items), None, np.arange(5), np.arange(1, 10))
    split = Split(*np.array([[1, 1, 1, 1, 1], [-1] * 5, [2, 1, 1, 3, -1]]))
    expected = [items[u][at] in items[u][:at] for u, at in enumerate(split.test) if at > 0]
    assert repeats_history(sequences, split).tolist() == expected == [False, False, False, False]
    split = Split(split.train_end, split.valid, np.array([2, 2, 1, 4, -1]))
    assert repeats_history(sequences, split).tolist() == [False, True, False, True]
