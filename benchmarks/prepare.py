"""Seconds and peak memory of preparing a generated CSV file of events, each in a process of its own."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from benchmarks.machine import Measured, apart, table
from hybrid_seq_gnn.data.prepare import Prepared, prepare
from hybrid_seq_gnn.data.table import Table

PER_USER = 20


def options(parser: argparse.ArgumentParser, events: int = 1_000_000, items: int = 50_000) -> None:
    parser.add_argument("--events", type=int, default=events)
    parser.add_argument("--items", type=int, default=items)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.csv"
        apart(write, events, options.events, options.items)
        columns = (f"{options.events:,} events, {events.stat().st_size / 1e6:.0f} MB", "CPU s", "wall s", "peak MiB")
        table(columns, rows(events))


def rows(events: Path) -> Iterator[tuple[str, ...]]:
    yield shown("imports alone", apart(nothing))
    yield shown("CSV to sequences and split", apart(read, events, False))
    yield shown("the same, and write the cache", apart(read, events, True))
    yield shown("from the cache", apart(read, events, True))


def shown(what: str, found: Measured) -> tuple[str, ...]:
    return what, f"{found.cpu:.2f}", f"{found.wall:.2f}", f"{found.peak:.0f}"


def nothing() -> None:
    """What a process costs that imports all this."""


def prepared(events: Path, cache: bool) -> Prepared:
    """The data of a CSV file, whose cache is beside it."""
    return prepare(Table(path=str(events), cache=cache, cache_dir=str(events.parent)))


def read(events: Path, cache: bool) -> tuple[int, int]:
    sequences = prepared(events, cache).sequences
    return len(sequences.items), sequences.num_items


def write(path: Path, events: int, items: int) -> None:
    """Events in order of time, so that users are mixed; ids are text, and popular items are had far more often."""
    rng = np.random.default_rng(0)
    users = max(events // PER_USER, 1)
    columns: dict[str, Any] = {
        "user": rng.permutation(np.arange(events) % users),
        "item": (items * rng.random(events) ** 3).astype(np.int64),
        "timestamp": 1_600_000_000 + np.arange(events) // 2,
    }
    text = {name: pa.array(columns[name]).cast(pa.string()) for name in ("user", "item")}
    named = {name: pa.compute.binary_join_element_wise(name[0], column, "") for name, column in text.items()}
    pa.csv.write_csv(pa.table({**columns, **named}), path)
