"""A fault is named with its file, its row and its value, and nothing is lost or rounded before that."""

import gzip
import lzma
import re
import shlex
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybrid_seq_gnn.data.movielens import MovieLens1M, MovieLens20M
from hybrid_seq_gnn.data.notes import time_span
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.recbole import RecBole
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.errors import UserError
from tests.data.test_real_files import HEADER, parquet, refused, table
from tests.data.test_sources import archive, read, told


def parts(folder, *columns):
    """A folder of Parquet files that have these columns beside ids."""
    folder.mkdir()
    for k, each in enumerate(columns):
        ids = range(len(next(iter(each.values()))))
        pq.write_table(pa.table({"user": ids, "item": ids, "timestamp": ids, **each}), folder / f"{k}.parquet")
    return Table(path=str(folder), rating="rating" if "rating" in columns[0] else None)


# the file, the row and the value


def test_the_part_with_the_fault_is_named_with_row_and_value(tmp_path):
    dates = {"timestamp": pa.array(["2020-01-01", "2020-01-02"])}, {"timestamp": pa.array(["2020-01-03", "gestern"])}
    refused(parts(tmp_path / "a", *dates), "1.parquet, row 2: column 'timestamp'", "got 'gestern'")
    ratings = {"rating": [1.0, 2.0]}, {"rating": [3.0]}, {"rating": [float("nan"), 4.0]}
    refused(parts(tmp_path / "b", *ratings), "2.parquet, row 1: column 'rating'", "got 'nan'")
    mixed = {"rating": [1, 2]}, {"rating": pa.array([3.5, float("inf")])}
    refused(parts(tmp_path / "mixed", *mixed), "1.parquet, row 2: column 'rating'", "got 'inf'")
    refused(parts(tmp_path / "c", {"item": [[1], [2]]}), "0.parquet: column 'item' (data.item) holds list")
    types = {"timestamp": [1]}, {"timestamp": [2]}, {"timestamp": pa.array([3]).cast(pa.timestamp("s"))}
    refused(parts(tmp_path / "d", *types), "2.parquet has columns of other types")


READ_BY_PYTHON = ["2020-01-01 10:00:00 +0000", "20200101T101010", "2020-W01-1", "2020-01-01T10:00:00,5", "1_000"]
READ_BY_PYTHON += ["2020-01-01T10:00:00.1234567890", str(2**64), f"{2**53}.0"]


@pytest.mark.parametrize("time", READ_BY_PYTHON)
@pytest.mark.parametrize("before", [0, 1, 1000])
def test_a_time_that_python_reads_and_arrow_does_not_is_named_by_its_line(time, before, tmp_path):
    good = "1,2,3\n" if re.fullmatch(r"[\d_.]+", time) else "1,2,2020-01-01\n"
    text = f'{HEADER}\n{good * before}1,2,"{time}"\n{good * 99}'
    refused(table(tmp_path, text), f"log.csv, line {before + 3}: column 'timestamp'", time)
    (tmp_path / "log").mkdir()
    for name, content in {"a": HEADER + good * 5, "b": text}.items():
        table(tmp_path / "log", content, name)
    refused(Table(path=str(tmp_path / "log")), f"/b, line {before + 3}: column 'timestamp'", time)


def test_lines_are_counted_from_the_first_of_the_file(tmp_path):
    rows = "1,2,2020-01-01\n1,3,20200101T101010\n"
    refused(table(tmp_path, f"\n\n{HEADER}{rows}"), "log.csv, line 5: column 'timestamp'")
    refused(table(tmp_path, rows, columns=("user", "item", "timestamp")), "log.csv, line 2: column 'timestamp'")
    refused(table(tmp_path, f"\n{rows}", columns=("user", "item", "timestamp")), "log.csv, line 3: column 'timestamp'")


