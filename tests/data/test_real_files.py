"""Files as people have them: read right, or refused with file, line and what to do."""

import bz2
import gzip
import lzma
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.data import layout
from hybrid_seq_gnn.data.pairs import Pairs
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.recbole import RecBole
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from hybrid_seq_gnn.data.table import Table
from tests.data.test_sources import read, told

HEADER = "user,item,timestamp\n"


def table(tmp_path, text, name="log.csv", **settings):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Table(path=str(path), **settings)


def parquet(tmp_path, name="log.parquet", **columns):
    pq.write_table(pa.table(columns), tmp_path / name)
    return Table(path=str(tmp_path / name))


def refused(source, *words):
    with pytest.raises(ValueError, match=r"\w") as error:
        read(source)
    for word in words:
        assert word in str(error.value)


# a row with another number of fields


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("1,2,3,14", "user,item,timestamp"),
        ("1,2,3,,", "user,item,timestamp"),
        ("1,2", "user,item,timestamp"),
        ("1,a, b,3", "user,item,timestamp"),
    ],
)
def test_a_row_with_more_or_fewer_fields_is_an_error_with_its_line(row, names, tmp_path):
    source = table(tmp_path, f"{names}\n5,6,7\n\n{row}\n5,6,8\n")
    refused(source, "log.csv, line 4", f"expected {names}", repr(row))


def test_an_extra_tab_in_a_recbole_file_is_an_error(tmp_path):
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n1\t2\tx\t3\n")
    refused(RecBole(path=str(tmp_path / "x.inter")), "x.inter, line 3")


def test_an_empty_field_at_the_end_of_a_line_is_passed_over(tmp_path):
    assert told(read(table(tmp_path, HEADER + "1,2,3,\n1,5,4\n"))) == [(1, 2, 3), (1, 5, 4)]


# quotes


def test_a_quote_that_is_not_closed_on_its_line_is_named_where_it_opens(tmp_path):
    text = 'user,item,timestamp,title\n1,2,3,a\n1,3,4,"7 inch\n' + '1,4,5,b\n1,5,6,12" vinyl\n'
    refused(table(tmp_path, text), "log.csv, line 3", "data.quotes=none")
    refused(table(tmp_path, HEADER + '1,"2,3\n1,4,5\n'), "log.csv, line 2", "data.quotes=none")
    assert len(read(table(tmp_path, text, quotes="none"))) == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('1,12" vinyl,4,"open', "a quote opens a field"),
        ('1,"a ""b"" c,4,x', "a quote opens a field"),
        ('1,"2,4,"x', "a field has text after its closing quote"),
        ('1,3,4,"a" and "b"', None),
    ],
)
def test_a_line_with_an_even_number_of_quotes_may_leave_one_open_too(line, said, tmp_path):
    rows = [f"1,{k},{k},plain" for k in range(5, 15)]
    text = "\n".join(["user,item,timestamp,title", *rows, line, *rows, '2,2,4,"closed"', *rows, ""])
    if said is None:
        assert len(read(table(tmp_path, text))) == 32
    else:
        refused(table(tmp_path, text), "log.csv, line 12", said)


def test_a_quote_that_is_open_at_the_end_of_the_file_is_named(tmp_path):
    refused(table(tmp_path, HEADER + '1,3,4\n1,"2,3\n'), "log.csv, line 3", "data.quotes=none")


def test_quotes_in_the_middle_of_a_field_are_characters(tmp_path):
    source = table(tmp_path, HEADER + '1,12" single,3\n1,"a ""b"", c",4\n')
    assert told(read(source)) == [(1, '12" single', 3), (1, 'a "b", c', 4)]


def test_line_breaks_in_quoted_fields_are_read_where_that_is_asked_for_but_never_in_ids(tmp_path):
    text = 'user,item,timestamp,review\n1,2,3,"good\n\nreally"\n1,3,4,x\n'
    assert told(read(table(tmp_path, text, quotes="multiline"))) == [(1, 2, 3), (1, 3, 4)]
    refused(table(tmp_path, HEADER + '1,"2\n3",3\n', quotes="multiline"), "data.item", "line break")
    refused(parquet(tmp_path, user=["a\nb"], item=[1], timestamp=[1]), "data.user", "line break")


