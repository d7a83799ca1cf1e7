"""When two runs are the same: the only list of settings that do not affect results, and hashes that follow from it.

Used to resume a run, group runs by configuration, compare them, continue a sweep and share encoders.
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
    "data.titles",
    "data.url",
    "data.cache",
    "data.cache_dir",
)
TRAINS = ("data", "graph", "gnn", "fusion", "model", "negatives", "loss", "evaluation", "training", "run")


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b.c, value) of each setting, without class names."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            yield f"{prefix}{key}", value


def affects_results(key: str) -> bool:
    """Whether a setting `a.b.c` may affect results."""
    return not any(key == other or key.startswith(f"{other}.") for other in CHANGES_NO_NUMBER)


def classes(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b, class) of each node."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{key}", value.get("_target_")
            yield from classes(value, f"{prefix}{key}.")


def identity(config: Config, split_hash: str, *, seed: bool = True) -> str:
    """sha256 of what defines a run: the settings that affect results, and the hash of its data and split.

    Args:
        config: checked; groups that are not in use are None and do not count.
        split_hash: represents all data settings.
        seed: False leaves the seed out, so that all repeats of a configuration share one identity.
    """
    config = {key: value for key, value in config.items() if key != "data" and (seed or key != "seed")}
    settings = {
        key: value for key, value in (*classes(config), *flatten(config)) if affects_results(key) and value is not None
    }
    return digest({**settings, "data": split_hash})


def address(config: Config, split_hash: str, device: str) -> str:
    """Hash by which other runs find a finished run: its identity, and everything else that its weights depend on.

    Args:
        device: `cpu` or `cuda`.
    """
    import torch

    return digest([identity(config, split_hash), code(), torch.__version__, device])


def digest(value: Any) -> str:
    """sha256 of a plain value, such as nested dicts and lists."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def code() -> str:
    """sha256 of the source that weights depend on, so that a new report or command trains no encoder again."""
    package = Path(__file__).resolve().parent.parent
    source = hashlib.sha256()
    for path in sorted(path for name in TRAINS for path in (package / name).rglob("*.py")):
        source.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return source.hexdigest()
