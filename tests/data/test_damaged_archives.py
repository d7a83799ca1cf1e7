"""Archives with flipped bits, or cut off: read, or refused in words."""

import bz2
import gzip
import io
import lzma
import zipfile
from contextlib import suppress

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.data.movielens import MovieLens1M
from hybrid_seq_gnn.data.table import Table
from hybrid_seq_gnn.errors import UserError
from tests.data.test_real_files import HEADER, zstd
from tests.data.test_sources import read


def zip_of(raw):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("ml-1m/ratings.dat", raw.replace(b",", b"::"))
    return file.getvalue()


def parquet_of(raw):
    file = io.BytesIO()
    pd.read_csv(io.BytesIO(raw), dtype={"user": str}).to_parquet(file)
    return file.getvalue()


PACKED = {
    "zip": zip_of, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
    "zst": zstd, "parquet": parquet_of,
}  # fmt: skip
TEXT = HEADER + "".join(f"{u},{i},{i}\n" for u in range(9) for i in range(9))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused_in_words(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(list(PACKED)))
    raw = bytearray(PACKED[kind](TEXT.encode()))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=3)):
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2]))])
    with suppress(UserError):
        read((MovieLens1M if kind == "zip" else Table)(path=str(path)))
