"""One run: from a configuration to a folder of results."""

import logging
import shlex
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch

from hybrid_seq_gnn import files
from hybrid_seq_gnn.app.quick import check_list
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.evaluation.alpha import alpha_statistics
from hybrid_seq_gnn.evaluation.groups import grouped_metrics
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.files import write_json
from hybrid_seq_gnn.logger.protocol import Careful
from hybrid_seq_gnn.results.tables import run_table
from hybrid_seq_gnn.run import record
from hybrid_seq_gnn.run.build import build, graph_of, part
from hybrid_seq_gnn.run.folder import alone_in, write_per_user, yaml
from hybrid_seq_gnn.run.identity import Config, flatten, identity
from hybrid_seq_gnn.run.measure import Measure
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.compiled import compile_blocks
from hybrid_seq_gnn.training.loop import train
from hybrid_seq_gnn.training.post_hoc import train_post_hoc
from hybrid_seq_gnn.training.settings import PostHocSettings, QuickSettings, TrainingSettings, TwoStageSettings
from hybrid_seq_gnn.training.stages import train_graph_side

log = logging.getLogger(__name__)

LONGEST_ON_CURVE = 200  # events
Watch = Callable[[list[dict[str, Any]]], None]


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

    this_run = identity(config, prepared.split_hash)
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
    measure = Measure(prepared, evaluation, device, settings.valid_users)

    def on_epoch(history: list[dict[str, Any]]) -> None:
        write_lines("metrics.jsonl")(history)
        logger.epochs(history)
        if watch is not None:
            watch(history)

    def write_lines(name: str) -> Callable[[list[dict[str, Any]]], None]:
        return lambda history: files.write_lines(folder / name, history) if distributed.is_first() else None

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
            measure.validate,
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
        progress, stages = train_post_hoc(
            model,
            loss,
            windows,
            measure.validate,
            sequences,
            measure.valid_end,
            evaluation,
            settings,
            origin=origin,
            **of_run,
        )
    else:
        progress = train(model, loss, windows, lambda: measure.validate(model), settings, **of_run)

    started_evaluation = time.perf_counter()
    valid, test = measure.rank(model, split.valid), measure.rank(model, split.test)  # the only look at the test split
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
        write_json(folder / "alpha_stats.json", results["alpha_stats"])
    write_per_user(folder / "per_user.parquet", prepared, test, groups.group_of(test.lengths))
    checkpoint.save({"model": model.state_dict(), **origin}, folder / "model.pt")
    write_json(folder / "results.json", results)  # last: a folder with results.json is complete
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    logger.finish(results)
    log.info("\n%s\nwritten to %s", run_table(results), folder)
    if isinstance(settings, QuickSettings):
        check_list(results, progress, folder)
    return progress.best_metric
