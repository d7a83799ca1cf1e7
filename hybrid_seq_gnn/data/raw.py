"""The bytes of data files: one file, a folder or a glob of parts, plain or compressed."""

import glob
import io
import json
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from hybrid_seq_gnn.errors import UserError, as_user_error

MIXED = "ends some lines with \\r alone and others with \\n; write all of them alike."
NO_TEXT = "expected UTF-8 text"
PARQUET = b"PAR1"  # first bytes of such a file
XZ = b"\xfd7zXZ\x00"
CODECS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", XZ: "xz"}  # by first bytes
ICONV = "Save it as UTF-8 text, for example with: iconv -f {} -t utf-8 OLD > NEW."
HEADED = (  # Netflix
    "If a line `1:` stands before the events of an item, write the item into each of them: "
    """awk '/:$/ {sub(":", ","); item = $0; next} {print item $0}' OLD > NEW."""
)
FOREIGN = {  # what other files are, by first bytes, and what to do
    b"PK\x03\x04": "is a zip or an Excel workbook. Unpack the zip, or save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook. Save the table as CSV",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive. Unpack it",
    b"Rar!\x1a\x07": "is a RAR archive. Unpack it",
    b"\x04\x22\x4d\x18": "is packed with LZ4. Unpack it",
    b"ARROW1\0\0": "is an Arrow or Feather file. Save the table as Parquet or CSV",
    b"Obj\x01": "is an Avro file. Save the table as Parquet or CSV",
    b"SQLite format 3\0": "is an SQLite database. Save the table as Parquet or CSV",
    b"\x1f\x9d": "is packed with compress (.Z). Unpack it",
    **{magic: f"is packed twice, the second time with {codec}. Unpack it once" for magic, codec in CODECS.items()},
}
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte-order marks
CHUNK = 1 << 24
START = 1 << 6  # bytes that tell a kind
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
        UserError: nothing is there, a file cannot be read or is empty, is of another kind, or it unpacks to too much.
    """
    parts = [Part(str(file), read_bytes(file, max_bytes)) for file in files_of(path)]
    for part in parts:
        refuse_foreign(part)
    parts = [part for part in parts if part.raw and not part.raw.isspace()]
    if not parts:
        raise UserError(f"{path} is empty.")
    return parts


def refuse_foreign(part: Part) -> None:
    """Raise UserError with what a file is that is neither Parquet nor text of one byte a letter."""
    if part.raw.startswith(UTF16):
        raise UserError(f"{part.name} is UTF-16 text. {ICONV.format('utf-16')}")
    what = next((what for magic, what in FOREIGN.items() if part.raw.startswith(magic)), None)
    if part.raw[257:262] == b"ustar":
        what = "is a tar archive. Unpack it"
    if part.raw.startswith(b"ORC") and re.search(rb"[\0-\x08]", part.raw[:START]):
        what = "is an ORC file. Save the table as Parquet or CSV"
    if (by_line := json_lines(part.raw)) is not None:
        read = f"pandas.read_json({part.name!r}, dtype=False{', lines=True' * by_line})"
        what = f'is JSON. Convert it: python -c "import pandas; {read}.to_parquet({part.name + ".parquet"!r})"'
    if re.match(rb"\s*\{u?'[^'\n]+'\s*:", part.raw[: 1 << 10]):
        lines = f"{'gzip.' * part.name.endswith('.gz')}open({part.name!r}, 'rt', encoding='utf-8')"
        dicts = f"ast.literal_eval(line) for line in {lines} if line.strip()"
        frame = f"pandas.DataFrame({dicts}).to_parquet({part.name + '.parquet'!r})"
        what = f'holds lines of Python dicts. Convert it: python -c "import ast, gzip, pandas; {frame}"'
    if what:
        raise UserError(f"{part.name} {what}; or name another file with data.path.")
    if not part.raw.startswith(PARQUET) and b"\0" in part.raw[:START]:
        order = "be" if part.raw.startswith(b"\0") else "le"
        raise UserError(
            f"{part.name} has zero bytes in it, which no text has, but for UTF-16. If it is that: "
            f"{ICONV.format(f'utf-16{order}')} Of other files, data=table reads text and Parquet."
        )


def json_lines(raw: bytes) -> bool | None:
    """Whether each line of a file is a JSON object; None if the file is no JSON."""
    first, _, rest = raw[: 1 << 20].lstrip().partition(b"\n")
    if not first.startswith((b"{", b"[")):
        return None
    try:
        return isinstance(json.loads(first), dict) and bool(rest.strip())
    except (ValueError, RecursionError):  # it goes on in the next line
        return False if re.match(rb'(\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:', first + rest) else None


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
        UserError: it cannot be read, or it unpacks to more than `max_bytes` or to over 1 GiB and 200 times its size.
    """
    with as_user_error(f"{path} cannot be read"), path.open("rb") as file:
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
        yield from of_xz(file)
        return
    if codec is not None:
        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)
    while chunk := stream.read(CHUNK):
        yield chunk


