"""results.json: a versioned schema with metrics, settings, machine and software."""

import os
import platform
import resource
import shlex
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.groups import OVERALL, grouped_metrics
from hybrid_seq_gnn.files import checksum, read_json
from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.run.schema import Results

if TYPE_CHECKING:
    from hybrid_seq_gnn.evaluation.evaluate import Ranking
    from hybrid_seq_gnn.run.run import Run
    from hybrid_seq_gnn.training.strategy import Outcome

SCHEMA_VERSION = 1
LONGEST_ON_CURVE = 200  # events
PACKAGES = ("hybrid_seq_gnn", "torch", "torch-geometric", "numpy", "pandas", "hydra-core", "omegaconf", "optuna")


def read_results(folder: Path) -> dict[str, Any] | None:
    """Content of results.json in a run folder; None if the run has not finished.

    Raises:
        UserError: the file is damaged, or has another schema version; see `Results`.
    """
    path = folder / "results.json"
    if not path.exists():
        return None
    results = read_json(path)
    schema = results.get("schema_version") if isinstance(results, dict) else None
    if schema != SCHEMA_VERSION:
        raise UserError(f"{path} has schema version {schema}; this version reads {SCHEMA_VERSION}.")
    try:
        found: dict[str, Any] = conform("", results, Results)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return found


def change_of(path: Path, results: dict[str, Any]) -> str | None:
    """What to say if a file is not the one that the run wrote; None if it is, or if nothing is known."""
    recorded = (results.get("sha256") or {}).get(path.name)
    if recorded is None or not path.exists() or recorded == checksum(path):
        return None
    return f"{path} was changed after the run: its checksum is not the one in results.json."


OF_VALIDATION = ("validation_metrics", "validation_grouped_metrics", "best_epoch", "best_val_metric", "epochs")


def results_of(
    run: "Run", outcome: "Outcome", valid: "Ranking | None", test: "Ranking", first: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Content of results.json for a run that has just been trained and ranked.

    Args:
        valid: None if the run has learned from the validation part.
        first: then, the results of the run that has not.
    """
    import torch

    from hybrid_seq_gnn.training import distributed

    groups, prepared, progress = run.measure.settings.groups, run.prepared, outcome.progress
    splits = {"": grouped_metrics(test.ranks, test.lengths, groups)}
    if valid is not None:
        splits["validation_"] = grouped_metrics(valid.ranks, valid.lengths, groups)
    seconds = {
        "data": run.seconds["data"],
        "training": run.seconds["start"] + progress.training_seconds,
        "evaluation": progress.evaluation_seconds + run.seconds["evaluation"],
    }
    results: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "options": run.asked.options}
    for name, grouped in splits.items():
        results[f"{name or 'test_'}metrics"] = {k: v for k, v in grouped[OVERALL].items() if k != "count"}
        results[f"{name}grouped_metrics"] = grouped
    results |= {
        "best_epoch": progress.best_epoch,
        "best_val_metric": progress.best_metric,
        "epochs": progress.epoch,
        "seed": run.seed,
        "config": run.config,
        "overrides": run.asked.overrides,
        "command": shlex.join(["python", "-m", "hybrid_seq_gnn", *run.asked.overrides]),
        "identity": run.identity,
        "address": run.address,
        "data": run.measure.card() | {"filters": list(prepared.log)},
        "graph": run.graph,
        "stages": outcome.stages or None,
        "parameters": run.parameters,
        "seconds": {**seconds, "total": sum(seconds.values()) + outcome.stages.get("graph", {}).get("seconds", 0.0)},
        "peak_memory_mib": peak_memory_mib(),
        "device": str(run.device),
        "threads": run.strategy.threads,
        "processes": distributed.world_size(),
        "versions": versions(),
        "git": git_state(),
    }
    if first is not None:
        results |= {key: first[key] for key in OF_VALIDATION}
        results["seconds"] |= {"first": first["seconds"]["total"]}
        results["seconds"]["total"] += first["seconds"]["total"]
    if test.alpha is not None:
        lengths = torch.arange(1, LONGEST_ON_CURVE + 1, device=run.device)
        results["alpha_stats"] = alpha_statistics(test.alpha, test.lengths, groups)
        results["alpha_curve"] = {"length": lengths.tolist(), "alpha": run.model.alpha_curve(lengths).tolist()}
    return results


@lru_cache(maxsize=1)
def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that results depend on."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = None
    return installed


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Commit of this package and whether it has uncommitted changes; None outside its git repository."""
    folder = Path(__file__).resolve().parent

    def git(*args: str) -> str:
        command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-C", str(folder), *args]
        clean = {"PATH": os.defpath, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=clean)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # fails in another project's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB (runs of a sweep share a process)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
