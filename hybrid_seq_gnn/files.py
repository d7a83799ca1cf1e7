"""Files that are whole or not there, and locks that go when their process does."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """conf/, beside the package in a checkout and inside it in a wheel."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place at the end.

    A crash at any moment leaves the old file or the new one, never half of one.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or none."""
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


def shown(path: Path) -> str:
    """A path as short as it can be said."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`; the lock goes when the process does, however it ends.

    The file stays: removing it would let two others lock two different files of that name.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON: an undefined number is null, never NaN.

    Raises:
        ValueError: `value` holds NaN or infinity.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON Lines, one record a line."""
    write_text(path, "".join(json.dumps(record, allow_nan=False) + "\n" for record in records))