def test_an_id_with_a_line_break_is_named_by_its_line(tmp_path):
    text = HEADER + '1,2,3\n1,"4\n5",3\n'
    refused(table(tmp_path, text, quotes="multiline"), "log.csv, line 3: column 'item'", r'1,"4\n5",3')


def test_a_bad_date_under_a_format_gets_no_advice_to_set_one(tmp_path):
    with pytest.raises(UserError, match=r"line 2: expected a date written %d\.%m\.%Y") as error:
        read(table(tmp_path, HEADER + "1,2,soon\n", time_format="%d.%m.%Y"))
    assert "with data.time_format" not in str(error.value)


# rounded values


@pytest.mark.parametrize("kind", [pa.float32(), pa.float16()])
@pytest.mark.parametrize("other", [pa.int64(), pa.float64(), None])
def test_times_that_their_type_has_rounded_are_refused_also_beside_other_parts(kind, other, tmp_path):
    most = 2048 if kind == pa.float16() else 2**24
    good, bad = (pa.array(np.array(each, kind.to_pandas_dtype())) for each in ([5, most - 1], [5, most + 1]))
    first = {"timestamp": pa.array([7, 8], other or kind)}
    for name, column in {"good": good, "bad": bad}.items():
        source = parts(tmp_path / name, first, {"timestamp": column})
        if name == "bad":
            refused(source, "1.parquet, row 2: column 'timestamp'", "floats beyond 2 ** ", str(most))
        else:
            assert read(source).timestamp.tolist() == [7, 8, 5, most - 1]


def test_digits_of_dates_in_float32_are_refused(tmp_path):
    source = parquet(tmp_path, user=[1], item=[1], timestamp=pa.array([20200931.0], pa.float32()))
    refused(Table(path=source.path, time_format="%Y%m%d"), "floats beyond 2 ** 24")