def test_a_record_of_several_lines_keeps_them_where_lines_end_in_a_separator(tmp_path):
    text = 'user,item,review,timestamp\n1,2,"good\n\nreally",3,\n\n1,3,"a\nb",4,\n1,"c,d",x,5,\n'
    assert told(read(table(tmp_path, text, quotes="multiline"))) == [(1, "2", 3), (1, "3", 4), (1, "c,d", 5)]
    refused(table(tmp_path, text + "1,2,x,noon,\n", quotes="multiline"), "line 9", "as timestamp, got '1,2,x,noon,'")
    refused(table(tmp_path, text + '1,2,"x\ny",3,4\n', quotes="multiline"), "line 9", '1,2,"x\\ny",3,4')


@pytest.mark.parametrize("quotes", ["line", "multiline"])
def test_an_empty_quoted_field_at_the_end_of_a_line_is_passed_over_too(quotes, tmp_path):
    assert told(read(table(tmp_path, HEADER + '1,2,3,""\n\n1,5,4,\n', quotes=quotes))) == [(1, 2, 3), (1, 5, 4)]


# columns that are named and not there


@pytest.mark.parametrize("setting", [{"timestamp": "tme"}, {"rating": "stars"}, {"user": "who"}])
def test_a_column_that_was_named_must_be_there(setting, tmp_path):
    path = tmp_path / "x.inter"
    path.write_text("user_id:token\titem_id:token\ttime:float\n1\t2\t3\n")
    ((field, name),) = setting.items()
    refused(RecBole(path=str(path), **setting), f"no column {name!r} (data.{field})", "time:float")


def test_without_the_default_time_column_the_log_says_that_the_order_of_the_rows_counts(tmp_path):
    path = tmp_path / "x.inter"
    path.write_text("user_id:token\titem_id:token\ttime:float\n" + "".join(f"1\t{k}\t3\n" for k in range(9)))
    assert "the order of the rows" in prepare(RecBole(path=str(path))).log[0]


# duplicates


def test_duplicates_are_counted_kept_or_dropped_and_warned_of(tmp_path):
    rows = [f"{user},{item},{item}\n" for user in range(30) for item in range(user, user + 6)]
    source = table(tmp_path, HEADER + "".join(row * 2 for row in rows))
    kept, dropped = prepare(source), prepare(replace(source, duplicates="drop"))
    assert "180 of 360 events repeat an earlier one" in kept.log[0]
    assert "100 % repeat the event before them" in kept.log[-1] and "data.duplicates=drop helps" in kept.log[-1]
    assert "are dropped" in dropped.log[0]
    assert not any("repeat the event" in line for line in dropped.log)
    assert dropped.split_hash == prepare(table(tmp_path, HEADER + "".join(rows), "once.csv")).split_hash


def test_a_file_given_twice_is_told_from_items_that_come_again(tmp_path):
    rows = [f"{user},{item % 3},{item}\n" for user in range(30) for item in range(6)]
    assert not any("repeat an earlier one" in line for line in prepare(table(tmp_path, HEADER + "".join(rows))).log)
    twice = prepare(table(tmp_path, HEADER + "".join(rows + rows), "twice.csv"))
    assert "180 of 360 events repeat an earlier one" in twice.log[0]


# layouts


def test_columns_may_be_named_for_files_without_a_header_and_renamed_for_others(tmp_path):
    names = ("user", "item", "timestamp")
    expected = [(1, 2, 3), (1, 5, 4)]
    assert told(read(table(tmp_path, "1,2,3\n1,5,4\n", columns=names))) == expected
    assert told(read(table(tmp_path, "a,b,c\n1,2,3\n1,5,4\n", columns=names, header=True))) == expected
    refused(table(tmp_path, "1,2,3\n1,5,4\n"), "data.columns=[user,item,timestamp]")
    with pytest.raises(ValueError, match=r"data\.header=false needs the names"):
        Table(header=False)


def test_a_tab_may_be_typed_and_a_wrong_separator_is_named(tmp_path):
    assert told(read(table(tmp_path, "user\titem\ttimestamp\n1\t2\t3\n", separator="\\t"))) == [(1, 2, 3)]
    refused(table(tmp_path, "user;item;timestamp\n1;2;3\n"), "reads as one column", "data.separator=','")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read_and_lines_are_numbered_by_it(end, tmp_path):
    text = end.join(["user,item,timestamp", "1,2,3", "1,5,4", ""])
    assert told(read(table(tmp_path, text))) == [(1, 2, 3), (1, 5, 4)]
    refused(table(tmp_path, text + "1,2\n".replace("\n", end)), "log.csv, line 4")