def of_xz(file: IO[bytes]) -> Iterator[bytes]:
    """The content of all streams of an xz file; zeros may follow each. lzma.LZMAFile passes over whatever else does."""
    stream, packed = lzma.LZMADecompressor(lzma.FORMAT_XZ), b""
    while True:
        if stream.eof:
            packed = stream.unused_data.lstrip(b"\0")
            while not packed and (more := file.read(CHUNK)):
                packed = more.lstrip(b"\0")
            if not packed:
                return
            if not packed.startswith(XZ[: len(packed)]):
                raise lzma.LZMAError("bytes that are no xz follow its end, or that of one of its streams")
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        elif stream.needs_input and not (packed := file.read(CHUNK)):
            raise EOFError("it ends in the middle of a stream")
        yield stream.decompress(packed, CHUNK)
        packed = b""


def headed(line: str) -> str:
    """What to do where a line names the item of those after it."""
    return f" {HEADED}" if re.fullmatch(r"\d+:", line.strip()) else ""


def text_lines(part: Part) -> Iterator[tuple[int, str]]:
    r"""Number (from 1) and text of each line that is not empty; lines end with \n, \r\n or \r.

    Raises:
        UserError: some lines end with \r alone and others do not, or a line is no UTF-8 text.
    """
    if part.raw.startswith(PARQUET):
        raise UserError(f"{part.name} is Parquet. If a row is an event, data=table reads it.")
    raw = line_feeds(part.raw)
    if re.search(rb"\S\r+\S", raw):
        raise UserError(f"{part.name} {MIXED}")
    for number, line in enumerate(io.BytesIO(raw), start=1):
        if line := line.rstrip(b"\n").removesuffix(b"\r"):
            try:
                text = line.decode()
            except UnicodeDecodeError:
                got = quoted_line(decoded(line))
                raise UserError(f"{part.name}, line {number}: {NO_TEXT}, got {got}. {ICONV.format('latin1')}") from None
            yield number, text


def line_feeds(raw: bytes) -> bytes:
    r"""The text with lines that end with \n, also where they ended with \r alone."""
    return raw if b"\n" in raw else raw.replace(b"\r", b"\n")


def decoded(raw: bytes) -> str:
    """Text in which bytes that are no UTF-8 stand as surrogates, so that they stay apart and can be encoded again."""
    return raw.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """What `decoded` made a text of."""
    return text.encode("utf-8", "surrogateescape")


def readable(text: str) -> str:
    """The same for messages: a sign stands for each byte that is no text."""
    return encoded(text).decode("utf-8", "replace")


def is_text(text: str) -> bool:
    """Whether what `decoded` returned was UTF-8."""
    return re.search("[\udc80-\udcff]", text) is None


def quoted_line(line: str) -> str:
    """A line in a message: control characters and bytes that are no text escaped, and not too long."""
    line = line if len(line) <= 120 else f"{line[:120]}…"
    return re.sub(r"\\udc([89a-f].)", r"\\x\1", repr(line))
