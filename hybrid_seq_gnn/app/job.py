"""One run: from a configuration to a folder of results."""

import fcntl
import hashlib
import json
import logging
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hybrid_seq_gnn.app.build import GROUPS, Config, build
from hybrid_seq_gnn.app.quick import check_list
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.data.prepare import Prepared, prepare
from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.evaluate import Ranking, evaluating, merged, part_of, rank_users
from hybrid_seq_gnn.evaluation.groups import grouped_metrics
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.logger.protocol import Careful
from hybrid_seq_gnn.results import record
from hybrid_seq_gnn.results.leaderboard import flatten
from hybrid_seq_gnn.results.tables import run_table
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.compiled import compile_blocks
from hybrid_seq_gnn.training.loop import train
from hybrid_seq_gnn.training.post_hoc import train_post_hoc
from hybrid_seq_gnn.training.settings import PostHocSettings, QuickSettings, TrainingSettings, TwoStageSettings
from hybrid_seq_gnn.training.stages import train_graph_side

log = logging.getLogger(__name__)

LONGEST_ON_CURVE = 200  # events
NOT_PART_OF_A_RUN = ("debug", "name", "logger")  # settings that change no number
GRAPHS_KEPT = 4  # of the runs of a sweep, which share a process
Watch = Callable[[list[dict[str, Any]]], None]

_graphs: dict[tuple[str, str], tuple[SparseMatrix, dict[str, Any]]] = {}


def identity(config: Config, prepared: Prepared) -> str:
    """What a run is: its settings and its data, without where the data lie and how the run is watched."""
    settings = {key: value for key, value in config.items() if key not in NOT_PART_OF_A_RUN}
    settings["data"] = prepared.split_hash
    settings["training"] = {k: v for k, v in config["training"].items() if k != "resume"}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def part(config: Config, group: str, given: dict[str, Any]) -> Any:
    """What a group stands for, None if it is not in use; each has initial weights of its own from the seed.

    So a hybrid's encoder starts with the weights of the encoder alone, whatever stands beside it.
    """
    if config[group] is None:
        return None
    torch.manual_seed(config["seed"] + (GROUPS.index(group) << 32 if group != "model" else 0))
    return build(config[group], **given)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes; the lock goes when the process does, however it ends.

    The file stays: removing it would let two others lock two different files of that name.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"another process is running in {folder}; wait for it or choose another folder with hydra.run.dir=…"
            ) from error
        yield


def graph_of(node: Config, prepared: Prepared) -> tuple[SparseMatrix, dict[str, Any]]:
    """The item graph and its statistics, made once for all runs of this process that want the same."""
    key = json.dumps(node, sort_keys=True), prepared.split_hash
    if key not in _graphs:
        while len(_graphs) >= GRAPHS_KEPT:
            del _graphs[next(iter(_graphs))]
        graph = build(node).build(prepared.sequences, prepared.split)
        _graphs[key] = graph.adjacency(), graph.statistics()
    return _graphs[key]


def run(
    config: Config, folder: Path, overrides: list[str], options: dict[str, str], watch: Watch | None = None
) -> float:
    """Train, evaluate once on test, write everything to `folder`; a finished run is not run again.

    Args:
        config: checked, see `build.checked`; groups that do not matter are None.
        folder: the run folder, which exists.
        overrides: what the user set, for the record.
        options: the chosen option of each group, for the record.
        watch: is told the records of all epochs so far, after each; what it raises ends the run.

    Returns:
        The best validation NDCG@10.

    Raises:
        ValueError: a setting or the data are bad; the message says what to change.
    """
    chosen = {**options, **dict(flatten({key: value for key, value in config.items() if key != "logger"}))}
    folder = distributed.broadcast(folder)  # the others' clocks may have named another one
    name = config.get("name") or f"{folder.parent.name}/{folder.name}"
    with alone_in(folder) if distributed.is_first() else nullcontext():
        node = config["logger"] if distributed.is_first() else {"_target_": "hybrid_seq_gnn.logger.none.NoLogger"}
        logger = Careful(build(node, folder=folder, settings=chosen, name=name))
        with closing(logger):
            return _run(config, folder, overrides, options, watch, logger)


