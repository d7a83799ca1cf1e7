"""What the same run is: the one list of settings that change no number, and what follows from it.

Resuming a run, grouping runs by configuration, comparing them, continuing a sweep and sharing encoders all ask here.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

Config = dict[str, Any]

CHANGES_NO_NUMBER = (
    "debug",
    "name",
    "logger",
    "training.resume",
    "training.encoders",
    "evaluation.batch_size",
    "data.path",
    "data.url",
    "data.cache",
    "data.cache_dir",
)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b.c, value) of every setting, without the names of classes."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            yield f"{prefix}{key}", value


def counts(key: str) -> bool:
    """Whether a setting `a.b.c` may change a number."""
    return not any(key == other or key.startswith(f"{other}.") for other in CHANGES_NO_NUMBER)


def classes(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b, class) of every part."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{key}", value.get("_target_")
            yield from classes(value, f"{prefix}{key}.")


def identity(config: Config, split_hash: str, *, seed: bool = True) -> str:
    """sha256 of what makes a run: its settings that count, and the hash of its data and split.

    Args:
        config: checked; groups that are not in use are None and leave no trace.
        split_hash: stands for all settings of the data.
        seed: with `seed=False`, what all repeats of a configuration have in common.
    """
    ours = {key: value for key, value in config.items() if key != "data" and (seed or key != "seed")}
    kept = {key: value for key, value in (*classes(ours), *flatten(ours)) if counts(key) and value is not None}
    return digest({**kept, "data": split_hash})


def address(config: Config, split_hash: str, device: str) -> str:
    """Where a finished run may be found again by others: its identity, and all else that its bits depend on.

    Args:
        device: `cpu` or `cuda`.
    """
    import torch

    return digest([identity(config, split_hash), code(), torch.__version__, device])


def digest(value: Any) -> str:
    """sha256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def code() -> str:
    """sha256 of the package's source."""
    package = Path(__file__).resolve().parent.parent
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        whole.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return whole.hexdigest()
