"""A stray quote loses no event and makes one id of no two; carriage returns and long separators within quotes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_seq_gnn.data.layout import FileLayout
from hybrid_seq_gnn.data.quotes import quote_within
from hybrid_seq_gnn.data.recbole import RecBole
from tests.data.test_real_files import HEADER, refused, table
from tests.data.test_sources import read, told

AFTER = "a field has text after its closing quote"
NOTES = "user,item,timestamp,note\n"


@pytest.mark.parametrize(
    ("rows", "line", "said"),
    [
        (['u,a,1,"Heroes', "u,b,2,x", 'u,c,3,"Heroes"', "u,d,4,x"], 4, "begins on line 2, maybe with a quote too many"),
        (['u,a,1,"Heroes', "u,b,2,x", 'u,c,3,"Heroes', "u,d,4,x"], 4, "begins on line 2"),
        (['u,a,1,"Heroes', 'u,b,2,7"x', 'u,c,3,8"'], 3, "begins on line 2"),
        (['u,a,1,"good"', 'u,b,2,"good\n\nreally" bad', "u,c,3,x"], 5, "begins on line 3"),
        (['u,a,1,"good" and "bad"', "u,b,2,x"], 2, AFTER),
        (["u,a,1,x", 'u,b,2,"open', "u,c,3,x", "u,d,4,y"], 3, "a quote opens a field and does not close it"),
    ],
)
def test_with_fields_of_several_lines_a_stray_quote_swallows_no_events(rows, line, said, tmp_path):
    source = table(tmp_path, NOTES + "\n".join(rows) + "\n", quotes="multiline")
    refused(source, f"log.csv, line {line}: ", said, "data.quotes=none")


def test_with_fields_of_several_lines_good_quotes_are_read(tmp_path):
    text = NOTES + 'u,a,1,"good\nx ""y"" z"\r\nu,b,2,7" single\nu,"c, ""d""",3,""\n'
    assert told(read(table(tmp_path, text, quotes="multiline"))) == [("u", "a", 1), ("u", "b", 2), ("u", 'c, "d"', 3)]


@given(st.text('ab"",;\t\r\n', max_size=8))
def test_a_quote_is_within_a_field_as_an_expression_finds_it(text):
    for one in ",;\t":
        expected = re.search(rf'[^{one}\r\n]"[^{one}\r\n"]', text) is not None
        assert quote_within(text.encode(), FileLayout(one, {})) == expected


@pytest.mark.parametrize("item", ['"Heroes" (live)', '"Heroes""" x', '"" x'])
def test_two_ids_that_differ_in_their_quotes_stay_two(item, tmp_path):
    text = f"user\titem\ttimestamp\nu\ta\t1\n\nu\tHeroes (live)\t2\nu\t{item}\t3\n"
    refused(table(tmp_path, text, "log.tsv"), f"log.tsv, line 5: {AFTER}", "data.quotes=none")
    assert item in read(table(tmp_path, text, "log.tsv", quotes="none")).item_ids
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\n" + f"u\t{item}\n")
    refused(RecBole(path=str(tmp_path / "x.inter")), f"x.inter, line 2: {AFTER}", "data=table")


def test_text_after_a_closing_quote_is_passed_over_in_columns_that_are_not_used(tmp_path):
    assert len(read(table(tmp_path, NOTES + 'u,a,1,"good" and "bad"\nu,"b",2,x\n'))) == 2


@pytest.mark.parametrize("separator", ["::", "§", " | "])
def test_a_separator_of_several_characters_may_stand_in_quotes(separator, tmp_path):
    text = 'user,"item",timestamp\nu,"sku,17",1\nu,b,2\n'.replace(",", separator)
    source = table(tmp_path, text, separator=separator)
    assert told(read(source)) == [("u", f"sku{separator}17", 1), ("u", "b", 2)]
    bad = f'u{separator}"c{separator}d"{separator}noon\n'
    refused(table(tmp_path, text + bad, separator=separator), "line 4: expected a number as timestamp")
    swallowed = f'u{separator}"c{separator}3\n' + f"u{separator}d{separator}4\n" * 3
    refused(table(tmp_path, text + swallowed, separator=separator), "line 4: a quote opens a field", f"c{separator}3")


