"""Ids and times as files have them: unchanged, and in the right order, or refused."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.errors import UserError
from tests.data.test_real_files import HEADER, parquet, refused, table
from tests.data.test_sources import read, told

# whole numbers


BIG = [1_700_000_000_000_000_707 - k for k in range(6)]


@pytest.mark.parametrize("times", [BIG, [-(2**62) - k for k in range(6)], [2**53 + 1, 2**53, 2**53 + 2]])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_whole_numbers_of_any_size_keep_their_order(times, ending, tmp_path):
    frame = pd.DataFrame({"user": 1, "item": range(len(times)), "timestamp": times})
    path = tmp_path / f"log.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    events = read(Table(path=str(path)))
    assert events.timestamp.dtype == np.int64
    assert events.timestamp.tolist() == times


def test_numbers_that_would_lose_their_order_are_refused(tmp_path):
    refused(table(tmp_path, HEADER + f"1,2,{2**53 + 1}.0\n1,3,4.5\n"), "data.timestamp", "2 ** 53")
    refused(table(tmp_path, HEADER + f"1,2,{2**64}\n"), "data.timestamp", "2 ** 53")


def test_nanoseconds_apart_are_apart(tmp_path):
    times = pa.array(np.array([100, 7, 50]) + 1_700_000_000_000_000_000, pa.timestamp("ns"))
    events = read(parquet(tmp_path, user=[1, 1, 1], item=[1, 2, 3], timestamp=times))
    assert events.timestamp.argsort().tolist() == [1, 2, 0]


# ids


IDS = [
    (pa.array([2**63 + 1, 7], pa.uint64()), [str(2**63 + 1), "7"]),
    (pa.array([2**63 - 1, 7], pa.uint64()), [2**63 - 1, 7]),
    (pa.array([123_456_789_012.0, 7.0]), [123_456_789_012, 7]),
    (pa.array([1_000_001.0, -0.0], pa.float32()), [1_000_001, 0]),
    (pa.array([1.5, 123_456_789_012.5]), ["1.5", "123456789012.5"]),
    (pa.array([5, -7], pa.int8()), [5, -7]),
    (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    (pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array(["b", "a", "unused"])), ["a", "b"]),
    (pa.array([Decimal("1.50"), Decimal("2.00")]), ["1.50", "2.00"]),
    (pa.array([True, False]), ["true", "false"]),
    (pa.array([b"ab", b"c"]), ["ab", "c"]),
    (pa.array(["007", "7"], pa.large_string()), ["007", "7"]),
    (pa.array(["9", "10"], pa.string_view()), [9, 10]),
    (pa.array(["é", " a"]), ["é", " a"]),
]


@pytest.mark.parametrize(("column", "expected"), IDS, ids=[f"{column.type} {column[0]}" for column, _ in IDS])
def test_ids_come_back_as_they_are_whatever_their_type_also_from_the_cache(column, expected, tmp_path):
    item = pa.array([str(k) for k in range(8)])
    pq.write_table(pa.table({"user": pa.concat_arrays([column] * 4), "item": item}), tmp_path / "x.parquet")
    source = Table(path=str(tmp_path / "x.parquet"), timestamp=None, min_user_events=3, cache_dir=str(tmp_path / "c"))
    made = prepare(source)
    assert made.sequences.user_ids.tolist() == expected
    shutil.copy(tmp_path / "x.parquet", tmp_path / "y.parquet")
    found = prepare(replace(source, path=str(tmp_path / "y.parquet")))
    assert not found.sequences.items.flags.writeable  # mapped from the cache
    assert found.sequences.user_ids.tolist() == expected
    assert found.split_hash == made.split_hash


def test_lists_and_bytes_that_are_no_text_are_no_ids(tmp_path):
    refused(parquet(tmp_path, user=[b"\xff"], item=[1], timestamp=[1]), "data.user", "UTF-8")
    refused(parquet(tmp_path, user=[[1], [2]], item=[1, 2], timestamp=[1, 2]), "data.user", "no id")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([2.0**53]), "floats beyond 2 ** 53"),
        (pa.array([2.0**24], pa.float32()), "floats beyond 2 ** 24"),
        (pa.array([1.0, float("nan")]), "no finite numbers"),
    ],
    ids=["double", "float", "nan"],
)
def test_floats_that_may_have_been_another_id_are_refused(column, said, tmp_path):
    refused(parquet(tmp_path, user=[1] * len(column), item=column, timestamp=[1] * len(column)), "data.item", said)


def test_one_long_id_costs_what_it_is_long(tmp_path):
    rows = [f"{user},{item},{item}\n" for user in range(300) for item in range(user, user + 6)]
    source = table(tmp_path, HEADER + "".join(rows) + "".join(f"1,{'x' * 100_000},{k}\n" for k in range(1)))
    source = replace(source, cache_dir=str(tmp_path / "cache"))
    assert prepare(source).sequences.item_ids.dtype == object
    (cached,) = (tmp_path / "cache").iterdir()
    assert cached.stat().st_size < 1 << 20


def test_only_line_feeds_end_the_lines_of_a_sequence_file(tmp_path):
    path = tmp_path / "s.txt"
    path.write_bytes("1\ta\u2028b c\x0bd\r\n2\te f\n".encode())
    assert told(read(SequencesFile(path=str(path), separator="\t"))) == [(1, "a\u2028b c\x0bd"), (2, "e f")]


# times


ISO = ["2020-09-13T12:26:40Z", "2020-09-13T14:26:41+02:00", "2020-09-13T12:26:42.5Z"]


@pytest.mark.parametrize(
    "times",
    [ISO, ["2020-09-13", "2020-09-14"], ["2020-09-13 12:26:40", "2020-09-13 12:26:41"], ["1e3", "2000"], ["-5", "7"]],
)
def test_dates_and_numbers_as_text_sort_as_they_should(times, tmp_path):
    rows = "".join(f"1,{k},{time}\n" for k, time in enumerate(times))
    order = read(table(tmp_path, HEADER + rows)).timestamp
    assert (np.diff(order) > 0).all()


@pytest.mark.parametrize(
    "others", [("2020-09-13T12:26:41", "2020-09-13 12:26:42"), ("2020-09-14", "2020-09-14T02+01:00")]
)
def test_a_time_without_a_zone_is_utc_also_among_others_with_one(others, tmp_path):
    first, second = (read(table(tmp_path, HEADER + f"1,1,{ISO[0]}\n1,2,{one}\n")).timestamp[1] for one in others)
    assert second - first in (10**9, 3600 * 10**9)
    refused(table(tmp_path, HEADER + f"1,1,{ISO[0]}\n1,2,{others[0]}\n1,3,noon\n"), "line 4: expected an ISO 8601 date")


def test_other_dates_are_read_by_their_format(tmp_path):
    text = HEADER + "1,1,13.09.2020 14:00\n1,2,02.10.2020 09:00\n"
    refused(table(tmp_path, text), "line 2", "ISO 8601")
    times = read(table(tmp_path, text, time_format="%d.%m.%Y %H:%M")).timestamp
    assert np.diff(times).tolist() == [(18 * 24 + 19) * 3600 * 10**9]
    refused(table(tmp_path, text + "1,3,soon\n", time_format="%d.%m.%Y %H:%M"), "line 4", "%d.%m.%Y %H:%M")


def test_a_date_far_from_today_is_read_in_microseconds(tmp_path):
    text = HEADER + "1,1,01/02/1500 10:00\n1,2,02/02/1500 10:00\n1,3,01/02/{} 10:00\n"
    for year in (2020, 9999):
        times = read(table(tmp_path, text.format(year), time_format="%d/%m/%Y %H:%M")).timestamp
        expected = [datetime(1500, 2, 1, 10, tzinfo=UTC), datetime(1500, 2, 2, 10, tzinfo=UTC)]
        expected.append(datetime(year, 2, 1, 10, tzinfo=UTC))
        start = datetime(1970, 1, 1, tzinfo=UTC)
        assert times.tolist() == [(time - start) // timedelta(microseconds=1) for time in expected]


@pytest.mark.parametrize(
    ("time_format", "said"),
    [
        ("mixed", "no directive"),
        ("%s", "'s' is a bad directive"),
        ("%d.%m.%", "stray %"),
        ("%Y %Y", "redefinition"),
        ("%G-%m-%d", "'%G'"),
    ],
)
def test_a_format_that_cannot_be_is_refused_at_once(time_format, said):
    with pytest.raises(UserError, match=rf"data\.time_format={time_format}: .*{said}.*strptime"):
        Table(time_format=time_format)


def test_one_broken_time_among_many_is_named_by_its_line(tmp_path):
    refused(table(tmp_path, HEADER + "1,2,3\n" * 50 + "1,2,2020-09-13\n"), "line 52", "expected a number as timestamp")
    refused(table(tmp_path, HEADER + f"1,2,{ISO[0]}\n" * 50 + "1,2,7\n"), "line 52")


START = datetime(2020, 9, 13, 12)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_parquet_dates_of_every_unit_and_zone_are_read(unit, zone, tmp_path):
    times = pa.array([START + timedelta(seconds=k) for k in (3, 1, 2)], pa.timestamp(unit, zone))
    events = read(parquet(tmp_path, user=[1, 1, 1], item=[1, 2, 3], timestamp=times))
    assert events.timestamp.argsort().tolist() == [1, 2, 0]


def test_parquet_days_and_text_are_read(tmp_path):
    days = pa.array([START.date(), START.date() - timedelta(days=1)])
    assert np.diff(read(parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=days)).timestamp).tolist() == [-1]
    text = [datetime(2020, 9, 13, tzinfo=UTC).isoformat(), "2020-09-13T00:00:01Z"]
    assert np.diff(read(parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=text)).timestamp).tolist() == [10**9]


def test_one_moment_for_all_events_cannot_be_split_by_time(tmp_path):
    rows = "".join(f"{user},{item},5\n" for user in range(9) for item in range(6))
    with pytest.raises(ValueError, match="all events have the same time; use leave_one_out"):
        prepare(table(tmp_path, HEADER + rows, split="global_time"))
