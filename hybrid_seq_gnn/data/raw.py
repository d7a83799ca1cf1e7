"""The bytes of data files: one file, a folder or a glob of parts, plain or compressed."""

import glob
import io
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from hybrid_seq_gnn.errors import UserError, reading

PARQUET = b"PAR1"  # first bytes of such a file
CODECS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}  # by first bytes
CHUNK = 1 << 24
FREE_BYTES = 1 << 30  # the ratio counts only beyond this
MOST_RATIO = 200  # unpacked bytes per packed byte


@dataclass(frozen=True)
class Part:
    """A file's name, for messages, and its unpacked content."""

    name: str
    raw: bytes


def read_parts(path: Path, max_bytes: int) -> list[Part]:
    """A file, or all files of a folder or glob in the order of their names; names beginning with . or _ are not data.

    Raises:
        ValueError: nothing is there, a file cannot be read or is empty, or it unpacks to too much.
    """
    parts = [Part(str(file), read_bytes(file, max_bytes)) for file in files_of(path)]
    if not any(part.raw.strip() for part in parts):
        raise UserError(f"{path} is empty.")
    return [part for part in parts if part.raw.strip()]


def files_of(path: Path) -> list[Path]:
    """The data files that a path names."""
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if not any(part[0] in "._" for part in file.relative_to(path).parts)]
    else:
        found = [file for file in map(Path, glob.glob(str(path), recursive=True)) if file.name[0] not in "._"]
    found = sorted(file for file in found if file.is_file())
    if not found:
        what = "is a folder without data files" if path.is_dir() else "there is no such file"
        raise UserError(f"{path}: {what}. Check data.path.")
    return found


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a file, unpacked if it begins as gzip, bz2, zstd or xz files do, whatever its name.

    Raises:
        ValueError: it cannot be read, or it unpacks to more than `max_bytes` or to over 1 GiB and 200 times its size.
    """
    with reading(f"{path} cannot be read"), path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        codec = next((codec for magic, codec in CODECS.items() if start.startswith(magic)), None)
        size = path.stat().st_size
        most = max_bytes if codec is None else min(max_bytes, max(FREE_BYTES, MOST_RATIO * size))
        chunks, total = [], 0
        for chunk in unpacked(file, codec):
            total += len(chunk)
            if total > most:
                limit = f"data.max_bytes={max_bytes:,}" if most == max_bytes else f"{MOST_RATIO} times its size"
                raise UserError(f"{path} unpacks to more than {limit}; is it what you expect?")
            chunks.append(chunk)
        return b"".join(chunks).removeprefix(b"\xef\xbb\xbf")  # a byte-order mark


def unpacked(file: IO[bytes], codec: str | None) -> Iterator[bytes]:
    """The content in chunks."""
    stream: IO[bytes] | pa.NativeFile = file
    if codec == "xz":
        stream = lzma.LZMAFile(file)  # noqa: SIM115
    elif codec is not None:
        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)
    while chunk := stream.read(CHUNK):
        yield chunk


def text_lines(raw: bytes) -> Iterator[tuple[int, str]]:
    r"""Number (from 1) and text of each line that is not empty; lines end with \n or \r\n."""
    for number, line in enumerate(io.BytesIO(raw), start=1):
        if line := line.rstrip(b"\n").removesuffix(b"\r"):
            yield number, line.decode("utf-8", "replace")