def test_a_carriage_return_within_a_line_is_named_and_within_quotes_read(tmp_path):
    texts = {"u,a,1,foo\rbar\r\nu,b,2,x\r\n": 2, 'u,a,1,"x"\r\nu,b,2,foo\rbar\r\n': 3, "u,a,1,x\r\nu\r,b,2,\r\n": 3}
    for text, line in texts.items():
        source = table(tmp_path, NOTES.replace("\n", "\r\n") + text)
        refused(source, f"log.csv, line {line}: a carriage return (\\r) stands within the line")
    text = NOTES.replace("\n", "\r\n") + 'u,a,1,"foo\rbar"\r\nu,"b\t",2,x\r\n'
    assert told(read(table(tmp_path, text))) == [("u", "a", 1), ("u", "b\t", 2)]


@pytest.mark.parametrize("first", ["0101045,A1X,5.0,1364", "u,a,3,2005-09-06", "u,1,x,2019-10-01T10:00:00Z"])
def test_a_first_line_with_a_number_or_a_date_looks_like_an_event(first, tmp_path):
    refused(table(tmp_path, first + "\nu,b,3,4\n"), "looks like an event; data.columns=[user", "here 4 of them")
    time = first.rpartition(",")[2]
    chosen = {"user": first.split(",")[0], "item": first.split(",")[1], "timestamp": time}
    refused(table(tmp_path, first + "\nu,b,3,4\n", **chosen), f"{time!r} (data.timestamp)", "data.header=true")
    assert told(read(table(tmp_path, first + "\nu,b,3,4\n", header=True, **chosen))) == [("u", "b", 4)]


def test_names_from_zero_on_are_those_of_pandas(tmp_path):
    for text in ("0,1,2\nu,a,4\n", ",0,1,2\n0,u,a,4\n"):
        assert told(read(table(tmp_path, text, user="0", item="1", timestamp="2"))) == [("u", "a", 4)]
        refused(table(tmp_path, text), "Set data.user to the column")


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    text = "user,item,timestamp,item\nu,a,1,b\n"
    refused(table(tmp_path, text), "log.csv has 2 columns 'item' (data.item)")
    names = ("user", "item", "timestamp", "item")
    refused(table(tmp_path, "u,a,1,b\n", columns=names), "2 columns 'item'", "in data.columns")
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\titem_id:float\nu\ta\t1\n")
    refused(RecBole(path=str(tmp_path / "x.inter")), "2 columns 'item_id' (data.item): item_id:token, item_id:float")
    assert len(read(table(tmp_path, HEADER[:-1] + ",x,x\nu,a,1,2,3\n"))) == 1


def test_a_folder_with_other_files_names_the_one_with_events(tmp_path):
    for name, text in {
        "README.txt": "hello\n",
        "movies.csv": "item,title\n1,x\n",
        "ratings.csv": HEADER + "1,2,3\n",
    }.items():
        (tmp_path / name).write_text(text)
    ratings = str(tmp_path / "ratings.csv")
    refused(
        table(tmp_path, "hello\n", "README.txt").__class__(path=str(tmp_path)), "no column", f"data.path={ratings!r}"
    )
    (tmp_path / "README.txt").unlink()
    refused(table(tmp_path, HEADER, "empty.csv").__class__(path=str(tmp_path)), "movies.csv has no column", "or a glob")


def test_of_a_recbole_folder_interactions_are_read_alone(tmp_path):
    folder = tmp_path / "ml [100k]"
    folder.mkdir()
    (folder / "ml.item").write_text("item_id:token\ttitle:token_seq\na\tA\n")
    (folder / "ml.user").write_text("user_id:token\tage:token\nu\t3\n")
    refused(RecBole(path=str(folder)), "has no column")
    for k in (1, 2):
        (folder / f"ml.{k}.inter").write_text(f"user_id:token\titem_id:token\nu\ta{k}\n")
    assert told(read(RecBole(path=str(folder)))) == [("u", "a1"), ("u", "a2")]
