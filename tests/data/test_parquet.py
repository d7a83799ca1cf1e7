"""Columns of Parquet: settings of text are refused, dates as numbers read, ids of bytes kept."""

import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybrid_seq_gnn.data.columns import from_columns
from hybrid_seq_gnn.data.events import UnreadableColumn
from hybrid_seq_gnn.data.table import Table
from tests.data.test_real_files import parquet, refused
from tests.data.test_sources import read, told


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        ([30092020, 1102020], "%d%m%Y"),
        (pa.array([30092020.0, 1102020.0]), "%d%m%Y"),
        ([20200930, 20201001], "%Y%m%d"),
        (pa.array(["30.09.2020", "01.10.2020"]).dictionary_encode(), "%d.%m.%Y"),
        (pa.array([b"300920", b"011020"]), "%d%m%y"),
    ],
)
def test_numbers_are_the_digits_of_dates_where_a_format_is_given(times, time_format, tmp_path):
    source = parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=times)
    found = read(Table(path=source.path, time_format=time_format))
    assert np.diff(found.timestamp).tolist() == [86_400 * 10**9]


@pytest.mark.parametrize("times", [[30092020, 99], [1.5, 2.5]])
def test_numbers_that_are_no_such_date_are_refused(times, tmp_path):
    source = parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=times)
    refused(Table(path=source.path, time_format="%d%m%Y"), "(data.timestamp)", "data.time_format=%d%m%Y")


@pytest.mark.parametrize("kind", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")])
def test_times_of_day_are_no_times(kind, tmp_path):
    source = parquet(tmp_path, user=[1, 1], item=[1, 2], timestamp=pa.array([5, 4], kind))
    refused(source, "log.parquet: column 'timestamp' (data.timestamp) holds times of day, which have no date")


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("ns", "UTC")])
def test_a_format_for_what_are_dates_already_is_refused(kind, tmp_path):
    source = parquet(tmp_path, user=[1], item=[1], timestamp=pa.array([5], pa.timestamp("s")).cast(kind, safe=False))
    assert len(read(source)) == 1
    refused(Table(path=source.path, time_format="%d.%m.%Y"), "holds dates already; leave out data.time_format=%d.%m.%Y")


@pytest.mark.parametrize(
    "setting", [{"columns": ("item", "user", "timestamp")}, {"header": True}, {"separator": ";"}, {"quotes": "none"}]
)
def test_settings_of_text_are_refused(setting, tmp_path):
    source = parquet(tmp_path, user=[1], item=[2], timestamp=[3])
    refused(Table(path=source.path, **setting), "log.parquet is Parquet", f"data.{next(iter(setting))} would change")


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    columns = [pa.array([1]), pa.array(["a"]), pa.array(["b"]), pa.array([5])]
    for names in (["user", "item", "item", "timestamp"], ["user", "item", "x", "x"]):
        pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "x.parquet")
        time = "x" if "x" in names else "timestamp"
        twice = max(names, key=names.count)
        refused(Table(path=str(tmp_path / "x.parquet"), timestamp=time), f"x.parquet has 2 columns {twice!r}")
    assert told(read(Table(path=str(tmp_path / "x.parquet"), timestamp=None))) == [(1, "a")]


@pytest.mark.parametrize("ids", [["a", ""], [b"a", b""], pa.array(["a", ""]).dictionary_encode()])
def test_an_empty_id_is_refused_as_in_text(ids, tmp_path):
    refused(parquet(tmp_path, user=ids, item=[1, 2], timestamp=[1, 2]), "row 2: column 'user' (data.user) has no value")
    refused(parquet(tmp_path, user=[1, 2], item=ids, timestamp=[1, 2]), "row 2: column 'item' (data.item) has no value")


def test_uuids_are_ids_as_they_are_written(tmp_path):
    two = [uuid.UUID(int=7), uuid.UUID(int=2**127 + 3)]
    raw = pa.array([one.bytes for one in two], pa.binary(16))
    for column in (raw, pa.ExtensionArray.from_storage(pa.uuid(), raw), raw.dictionary_encode()):
        found = read(parquet(tmp_path, user=column, item=[1, 2], timestamp=[1, 2]))
        assert found.user_ids.tolist() == [str(one) for one in two]


def test_other_bytes_of_a_fixed_number_are_text_or_refused(tmp_path):
    text = pa.array([b"abcdefghijklmnop", b"0123456789012345"], pa.binary(16))
    found = read(parquet(tmp_path, user=text, item=pa.array([b"ab", b"07"], pa.binary(2)), timestamp=[1, 2]))
    assert told(found) == [("abcdefghijklmnop", "ab", 1), ("0123456789012345", "07", 2)]
    refused(parquet(tmp_path, user=pa.array([b"\xff\xfe"], pa.binary(2)), item=[1], timestamp=[1]), "UTF-8 text")


@pytest.mark.parametrize("field", ["user", "item", "timestamp"])
def test_a_type_that_arrow_cannot_read_is_refused_in_words(field):
    columns = {"user": [1], "item": [2], "timestamp": [3]} | {
        field: pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    }
    with pytest.raises(UnreadableColumn, match="holds") as error:
        from_columns({name: pa.chunked_array([values]) for name, values in columns.items()}, None)
    assert error.value.field == field
