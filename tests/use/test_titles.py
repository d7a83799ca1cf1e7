"""Titles of items: every layout reads the same, and a broken file is refused in words."""

import gzip
import uuid
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybrid_seq_gnn import train
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.run.identity import affects_results
from hybrid_seq_gnn.use.titles import titles_of

TITLES = {1: "Toy Story (1995)", 2: "Léon, the Professional", 30: 'The "30"'}
FILES = {
    "movies.dat": '1::Toy Story (1995)::Animation|Comedy\n\n2::Léon, the Professional::Crime\r\n30::The "30"::War\n',
    "u.item": '1|Toy Story (1995)|01-Jan||http://x\n2|Léon, the Professional|||\n30|The "30"|||\n',
    "movies.csv": 'movieId,title,genres\n1,Toy Story (1995),A\n2,"Léon, the Professional",B\n30,"The ""30""",C\n',
    "named.csv": 'title,year,item\nToy Story (1995),1,1\n"Léon,\nthe   Professional",,2\n"The ""30""",,30\n"",,4\n',
    "some.tsv": 'asin\tbrand\ttitle\n1\t,\tToy Story (1995)\n2\t,\tLéon, the Professional\n30\t,\t"The ""30"""\n',
    "semi.csv": 'item;title\n1;Toy Story (1995)\n2;Léon, the Professional\n30;"The ""30"""\n',
    "two.csv": 'sku,name\n1,Toy Story (1995)\n1,Again\n2,"Léon, the Professional"\n30,"The ""30"""\n',
}
TABLE = {"_target_": "hybrid_seq_gnn.data.table.Table", "path": "log.csv"}
EXPECTED = TITLES | {str(item): title for item, title in TITLES.items()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("name", FILES)
def test_every_layout_gives_the_same_titles(name, encoding, tmp_path):
    path = tmp_path / name
    path.write_bytes(FILES[name].encode(encoding))
    assert titles_of(TABLE, path) == EXPECTED
    assert titles_of({**TABLE, "titles": str(path)}) == EXPECTED
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert titles_of(TABLE, packed) == EXPECTED


@pytest.mark.parametrize("kind", [int, str])
def test_parquet_too(kind, tmp_path):
    path = tmp_path / "titles.parquet"
    frame = pd.DataFrame({"title": [*TITLES.values(), None], "item": [*map(kind, TITLES), kind(5)], "year": 1})
    frame.to_parquet(path)
    assert titles_of(TABLE, path) == EXPECTED


def test_an_id_that_is_no_whole_number_is_text_alone(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text("item,title\n007,Bond\ntt1,Heat\n-3,Minus\n")
    assert titles_of(TABLE, path) == {"007": "Bond", "tt1": "Heat", "-3": "Minus", -3: "Minus"}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([12.0, 7.0, None]), ["12", 12, "7", 7]),
        (pa.array([b"x12", b"7", None]), ["x12", "7", 7]),
        (pa.array([uuid.UUID(int=7).bytes, b"x" * 16, None], pa.binary(16)), [str(uuid.UUID(int=7))]),
    ],
    ids=["floats", "bytes", "uuids"],
)
def test_ids_of_parquet_are_read_as_those_of_events(column, expected, tmp_path):
    pq.write_table(pa.table({"item": column, "title": ["A", "B", "C"]}), tmp_path / "x.parquet")
    assert set(expected) <= set(titles_of(TABLE, tmp_path / "x.parquet"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_titles_of_other_items_are_refused_where_the_items_are_known(ending, tmp_path):
    path, known = tmp_path / f"titles.{ending}", np.array(["sku-1", "sku-2"], object)
    for columns in ({"item": ["SKU-1", "SKU-2"]}, {"category": ["shoes", "hats"]}, {"item": [1, 2]}):
        frame = pd.DataFrame({**columns, "title": ["A", "B"]})
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
        (name, ids), *_ = columns.items()
        with pytest.raises(
            UserError, match=f"read as item is {name!r}, with ids such as {ids[0]}, and .* such as sku-1"
        ):
            titles_of(TABLE, path, known)
        assert len(titles_of({**TABLE, "titles": str(path)}, items=known)) >= 2
        assert titles_of(TABLE, path, np.array([ids[0], "x"], object))[ids[0]] == "A"


def test_titles_in_a_zip_or_folder_of_movielens_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRID_SEQ_GNN_CACHE", str(tmp_path / "cache"))
    movielens = {"_target_": "hybrid_seq_gnn.data.movielens.MovieLens1M"}
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("")
    packed = tmp_path / "ml-1m.zip"
    assert titles_of({**movielens, "path": str(folder)}) == titles_of({**movielens, "path": str(packed)}) == {}
    assert titles_of(movielens) == {}
    (folder / "movies.dat").write_bytes(FILES["movies.dat"].encode("latin-1"))
    (tmp_path / "cache/downloads").mkdir(parents=True)
    for path in (packed, tmp_path / "cache/downloads/name.zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(folder / "movies.dat", "ml-1m/movies.dat")
    for path in (folder, tmp_path, folder / "ratings.dat", packed):
        assert titles_of({**movielens, "path": str(path)}) == EXPECTED
    assert titles_of({**movielens, "url": "https://x/name.zip"}) == EXPECTED
    assert titles_of(TABLE, packed) == titles_of(TABLE, folder) == EXPECTED
    assert titles_of({**TABLE, "path": str(packed)}) == {}


BROKEN = {
    "a.dat": ("1::Up::x\n2;Heat\n", "line 2: expected item::title, got '2;Heat'"),
    "u.item": ("1|Up|x\n\n|Heat|\n", "line 3: expected item|title, got '|Heat|'"),
    "a.csv": ("item,title\n1,Up\n2,Up, up\n", "line 3: expected item,title, got '2,Up, up'. Quote titles"),
    "ratings.dat": ("1::1193::5::978300760\n", "line 1: expected item::title, got '1::1193::5::978300760'"),
    "b.csv": ('item,title\n1,"U\np"\n\n,Heat\n', "line 5: expected item,title, got ',Heat'"),
    "c.csv": ('item,title\n1,Up\n2,"Heat\n3,Her\n', "line 3: expected a closed quote or none"),
    "d.csv": ("1,Up\n2,Heat\n", "line 1: expected a header with the columns item and title, got '1,Up'"),
    "e.csv": ("title\nUp\n", "line 1: expected a header with the columns item and title, got 'title'"),
    "f.csv": ("item,title\n", "has no titles of items; expected a CSV"),
    "g.csv": ("", "has no titles"),
    "h.parquet": ("PAR1....", "cannot be read as Parquet"),
    "i.zip": ("PK....", "cannot be read as a zip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_by_file_line_and_what_was_expected(name, tmp_path):
    text, message = BROKEN[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as error:
        titles_of(TABLE, path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match=r"no\.csv: there is no such file; expected a CSV"):
        titles_of(TABLE, tmp_path / "no.csv")
    with pytest.raises(UserError, match="has no titles of items"):
        titles_of(TABLE, tmp_path)
    pd.DataFrame({"item": [1]}).to_parquet(tmp_path / "one.parquet")
    with pytest.raises(UserError, match=r"one\.parquet: expected a header with the columns item and title, got 'item'"):
        titles_of(TABLE, tmp_path / "one.parquet")


@pytest.mark.parametrize(
    ("text", "message"), [(None, "there is no such file"), ("item,title\nx,Up\n", "titles of other items")]
)
def test_a_run_does_not_begin_with_titles_that_it_could_not_show(text, message, tmp_path):
    path, folder = tmp_path / "titles.csv", tmp_path / "run"
    if text:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"titles\.csv.* {message}"):
        train({"option": "synthetic", "users": 30, "titles": str(path)}, model="popularity", folder=folder)
    assert not folder.exists()


def test_a_finished_run_needs_its_titles_no_more(tmp_path):
    (tmp_path / "titles.csv").write_text("item,title\n1,Up\n")
    data = {"option": "synthetic", "users": 30, "titles": str(tmp_path / "titles.csv")}
    first = train(data, model="popularity", folder=tmp_path / "run")
    (tmp_path / "titles.csv").unlink()
    assert train(data, model="popularity", folder=tmp_path / "run").results == first.results


def test_titles_that_are_gone_are_said(tmp_path, caplog):
    assert titles_of({**TABLE, "titles": str(tmp_path / "gone.csv")}) == {}
    assert "gone.csv: there is no such file here" in caplog.text
    caplog.clear()
    assert titles_of(TABLE) == {}
    assert not caplog.text


def test_titles_change_neither_the_data_nor_what_a_run_is():
    assert not affects_results("data.titles")
    one, other = Table(path="x"), Table(path="x", titles="movies.dat")
    assert isinstance(one, Source) and one.key([]) == other.key([])


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ("userId,movieId,rating,timestamp", "item is 'userId'"),
        ("user,item,timestamp", "title is 'user'"),
        ("item,rating,name", "title is 'rating'"),
        ("user_id:token,item_id:token", "item is 'user_id:token'"),
        ("User ID,Item", "item is 'User ID'"),
        ("session_id,aid", "item is 'session_id'"),
    ],
)
def test_a_log_of_events_has_no_titles(header, wrong, tmp_path):
    (tmp_path / "log.csv").write_text(header + "\n" + ",".join("1234"[: header.count(",") + 1]) + "\n")
    with pytest.raises(UserError, match=f"log.csv, line 1: the column read as {wrong}, as in a log of events"):
        titles_of(TABLE, tmp_path / "log.csv")


@pytest.mark.parametrize("header", ["sku,name", "item,title,user", "movieId,ratingless", "usercode,username"])
def test_other_headers_are_read_as_titles(header, tmp_path):
    (tmp_path / "t.csv").write_text(header + "\n" + ",".join("1234"[: header.count(",") + 1]) + "\n")
    assert titles_of(TABLE, tmp_path / "t.csv") == {"1": "2", 1: "2"}
