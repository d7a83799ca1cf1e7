"""results.json: one versioned schema, and what it says of machine and software."""

import json
import platform
import resource
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
PACKAGES = ("hybrid_seq_gnn", "torch", "torch-geometric", "numpy", "pandas", "hydra-core", "omegaconf", "optuna")


def read_results(folder: Path) -> dict[str, Any] | None:
    """results.json of a run folder; None where the run has not finished.

    Raises:
        ValueError: the file is there and is not results of ours.
    """
    path = folder / "results.json"
    if not path.exists():
        return None
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        schema = results["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a results file of hybrid_seq_gnn: {error!r}.") from error
    if schema != SCHEMA_VERSION:
        raise ValueError(f"{path} has schema version {schema}; this version reads {SCHEMA_VERSION}.")
    return dict(results)


def versions() -> dict[str, str | None]:
    """Versions of what the numbers depend on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Commit of the software and whether it was changed since; nulls where it runs outside its repository."""
    here = Path(__file__).resolve().parent
    unknown = {"commit": None, "dirty": None}

    def git(*args: str) -> str:
        command = ["git", "-C", str(here), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", Path(__file__).name
        )  # refuses where another project's repository is around us
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return unknown


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB (runs of a sweep share a process)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