RATINGS = [k / 10 for k in range(101)]
KINDS = {
    "float16": pa.array(np.array(RATINGS, np.float16)),
    "float32": pa.array(RATINGS, pa.float32()),
    "decimal": pa.array([Decimal(k) / 10 for k in range(101)], pa.decimal128(5, 1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_rating_is_the_number_that_is_shown_also_beside_other_parts(kind, tmp_path):
    for name, first in {"alone": [], "mixed": [{"rating": pa.array([6.7])}]}.items():
        assert read(parts(tmp_path / name, *first, {"rating": KINDS[kind]})).rating.tolist()[len(first) :] == RATINGS
    rows = {"user": [1] * 101, "item": list(range(101)), "timestamp": list(range(101)), "rating": KINDS[kind]}
    source = Table(path=parquet(tmp_path, **rows).path, rating="rating", min_rating=6.7, cache=False)
    assert len(prepare(source).sequences.items) == 34


def test_minutes_of_am_and_pm_are_not_ignored(tmp_path):
    for wrong in ("%m/%d/%Y %H:%M %p", "%p %H"):
        with pytest.raises(UserError, match="use %I with %p"):
            Table(time_format=wrong)
    rows = HEADER + "1,2,1:05 AM 2020\n1,3,1:05 PM 2020\n"
    assert np.diff(read(table(tmp_path, rows, time_format="%I:%M %p %Y")).timestamp).tolist() == [12 * 3600 * 10**9]
    assert Table(time_format="%H %%p").time_format


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        ([301120231530, 11220231530], "%d%m%Y%H%M"),
        ([113020231530, 13020240959], "%m%d%Y%H%M"),
        ([30112023153059, 1122023153059], "%d%m%Y%H%M%S"),
        ([202309301530, 202310011530], None),
        ([301120231530, 301120232530], None),
    ],
)
def test_digits_of_dates_with_a_time_of_day_that_do_not_sort_are_said(times, time_format, tmp_path):
    lines = time_span(read(table(tmp_path, HEADER + "".join(f"1,{time},{time}\n" for time in times))))
    assert [line.split("data.time_format=")[1] for line in lines[1:]] == [time_format] * bool(time_format)


# events that were lost


TWO = [(HEADER + "1,2,3\n" * 99).encode(), b"1,5,4\n1,6,5\n"]


def test_all_streams_of_an_xz_file_are_read_and_nothing_else_follows_them(tmp_path, monkeypatch):
    one, two = map(lzma.compress, TWO)
    for chunk in (1 << 24, 7):
        monkeypatch.setattr("hybrid_seq_gnn.data.raw.CHUNK", chunk)
        for raw in (one + two, one + bytes(8) + two + bytes(512)):
            assert len(read(table(tmp_path, raw))) == 101
        assert len(read(table(tmp_path, one + two + two))) == 103
        damaged = bytes([*two[:1], two[1] ^ 1, *two[2:]])
        for after in (damaged, gzip.compress(TWO[1]), b"rest", two[:4], two[:-9]):
            refused(table(tmp_path, one + after), "log.csv cannot be read")


STRAY = HEADER.replace("\n", ",text\n") + '1,2,3,"abc\n' + "1,4,5,x\n" * 40 + '1,6,7,y"\n' + "1,8,9,z\n" * 3


def test_quoted_fields_that_swallow_events_are_told(tmp_path):
    (note,) = read(table(tmp_path, STRAY, quotes="multiline")).notes
    assert "log.csv, line 2: a quoted field runs over 41 lines that look like events" in note
    assert note in prepare(table(tmp_path, STRAY + "1,9,10,z\n", quotes="multiline")).log
    for end, separator in (("\r\n", ","), ("\n", "::")):
        text = STRAY.replace("\n", end).replace(",", separator)
        assert "41 lines" in read(table(tmp_path, text, quotes="multiline", separator=separator)).notes[0]
    assert "41 lines" in read(table(tmp_path, STRAY, quotes="multiline", timestamp=None)).notes[0]


def test_quoted_fields_of_ordinary_text_are_not(tmp_path):
    text = HEADER.replace("\n", ",text\n") + '1,2,3,"so, la, la, la\nand, so, on, on"\n1,3,4,"a,b,c,d\ne"\n'
    for time in ("timestamp", None):
        assert not read(table(tmp_path, text, quotes="multiline", timestamp=time)).notes


def test_a_header_beside_names_is_no_event(tmp_path):
    columns = {"columns": ("user", "item", "timestamp"), "header": True}
    refused(table(tmp_path, "1,4,5\n1,5,6\n", **columns), "log.csv: data.header=true passes over", "'1,4,5'")
    (tmp_path / "log").mkdir()
    for name, text in {"0": "u,i,t\n1,2,3\n", "1": "1,4,5\n1,5,6\n"}.items():
        table(tmp_path / "log", text, name)
    refused(Table(path=str(tmp_path / "log"), **columns), "/1: data.header=true", "looks like an event")
    two = {"columns": ("user", "item", "x"), "header": True, "timestamp": None}
    refused(Table(path=str(tmp_path / "log"), **two), "/1: data.header=true", "is not that of", "/0")
    table(tmp_path / "log", "u,i,t\n1,4,5\n", "1")
    assert len(read(Table(path=str(tmp_path / "log"), **columns))) == 2


def test_a_recbole_file_of_histories_is_refused_unless_it_has_times(tmp_path):
    header, path = "user_id:token\titem_id_list:token_seq\titem_id:token", tmp_path / "a.inter"
    path.write_text(f"{header}\nu\ta b\tc\n")
    refused(RecBole(path=str(path)), "a.inter holds histories (item_id_list:token_seq)", "data=sequences")
    path.write_text(f"{header}\ttimestamp:float\nu\ta b\tc\t5\n")
    assert told(read(RecBole(path=str(path)))) == [("u", "c", 5)]


# what to type


def test_a_table_without_times_is_told_how_to_say_so(tmp_path):
    refused(table(tmp_path, "user,item\n1,2\n"), "or data.timestamp=null if it has none")
    refused(parquet(tmp_path, user=[1], item=[2]), "or data.timestamp=null if it has none")
    with pytest.raises(UserError, match="no column 'who'") as error:
        read(table(tmp_path, HEADER, user="who"))
    assert "null" not in str(error.value)


@pytest.mark.parametrize("name", ["steam.json", "steam.json.gz"])
def test_lines_of_python_dicts_come_with_a_command_that_converts_them(name, tmp_path):
    text = "{u'user': u'ana', u'item': 7, u'text': u'it is, \\'fun\\'', u'timestamp': 5}\n" * 2
    source = table(tmp_path, gzip.compress(text.encode()) if name.endswith("gz") else text, name)
    with pytest.raises(UserError, match="lines of Python dicts") as error:
        read(source)
    command = shlex.split(re.search(r"(python -c .*?); or name", str(error.value))[1])
    subprocess.run([sys.executable, *command[1:]], check=True, cwd=tmp_path)
    assert told(read(Table(path=f"{source.path}.parquet"))) == [("ana", 7, 5)] * 2
    assert len(read(table(tmp_path, "{'user',item,timestamp\n1,2,3\n", user="{'user'"))) == 1


def test_movielens_of_another_size_is_read_from_its_zip_or_folder(tmp_path):
    text = "userId,movieId,rating,timestamp\n1,10,3.5,100\n"
    path = archive(tmp_path / "ml-25m.zip", {"ml-25m/README.txt": "x", "ml-25m/ratings.csv": text})
    (tmp_path / "all" / "ml-25m").mkdir(parents=True)
    (tmp_path / "all" / "ml-25m" / "ratings.csv").write_text(text)
    for each in (path, tmp_path / "all", tmp_path / "all" / "ml-25m"):
        assert told(read(MovieLens20M(path=str(each)))) == [(1, 10, 3.5, 100)]
        refused(MovieLens1M(path=str(each)), "ratings.dat; it has", "data=ml-20m reads ratings.csv")
    twice = archive(tmp_path / "two.zip", {"a/ratings.csv": text, "b/ratings.csv": text})
    refused(MovieLens20M(path=str(twice)), "more than one ratings.csv")


def test_first_lines_that_are_none_are_told_what_to_type(tmp_path):
    refused(table(tmp_path, "sep=;\nuser;item;timestamp\n1;2;3\n", separator=";"), "tail -n +2")
    refused(table(tmp_path, "sep=,\nuser,item,timestamp\n1,2,3\n"), "tail -n +2")
    spaced = "user, item, timestamp\n1, 2, 3\n"
    refused(table(tmp_path, spaced), "it has user, ' item', ' timestamp'", "\"data.separator=', '\"")
    assert told(read(table(tmp_path, spaced, separator=", "))) == [(1, 2, 3)]


@pytest.mark.parametrize("separator", ["\\x01", "\x01"])
def test_the_separator_of_hive_may_be_typed(separator, tmp_path):
    assert told(read(table(tmp_path, "user\x01item\x01timestamp\n1\x012\x013\n", separator=separator))) == [(1, 2, 3)]


ENDINGS = {
    "x.TSV": "\t",
    "x.tsv.gz": "\t",
    "x.csv.tsv": "\t",
    "x.tsv.bak": "\t",
    "x.tsv.files.csv": ",",
    "x.tsv.Txt": ",",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_tab_separates_where_the_last_ending_says_so(name, tmp_path):
    assert len(read(table(tmp_path, f"{HEADER}1,2,3\n".replace(",", ENDINGS[name]), name))) == 1


def test_one_column_is_not_both_user_and_item(tmp_path):
    refused(table(tmp_path, HEADER + "1,2,3\n", item="user"), "data.user and data.item both name the column 'user'")
    frame = pd.DataFrame({"user": [1], "timestamp": [2]})
    refused(Table(path=parquet(tmp_path, **frame.to_dict("list")).path, item="user"), "both name the column 'user'")
