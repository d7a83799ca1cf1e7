"""Files whose bytes are not what is expected: never two ids as one, and called what they are."""

import bz2
import gzip
import io
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.orc
import pytest

from hybrid_seq_gnn.data.pairs import Pairs
from hybrid_seq_gnn.data.recbole import RecBole
from hybrid_seq_gnn.data.sequences_file import SequencesFile
from hybrid_seq_gnn.data.table import Table
from tests.data.test_real_files import HEADER, parquet, refused, table
from tests.data.test_sources import read, told

# bytes that are no UTF-8


LATIN1 = {
    "table": (Table, "user,item,timestamp\nana,café,3\nana,cafè,4\n"),
    "table, lines end in a separator": (Table, "user,item,timestamp\nana,café,3,\nana,cafè,4,\n"),
    "table, quotes": (Table, 'user,item,timestamp\nana,"café",3,\nana,"cafè",4,""\n'),
    "recbole": (RecBole, "user_id:token\titem_id:token\nana\tcafé\nana\tcafè\n"),
    "pairs": (Pairs, "\nana café\nana cafè\n"),
    "sequences": (SequencesFile, "\nana x café cafè\n"),
}


@pytest.mark.parametrize("name", LATIN1)
def test_ids_that_are_no_utf_8_are_refused_with_their_line_and_not_merged(name, tmp_path):
    (source, text), path = LATIN1[name], tmp_path / "log.csv"
    path.write_bytes(text.encode("latin-1"))
    refused(source(path=str(path)), "log.csv, line 2: expected UTF-8 text", r"caf\xe9", "iconv -f latin1 -t utf-8")
    path.write_text(text)
    events = read(source(path=str(path)))
    assert {"café", "cafè"} <= {*events.item_ids}


def test_columns_that_are_not_used_may_hold_any_bytes(tmp_path):
    text = "user,item,timestamp,straße\n1,2,3,café,\n1,3,4,x,\n"
    assert told(read(table(tmp_path, text.encode("latin-1")))) == [(1, 2, 3), (1, 3, 4)]
    refused(table(tmp_path, text.encode("latin-1"), item="straße"), "first line is no UTF-8 text", "stra\ufffde")


@pytest.mark.parametrize("source", [SequencesFile, Pairs])
def test_lines_of_old_macs_are_read_and_mixed_ones_refused(source, tmp_path):
    path, expected = tmp_path / "s.txt", [("a", "x"), ("b", "y")]
    for text in (b"a x\rb y", b"a x\rb y\r", b"\r\na x\r\nb y\r\n", b"a x\r\r\nb y\r\r\n"):
        path.write_bytes(text)
        assert told(read(source(path=str(path)))) == expected
    for text in (b"a x\rb y\n", b"a x\r\nb y\rc z\r\n"):
        path.write_bytes(text)
        refused(source(path=str(path)), "s.txt ends some lines with \\r alone")


# files of another kind, and blank lines


def zipped(raw):
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("log.csv", raw)
        return out.getvalue()


def arrow(raw):
    with pa.BufferOutputStream() as out:
        with pa.ipc.new_file(out, pa.schema({"user": pa.int64()})):
            pass
        return out.getvalue().to_pybytes()


def tarred(raw):
    with io.BytesIO() as out:
        with tarfile.open(fileobj=out, mode="w") as file:
            info = tarfile.TarInfo("log.csv")
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))
        return out.getvalue()


def orc(raw):
    with pa.BufferOutputStream() as out:
        pyarrow.orc.write_table(pa.table({"user": [1]}), out)
        return out.getvalue().to_pybytes()