def test_pairs_are_read_and_a_sequence_file_says_so(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("1 5\n1 3\n2 5\n")
    assert told(read(Pairs(path=str(path)))) == [(1, 5), (1, 3), (2, 5)]
    refused(SequencesFile(path=str(path)), "line 2", "data=pairs")
    path.write_text("1 5\n1 3 9\n")
    refused(Pairs(path=str(path)), "line 2: expected user item", "data=sequences")


def zstd(raw):
    with pa.BufferOutputStream() as out:
        with pa.CompressedOutputStream(out, "zstd") as stream:
            stream.write(raw)
        return out.getvalue().to_pybytes()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_what_is_compressed_shows_in_the_content_and_not_in_the_name(pack, tmp_path):
    assert told(read(table(tmp_path, pack((HEADER + "1,2,3\n").encode())))) == [(1, 2, 3)]
    refused(table(tmp_path, pack((HEADER + "1,2,3\n" * 99).encode())[:-9]), "log.csv")


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    source = table(tmp_path, gzip.compress(b"\0" * (1 << 24)), max_bytes=1 << 20)
    refused(source, "data.max_bytes=1,048,576")


def test_a_parquet_file_that_repeats_one_value_is_no_bomb_either(tmp_path):
    source = parquet(tmp_path, user=["a"] * 10**6, item=[1] * 10**6, timestamp=[1] * 10**6)
    assert (tmp_path / "log.parquet").stat().st_size < 1 << 16
    refused(replace(source, max_bytes=1 << 20), "data.max_bytes=1,048,576")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_or_a_glob_of_parts_is_one_table_in_the_order_of_names(ending, tmp_path):
    folder = tmp_path / "log"
    (folder / "year=2020").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    for k, name in enumerate(["part-0", "year=2020/part-1", "part-2"]):
        frame = pd.DataFrame({"user": [1], "item": [k], "timestamp": [5]})
        path = folder / f"{name}.{ending}"
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    expected = [(1, 0, 5), (1, 2, 5), (1, 1, 5)]  # in the order of names
    assert told(read(Table(path=str(folder)))) == expected
    assert told(read(Table(path=str(folder / f"**/*.{ending}")))) == expected
    assert told(read(Table(path=str(folder / f"part-*.{ending}")))) == expected[:2]
    refused(Table(path=str(tmp_path / "no-*")), "there is no such file")


def test_a_part_may_be_empty_or_have_a_header_only_and_hidden_folders_are_no_parts(tmp_path):
    (tmp_path / "log" / "_delta_log").mkdir(parents=True)
    (tmp_path / "log" / "_delta_log" / "0.json").write_text("{}")
    for name, text in {"a": HEADER, "b": HEADER + "1,2,3\n", "c": ""}.items():
        (tmp_path / "log" / f"{name}.csv").write_text(text)
    assert told(read(Table(path=str(tmp_path / "log")))) == [(1, 2, 3)]
    refused(Table(path=str(tmp_path / "log" / "a.csv")), "a.csv has a header line but no events")


def test_advice_fits_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"data\.time_format") as error:
        read(table(tmp_path, HEADER + "1,2,noon\n"))
    assert "data.separator" not in str(error.value)


def test_a_broken_line_of_a_part_is_named_with_the_part(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.csv").write_text(HEADER + "1,2,3\n")
    (tmp_path / "log" / "b.csv").write_text(HEADER + "1,2,3\n1,x,noon\n")
    refused(Table(path=str(tmp_path / "log")), "b.csv, line 3: expected a number as timestamp")


def test_a_field_longer_than_the_csv_module_likes_is_no_traceback(tmp_path):
    refused(table(tmp_path, HEADER + f"1,{'x' * 200_000},3\n1,2\n"), "log.csv, line 3")
    text = f"user,item,timestamp,{'x' * 200_000}\n1,2,3,4\n"
    assert told(read(table(tmp_path, text))) == [(1, 2, 3)]
    with pytest.raises(ValueError, match="no column 'who'") as error:
        read(table(tmp_path, text, user="who"))
    assert len(str(error.value)) < 1000


def test_a_first_line_of_a_million_columns_is_refused_before_it_is_split(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "fields_of", None)
    for separator in (",", "::"):
        refused(table(tmp_path, separator * 10**6 + "\n", separator=separator), "1,000,001 columns", "separator right?")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([Table, RecBole, SequencesFile, Pairs]))
def test_any_bytes_are_read_or_refused_in_words(tmp_path_factory, raw, source):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for start in (b"", b"user,item,timestamp\n1,", b"user_id:token\titem_id:token\n"):
        path.write_bytes(start + raw)
        try:
            read(source(path=str(path)))
        except ValueError as error:
            message = str(error)
            assert str(path) in message