def _run(
    config: Config,
    folder: Path,
    overrides: list[str],
    options: dict[str, str],
    watch: Watch | None,
    logger: Careful,
) -> float:
    started = time.perf_counter()
    settings: TrainingSettings = build(config["training"])
    evaluation: EvaluationSettings = build(config["evaluation"])
    given: dict[str, Any] = {"embedding_dim": config["model"].get("embedding_dim")}
    given["fusion"] = part(config, "fusion", given)  # before the data: a bad alpha is said at once
    torch.set_num_threads(settings.threads)
    device = settings.torch_device()

    with distributed.first_alone():
        prepared = prepare(build(config["data"]))
    sequences, split = prepared.sequences, prepared.split
    groups = evaluation.groups
    tested = split.test[split.test >= 0]
    by_group = {name: int((groups.group_of(tested) == name).sum()) for name in groups.names}
    for line in prepared.log:
        log.info("%s", line)
    log.info(
        "data: %s users, %s items, %s events; test users by history: %s; split %s",
        f"{sequences.num_users:,}",
        f"{sequences.num_items:,}",
        f"{len(sequences.items):,}",
        ", ".join(f"{count:,} {name}" for name, count in by_group.items()),
        prepared.split_hash[:12],
    )
    data_seconds = time.perf_counter() - started

    this_run = identity(config, prepared)
    if settings.resume and (done := distributed.broadcast(record.read_results(folder))) is not None:
        if done["identity"] != this_run:
            raise ValueError(
                f"{folder} holds a finished run with another configuration or other data. "
                "Choose another folder with hydra.run.dir=…, or training.resume=false to replace it."
            )
        log.info("finished already; to run it anew set training.resume=false\n%s", run_table(done))
        return float(done["best_val_metric"])

    given |= {"sequences": sequences, "split": split, "num_items": sequences.num_items}
    graph_statistics = None
    if config["graph"]:
        given["adjacency"], graph_statistics = graph_of(config["graph"], prepared)
        numbers = {k: v for k, v in graph_statistics.items() if isinstance(v, int | float)}
        log.info("graph: %s", ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items()))
    given["gnn"] = part(config, "gnn", given)
    model = part(config, "model", given)
    given["negatives"] = part(config, "negatives", given)
    loss = part(config, "loss", given)
    model.to(device)
    loss.to(device)
    if settings.compile:
        compile_blocks(model)
    parameters = sum(p.numel() for p in (*model.parameters(), *loss.parameters()) if p.requires_grad)
    log.info("model: %s parameters on %s; results go to %s", f"{parameters:,}", device, folder)

    def ranking(some_model: Any, end: np.ndarray) -> Ranking:
        with evaluating(some_model):
            mine = rank_users(
                some_model,
                sequences,
                part_of(end, distributed.share),
                batch_size=evaluation.batch_size,
                mask=evaluation.mask_history,
                device=device,
            )
        return merged(distributed.gather(mine))

    def validate(some_model: torch.nn.Module) -> dict[str, float | None]:
        found = ranking(some_model, first_targets(split.valid, settings.valid_users))
        measured: dict[str, float | None] = dict(metrics(found.ranks))
        for name, rows in groups.members(found.lengths).items():
            if name in groups.names:
                measured |= {f"{metric}/{name}": value for metric, value in metrics(found.ranks[rows]).items()}
        return measured

    def on_epoch(history: list[dict[str, Any]]) -> None:
        write_lines("metrics.jsonl")(history)
        logger.epochs(history)
        if watch is not None:
            watch(history)

    def write_lines(name: str) -> Callable[[list[dict[str, Any]]], None]:
        return lambda history: record.write_lines(folder / name, history) if distributed.is_first() else None

    if not settings.resume and distributed.is_first():
        for name in ("checkpoint.pt", "graph_checkpoint.pt", "graph.pt", "results.json"):
            (folder / name).unlink(missing_ok=True)
    if distributed.is_first():
        (folder / "config.yaml").write_text(yaml(config), encoding="utf-8")
    windows = TrainingWindows(
        sequences, split, model.max_length, settings.batch_size, settings.train_users, distributed.share
    )
    stages: dict[str, Any] = {}
    if isinstance(settings, TwoStageSettings):
        stages["graph"] = train_graph_side(
            model,
            sequences,
            split,
            windows,
            validate,
            write_lines("graph_metrics.jsonl"),
            settings,
            seed=config["seed"],
            folder=folder,
            identity=this_run,
        )
    origin = {
        "config": config,
        "item_ids": sequences.item_ids.tolist(),
        "split_hash": prepared.split_hash,
    }
    of_run: dict[str, Any] = {
        "seed": config["seed"],
        "path": folder / "checkpoint.pt",
        "identity": this_run,
        "on_epoch": on_epoch,
    }
    if isinstance(settings, PostHocSettings):
        valid_end = first_targets(split.valid, settings.valid_users)
        progress, stages = train_post_hoc(
            model, loss, windows, validate, sequences, valid_end, evaluation, settings, origin=origin, **of_run
        )
    else:
        progress = train(model, loss, windows, lambda: validate(model), settings, **of_run)

    started_evaluation = time.perf_counter()
    valid, test = ranking(model, split.valid), ranking(model, split.test)  # the only look at the test split
    evaluation_seconds = progress.evaluation_seconds + time.perf_counter() - started_evaluation
    if not distributed.is_first():
        return progress.best_metric
    valid_metrics = grouped_metrics(valid.ranks, valid.lengths, groups)
    test_metrics = grouped_metrics(test.ranks, test.lengths, groups)
    assert progress.history is not None
    results: dict[str, Any] = {
        "schema_version": record.SCHEMA_VERSION,
        "options": options,
        "test_metrics": {k: v for k, v in test_metrics["overall"].items() if k != "count"},
        "grouped_metrics": test_metrics,
        "validation_metrics": {k: v for k, v in valid_metrics["overall"].items() if k != "count"},
        "validation_grouped_metrics": valid_metrics,
        "best_epoch": progress.best_epoch,
        "best_val_metric": progress.best_metric,
        "epochs": progress.epoch,
        "seed": config["seed"],
        "config": config,
        "overrides": overrides,
        "command": shlex.join(["python", "-m", "hybrid_seq_gnn", *overrides]),
        "identity": this_run,
        "data": {
            "hash": prepared.data_hash,
            "split_hash": prepared.split_hash,
            "users": sequences.num_users,
            "items": sequences.num_items,
            "events": len(sequences.items),
            "groups": by_group,
            "filters": list(prepared.log),
        },
        "graph": graph_statistics,
        "stages": stages or None,
        "parameters": parameters,
        "seconds": {
            "data": data_seconds,
            "training": progress.training_seconds,
            "evaluation": evaluation_seconds,
            "total": data_seconds
            + progress.training_seconds
            + evaluation_seconds
            + stages.get("graph", {}).get("seconds", 0.0),
        },
        "peak_memory_mib": record.peak_memory_mib(),
        "device": str(device),
        "threads": settings.threads,
        "processes": distributed.world_size(),
        "versions": record.versions(),
        "git": record.git_state(),
    }
    if test.alpha is not None:
        results["alpha_stats"] = alpha_statistics(test.alpha, test.lengths, groups)
        lengths = torch.arange(1, LONGEST_ON_CURVE + 1, device=device)
        results["alpha_curve"] = {"length": lengths.tolist(), "alpha": model.alpha_curve(lengths).tolist()}
        record.write_json(folder / "alpha_stats.json", results["alpha_stats"])
    write_per_user(folder / "per_user.parquet", prepared, test, groups.group_of(test.lengths))
    checkpoint.save({"model": model.state_dict(), **origin}, folder / "model.pt")
    record.write_json(folder / "results.json", results)  # last: a folder with results.json is complete
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    logger.finish(results)
    log.info("\n%s\nwritten to %s", run_table(results), folder)
    if isinstance(settings, QuickSettings):
        check_list(results, progress, folder)
    return progress.best_metric


def first_targets(end: np.ndarray, users: int | None) -> np.ndarray:
    """`end` for the first so many users who have a target, -1 for the rest; None leaves all."""
    kept = end.copy()
    if users is not None:
        kept[np.flatnonzero(end >= 0)[users:]] = -1
    return kept


def write_per_user(path: Path, prepared: Prepared, test: Ranking, group: np.ndarray) -> None:
    """One row a test user, with the ids of the source: user, target, length, group, rank, alpha (null if none)."""
    sequences = prepared.sequences
    target = sequences.items[sequences.indptr[test.users] + test.lengths]
    table = pd.DataFrame(
        {
            "user": sequences.user_ids[test.users],
            "target": sequences.item_ids[target - 1],
            "length": test.lengths,
            "group": group,
            "rank": test.ranks,
            "alpha": np.full(len(test.users), np.nan) if test.alpha is None else test.alpha.astype(np.float64),
        }
    )
    beside = path.with_name(f".{path.name}.tmp")
    table.to_parquet(beside, index=False)
    beside.replace(path)


def yaml(config: Config) -> str:
    """The configuration as a file that can be read back."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(config))
