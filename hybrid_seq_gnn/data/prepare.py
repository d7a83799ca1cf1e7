"""Prepare sequences and their split from a source, and cache them for later runs."""

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_seq_gnn.data.filters import filter_events
from hybrid_seq_gnn.data.sequences import Sequences, by_user
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.split import Split, global_time, leave_one_out
from hybrid_seq_gnn.files import expanded

log = logging.getLogger(__name__)

MOST_REPEATS = 0.1  # of held-out items that repeat the event before
MAX_KEPT = 4  # prepared data sets held in the memory of one process


@dataclass(frozen=True)
class Prepared:
    """Data ready for training.

    Attributes:
        sequences: histories.
        split: which events are held out.
        data_hash: sha256 of the histories.
        split_hash: sha256 of the histories and the split; runs with the same hash can be compared.
        log: one line per filter, with what it removed.
        from_cache: whether the data were read from the cache.
    """

    sequences: Sequences
    split: Split
    data_hash: str
    split_hash: str
    log: tuple[str, ...]
    from_cache: bool = False


_cache: dict[str, Prepared] = {}


def cache_folder(source: Source) -> Path:
    """The folder of prepared data and downloads."""
    if source.cache_dir is not None:
        return expanded(source.cache_dir)
    if folder := os.environ.get("HYBRID_SEQ_GNN_CACHE"):
        return expanded(folder)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "hybrid_seq_gnn"


def prepare(source: Source) -> Prepared:
    """Read, filter, sort and split the data, or take the result from the cache in memory or on disk.

    The key of the disk cache is the content of the file and the settings, so a changed file is prepared again. The
    memory cache, which the runs of a sweep in one process share, uses the size and time of the file instead.
    """
    key = memory_key(source)
    if key is None:
        return from_disk(source)
    if key not in _cache:
        while len(_cache) >= MAX_KEPT:
            del _cache[next(iter(_cache))]
        _cache[key] = from_disk(source)
    return _cache[key]


def memory_key(source: Source) -> str | None:
    """The key of a source in the memory cache; None if it is not cached there."""
    if not source.cache:
        return None
    name = f"{type(source).__qualname__} {source!r} {cache_folder(source)}"
    if source.path is None:
        return name
    path = expanded(source.path)
    if not path.is_file():
        return None
    stat = path.stat()
    return f"{name} {stat.st_mtime_ns} {stat.st_size}"


def from_disk(source: Source) -> Prepared:
    """`prepare` without the memory cache."""
    content = source.content()
    path = cache_folder(source) / f"{source.key(content)}.npz"
    if source.cache and (cached := load(path)) is not None:
        return cached
    events, lines = filter_events(source.read(content), source)
    lines = [*events.notes, *lines]
    sequences = by_user(events)
    if source.split == "global_time":
        split = global_time(sequences, source.valid_share, source.test_share)
    else:
        split = leave_one_out(sequences)
    lines += easy_targets(sequences, split)
    prepared = Prepared(sequences, split, sequences.hash(), split.hash(sequences), tuple(lines))
    if source.cache:
        store(prepared, path)
    return prepared


def store(prepared: Prepared, path: Path) -> None:
    """Write to a temporary file and rename it, so that two processes can do it at once; a failure only warns."""
    sequences, split = prepared.sequences, prepared.split
    arrays = {
        "indptr": sequences.indptr,
        "items": sequences.items,
        **{f"user_{k}": v for k, v in packed(sequences.user_ids).items()},
        **{f"item_{k}": v for k, v in packed(sequences.item_ids).items()},
        "train_end": split.train_end,
        "valid": split.valid,
        "test": split.test,
        "log": np.array(prepared.log, dtype=str),
    }
    if sequences.timestamps is not None:
        arrays["timestamps"] = sequences.timestamps
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    body = buffer.getvalue()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem[:12]}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(hashlib.sha256(body).digest() + body)
        temporary.replace(path)
    except OSError as error:
        log.warning("prepared data are not cached: %s; choose another folder with data.cache_dir=…", error)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def packed(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids as arrays without Python objects, and not larger than they are."""
    if ids.dtype.kind == "i":
        return {"ids": ids}
    text = [str(value).encode() for value in ids.tolist()]
    numbers = all(isinstance(value, int) for value in ids.tolist())
    return {
        "text": np.frombuffer(b"".join(text), dtype=np.uint8),
        "ends": np.cumsum([len(value) for value in text]),
        "numbers": np.array(numbers),
    }


def unpacked(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """What `packed` made ids of."""
    if f"{name}_ids" in arrays:
        return arrays[f"{name}_ids"]
    text, ends = arrays[f"{name}_text"].tobytes(), arrays[f"{name}_ends"].tolist()
    values = [text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
    ids = np.empty(len(values), dtype=object)
    ids[:] = [int(value) for value in values] if arrays[f"{name}_numbers"] else values
    return ids


def easy_targets(sequences: Sequences, split: Split) -> list[str]:
    """A line where more than a tenth of the held-out items repeat the event before them."""
    users = np.flatnonzero(split.test > 0)
    at = sequences.indptr[users] + split.test[users]
    share = float((sequences.items[at] == sequences.items[at - 1]).mean()) if len(users) else 0.0
    if share <= MOST_REPEATS:
        return []
    return [
        f"warning: {100 * share:.0f} % of the held-out items repeat the event before them, so a model that repeats the "
        "last item looks good; data.duplicates=drop helps if the file has events twice"
    ]


def load(path: Path) -> Prepared | None:
    """Data written by `store`; None if the file is missing or damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read (%s); preparing the data again", path, error)
        return None
    checksum, body = raw[:32], raw[32:]
    if hashlib.sha256(body).digest() != checksum:
        log.warning("%s is damaged; preparing the data again", path)
        return None
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        sequences = Sequences(
            indptr=arrays["indptr"],
            items=arrays["items"],
            timestamps=arrays.get("timestamps"),
            user_ids=unpacked("user", arrays),
            item_ids=unpacked("item", arrays),
        )
        split = Split(train_end=arrays["train_end"], valid=arrays["valid"], test=arrays["test"])
        lines = tuple(arrays["log"].tolist())
    return Prepared(sequences, split, sequences.hash(), split.hash(sequences), lines, from_cache=True)
