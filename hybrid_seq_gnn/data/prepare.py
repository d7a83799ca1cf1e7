"""Prepare sequences and their split from a source, and cache them for later runs."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hybrid_seq_gnn.data import cache
from hybrid_seq_gnn.data.filters import filter_events
from hybrid_seq_gnn.data.notes import header_line, missing_ids, repeated_targets, tied_targets, time_span
from hybrid_seq_gnn.data.raw import Part
from hybrid_seq_gnn.data.sequences import Sequences, by_user
from hybrid_seq_gnn.data.source import Source
from hybrid_seq_gnn.data.split import Split, global_time, leave_one_out
from hybrid_seq_gnn.files import expanded

SEQUENCES = ("indptr", "items", "timestamps", "user_ids", "item_ids")  # the arrays of each class
SPLIT = ("train_end", "valid", "test")
MAX_KEPT = 4  # prepared data sets held in the memory of one process


@dataclass(frozen=True)
class Prepared:
    """Data ready for training.

    Attributes:
        sequences: histories.
        split: which events are held out.
        data_hash: sha256 of the histories.
        split_hash: sha256 of the histories and the split; runs with the same hash can be compared.
        log: what was read, what each filter removed, and warnings.
    """

    sequences: Sequences
    split: Split
    data_hash: str
    split_hash: str
    log: tuple[str, ...]


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
    return cache.get_or_make(_cache, key, lambda: from_disk(source), MAX_KEPT)


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
    if not source.cache:
        return prepared(make(source, content))
    folder = cache_folder(source)
    return prepared(cache.load_or_make(folder, source.key(content), lambda: make(source, content), always=True), folder)


def make(source: Source, content: list[Part]) -> cache.Arrays:
    """Prepared data as the arrays that are cached."""
    events = source.read(content)
    lines = [*events.notes, *missing_ids(events), *header_line(events)]
    events, removed = filter_events(events, source)
    lines += [*removed, *time_span(events)]
    sequences = by_user(events)
    if source.split == "global_time":
        split = global_time(sequences, source.valid_share, source.test_share)
    else:
        split = leave_one_out(sequences)
    lines += tied_targets(events, sequences, split)
    lines += repeated_targets(sequences, split, source.duplicates)
    data_hash = sequences.hash()
    arrays = {name: getattr(sequences, name) for name in SEQUENCES} | {name: getattr(split, name) for name in SPLIT}
    arrays["log"] = np.array(lines, dtype=object)
    arrays["hashes"] = np.array([data_hash, split.hash(sequences, data_hash)], dtype=object)
    pa.default_memory_pool().release_unused()  # Arrow keeps what reading needed
    return {name: values for name, values in arrays.items() if values is not None}


def prepared(arrays: cache.Arrays, folder: Path | None = None) -> Prepared:
    """Data from the arrays that `make` returned; what is derived from them may be cached in `folder`."""
    sequences = Sequences(**{name: arrays.get(name) for name in SEQUENCES}, cache=folder)  # type: ignore[arg-type]
    split = Split(**{name: arrays[name] for name in SPLIT})
    data_hash, split_hash = arrays["hashes"]
    return Prepared(sequences, split, data_hash, split_hash, tuple(arrays["log"]))