KINDS = {
    "is a tar archive. Unpack it": tarred,
    "is a tar archive. Unpack": lambda raw: gzip.compress(tarred(raw)),
    "is packed twice, the second time with gzip. Unpack": lambda raw: gzip.compress(gzip.compress(raw)),
    "is packed twice, the second time with bz2.": lambda raw: gzip.compress(bz2.compress(raw)),
    "is packed with compress (.Z). Unpack it": lambda raw: b"\x1f\x9d\x90" + raw,
    "is an ORC file. Save the table": orc,
    "is a zip or an Excel workbook. Unpack": zipped,
    "is a zip or an Excel workbook.": lambda raw: gzip.compress(zipped(raw)),
    "is UTF-16 text. Save it as UTF-8 text, for example with: iconv -f utf-16": lambda raw: raw.decode().encode(
        "utf-16"
    ),
    "has zero bytes in it, which no text has, but for UTF-16. If it is that: Save it as UTF-8 text, for example with: "
    "iconv -f utf-16le": lambda raw: raw.decode().encode("utf-16le"),
    "has zero bytes in it": lambda raw: raw.decode().encode("utf-16be"),
    "is an Arrow or Feather file. Save": arrow,
}


@pytest.mark.parametrize("said", KINDS)
@pytest.mark.parametrize("source", [Table, SequencesFile])
def test_a_file_of_another_kind_is_called_what_it_is(said, source, tmp_path):
    (tmp_path / "log.csv").write_bytes(KINDS[said]((HEADER + "1,2,3\n").encode()))
    refused(source(path=str(tmp_path / "log.csv")), f"log.csv {said}")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"user": "a", "item": "b"}\n{"user": "a", "item": "c"}\n', True),
        ('[{"user": "a"},\n {"user": "b"}]\n', False),
        ('{\n  "u1": ["a", "b"]\n}\n', False),
        ('[["u", "a", 1]]\n', False),
    ],
)
@pytest.mark.parametrize("source", [Table, SequencesFile, RecBole])
def test_json_is_called_so_with_a_command_that_converts_it(source, text, lines, tmp_path):
    (tmp_path / "y.json").write_text(text)
    name = str(tmp_path / "y.json")
    how = f"pandas.read_json({name!r}, dtype=False{', lines=True' if lines else ''}).to_parquet({name + '.parquet'!r})"
    refused(source(path=name), f'y.json is JSON. Convert it: python -c "import pandas; {how}"')


@pytest.mark.parametrize("name", ["ORCID", "{user}", "[user]"])
def test_a_name_that_begins_like_another_kind_is_a_name(name, tmp_path):
    assert told(read(table(tmp_path, f"{name},item,timestamp\n1,2,3\n", user=name))) == [(1, 2, 3)]


@pytest.mark.parametrize("source", [SequencesFile, Pairs, RecBole])
def test_of_parquet_other_sources_say_what_reads_it(source, tmp_path):
    parquet(tmp_path, user=[1], item=[2])
    refused(source(path=str(tmp_path / "log.parquet")), "log.parquet is Parquet", "data=table reads it")


@pytest.mark.parametrize("blank", ["\n", "\r\n\r\n", "  \n\n", "\r\r"])
def test_blank_lines_before_the_header_are_passed_over_and_counted(blank, tmp_path):
    end = "\r" if "\n" not in blank else "\r\n" if "\r" in blank else "\n"
    lines = blank + end.join(["user,item,timestamp", "1,2,3", '1,"a,b",4', ""])
    assert told(read(table(tmp_path, lines))) == [(1, "2", 3), (1, "a,b", 4)]
    refused(table(tmp_path, lines + "1,2"), f"log.csv, line {blank.count(end) + 4}: expected user,item")
    refused(table(tmp_path, blank + f"user,item,timestamp{end}"), "has a header line but no events")
    refused(table(tmp_path, blank + f"a,b{end}1,2{end}"), "no column 'user' (data.user); it has a, b")
    (tmp_path / "x.inter").write_bytes((blank + f"user_id:token\titem_id:token{end}1\t2{end}").encode())
    assert told(read(RecBole(path=str(tmp_path / "x.inter")))) == [(1, 2)]
