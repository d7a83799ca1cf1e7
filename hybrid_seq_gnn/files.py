"""Atomic file writes, and file locks that are released when their process ends."""

import fcntl
import hashlib
import json
import logging
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hybrid_seq_gnn.errors import UserError, as_user_error

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parent
UNFINISHED = ".part"
MAX_YAML = 1 << 16  # bytes; reading more takes over a second
MAX_JSON = 1 << 24
MAX_DEPTH = 20


def package_folder(name: str) -> Path:
    """conf/ or sweeps/: next to the package in a checkout, inside it in a wheel."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which replaces `path` at the end.

    A crash at any moment leaves the complete old file or the complete new one. A symbolic link in the place of either
    is never followed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # a failed write does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what killed processes left of `atomic`; nobody else may be writing to the folder."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def refuse_links(folder: Path) -> None:
    """Raise UserError if the folder contains a symbolic link, which could lead what is written there elsewhere."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise UserError(
                    f"{entry.path} is a symbolic link, which is not followed. Remove it, or use another folder."
                )


def sync(*paths: Path) -> None:
    """Force files or folders to disk, so that they survive a power cut."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def checksum(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def short_path(path: Path) -> str:
    """The path relative to the working directory if it lies inside, else the path as it is."""
    folder = Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def lockable(path: Path) -> int:
    """The descriptor of a file that only serves as a lock; no link is followed."""
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


@contextmanager
def locked(path: Path, wait: bool = True, doing: str = "") -> Iterator[bool]:
    """Hold a lock on the file `path`; yields whether it had to wait. It is released when the process ends.

    The file is not removed: otherwise two processes could lock two different files of the same name.

    Args:
        doing: what the process that is waited for does there, for the log; nothing is logged without it.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    with open(lockable(path), "a") as file:
        waited = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            waited = True
            if doing:
                log.info("waiting for another process that %s", doing)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield waited


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON. Pass None, which becomes null, for an undefined number.

    Raises:
        ValueError: `value` holds NaN or infinity.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def expanded(path: str) -> Path:
    """The path with ~ replaced by the home folder; ~NAME of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))


def read_json(path: Path) -> Any:
    """A JSON file, which may be damaged or of somebody else.

    Raises:
        UserError: it cannot be read, is not strict JSON, or is larger or deeper than any that is meant to be read.
    """
    with as_user_error(f"{path} cannot be read as JSON"):
        if path.stat().st_size > MAX_JSON:
            raise UserError(f"{path} is larger than {MAX_JSON:,} bytes.")
        return json_of(path.read_text(encoding="utf-8"))


def json_of(text: str) -> Any:
    """A text as JSON whose numbers are finite and, where they are whole, of 64 bits.

    Raises:
        ValueError: it is not, or is nested deeper than any that is meant to be read.
    """

    def number(text: str) -> int | float:
        value = float(text)
        if not math.isfinite(value) or (text.lstrip("-").isdecimal() and abs(value) >= 1 << 63):
            raise ValueError(f"{text[:40]} is no number that can be used")
        return int(text) if text.lstrip("-").isdecimal() else value

    try:
        found = json.loads(text, parse_int=number, parse_float=number, parse_constant=number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    depth, level = 0, [found]
    while level := [
        child
        for value in level
        if isinstance(value, dict | list)
        for child in (value.values() if isinstance(value, dict) else value)
    ]:
        if (depth := depth + 1) > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
    return found


def read_yaml(path: Path) -> Any:
    """A YAML file of a user.

    Raises:
        UserError: it cannot be read, is not YAML, has aliases, or is larger or deeper than any that is to be read.
    """
    depth = 0
    with as_user_error(f"{path} cannot be read as YAML"):  # the date 2020-99-99 is a ValueError
        if path.stat().st_size > MAX_YAML:
            raise UserError(f"{path} is larger than {MAX_YAML:,} bytes.")
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise UserError(f"{path}, line {line}: aliases and deep nesting are not read.")
        return yaml.safe_load(text)


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON Lines, one record per line."""
    write_text(path, "".join(json.dumps(record, allow_nan=False) + "\n" for record in records))
