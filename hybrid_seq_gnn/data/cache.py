"""Arrays that took long to make, on disk: written atomically, checked and memory-mapped when they are read."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from hybrid_seq_gnn.files import atomic, locked

log = logging.getLogger(__name__)

FORMAT = 8  # version of what is stored; raise it when data or graphs are made otherwise, so that old files are ignored
SLOW = 2.0  # seconds; what is made faster is made again
DIGEST = hashlib.sha256().digest_size

Arrays = Mapping[str, np.ndarray]
K = TypeVar("K")
V = TypeVar("V")


def load_or_make(folder: Path | None, key: str, make: Callable[[], Arrays], always: bool = False) -> Arrays:
    """Arrays stored in a folder, or else what `make` returns, which is stored if it took long, or `always`.

    If several processes ask for the same key at once, one makes it and the others wait.
    """
    if folder is None:
        return make()
    path = folder / f"{key}.arrow"
    if (found := read(path)) is not None:
        return found
    with only_process(path) as waited:
        if waited and (found := read(path)) is not None:
            return found
        started = time.perf_counter()
        made = make()
        if always or time.perf_counter() - started >= SLOW:
            write(path, made)
        return made


def get_or_make(memory: dict[K, V], key: K, make: Callable[[], V], most: int) -> V:
    """The value of a key in a dict that holds at most so many: made if it is not there, in the place of the oldest."""
    if key not in memory:
        while len(memory) >= most:
            del memory[next(iter(memory))]
        memory[key] = make()
    return memory[key]


@contextmanager
def only_process(path: Path) -> Iterator[bool]:
    """Let only one process work on a file; yields whether it had to wait. A folder that is not writable has no lock."""
    lock, waited = path.with_suffix(".lock"), False
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            waited = stack.enter_context(locked(lock, doing=f"makes {path}"))
            stack.callback(lock.unlink, missing_ok=True)  # who waits for it looks for the file first
        except OSError:
            pass  # `write` warns
        yield waited


def write(path: Path, arrays: Arrays) -> None:
    """Store arrays of numbers or text as one row of an Arrow stream, followed by its sha256; a failure only warns."""
    cells = {name: cell(values) for name, values in arrays.items()}
    batch = pa.record_batch(list(cells.values()), list(cells))
    try:
        with atomic(path) as temporary:
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, batch.schema) as stream:
                stream.write_batch(batch)
            with temporary.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
                file.write(digest)
    except OSError as error:
        log.warning("prepared data are not cached: %s; choose another folder with data.cache_dir=…", error)


def cell(values: np.ndarray) -> pa.Array:
    """One list of all values."""
    kind = pa.large_string() if values.dtype == object else None
    return pa.LargeListArray.from_arrays([0, len(values)], pa.array(values, kind))


def read(path: Path) -> Arrays | None:
    """Arrays written by `write`, mapped into memory (read-only); None if the file is missing or damaged."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
        content = pa.py_buffer(b"") if empty else pa.memory_map(str(path)).read_buffer()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read (%s); preparing the data again", path, error)
        return None
    body = content[: max(content.size - DIGEST, 0)]
    if hashlib.sha256(body).digest() != content[body.size :].to_pybytes():
        log.warning("%s is damaged; preparing the data again", path)
        return None
    batch = pa.ipc.open_stream(body).read_next_batch()
    return {name: array_of(column.values) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def array_of(values: pa.Array) -> np.ndarray:
    """Numbers without a copy; text as Python objects."""
    if values.type != pa.large_string():
        return np.asarray(values.to_numpy())
    objects = np.empty(len(values), dtype=object)
    objects[:] = values.to_pylist()
    return objects
