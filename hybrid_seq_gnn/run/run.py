"""One run, from a configuration to a folder of results: prepare, build, train, rank, write."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybrid_seq_gnn import files
from hybrid_seq_gnn.allocator import release_freed_memory
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.titles import titles_in
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.logger.protocol import SafeLogger
from hybrid_seq_gnn.run import encoders
from hybrid_seq_gnn.run.baseline import compare_with
from hybrid_seq_gnn.run.build import build, build_parts, graph_of
from hybrid_seq_gnn.run.folder import as_yaml, lock_folder, refuse_foreign, write_per_user
from hybrid_seq_gnn.run.identity import Config, address, flatten, identity
from hybrid_seq_gnn.run.record import read_results, results_of
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.training.precision import warn_slow_bf16
from hybrid_seq_gnn.training.strategy import Outcome, Records, Strategy

log = logging.getLogger(__name__)

CHECKPOINTS = ("checkpoint.pt", "graph_checkpoint.pt")  # of a run that has not finished, one for each stage
REPLACED = (  # deleted when a run starts over
    *CHECKPOINTS,
    *("graph.pt", "metrics.jsonl", "alpha_stats.json", "results.json", "mlflow_run_id"),
)
CHECKED = ("model.pt", "per_user.parquet", "graph.pt")  # results.json holds their checksums; not all runs have the last


@dataclass(frozen=True)
class Asked:
    """How a run was requested.

    Attributes:
        overrides: settings from the command line.
        options: the chosen option of each group.
        watch: called after each epoch with the records of all epochs so far; an exception from it ends the run.
        inner: the run is started by another run, which has already logged what both have in common.
        shared: other processes may do the same run: wait for one that is running it, and use its results.
    """

    overrides: list[str]
    options: dict[str, str]
    watch: Callable[[Records], None] | None = None
    inner: bool = False
    shared: bool = False


class Run:
    """A run of one configuration in one folder.

    Args:
        config: checked, see `build.checked`; groups that are not in use are None.
        folder: the run folder; must exist.
        asked: how the run was requested.

    Attributes:
        strategy: the training strategy.
        measure: ranks either split; set by `prepare`, like `identity` and `prepared`.
        model, loss, windows: set by `build`.
    """

    def __init__(self, config: Config, folder: Path, asked: Asked) -> None:
        self.config, self.asked = config, asked
        self.folder = distributed.broadcast(folder)  # other processes may have a different timestamp in the name
        self.seed: int = config["seed"]
        self.strategy: Strategy = build(config["training"])
        self.device = self.strategy.torch_device()
        self.seconds: dict[str, float] = {}
        self.graph: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        """Train, evaluate once on test, and write everything. A finished run is not repeated. Returns results.json.

        Raises:
            UserError: a setting or the data are invalid; the message says what to change.
        """
        torch.set_num_threads(self.strategy.threads)
        with ExitStack() as stack:
            if distributed.is_first():
                stack.enter_context(lock_folder(self.folder, wait=self.asked.shared))
                refuse_foreign(self.folder)
            self.logger = stack.enter_context(closing(self.new_logger()))
            with self.timed("data"):
                self.prepare()
            if (results := self.finished()) is not None:
                return results
            if distributed.is_first():
                stack.enter_context(encoders.claim(self))
            first = self.first() if self.measure.settings.refit else None
            self.build()
            with self.timed("start"):
                self.start()
            outcome = self.strategy(self) if first is None else self.strategy.refit(self, first)
            results = self.write(outcome, None if first is None else read_results(first))
        if distributed.is_first():
            self.strategy.conclude(results, self.folder)
        return results

    def prepare(self) -> None:
        """Read and split the data; this determines the identity of the run."""
        with distributed.first_alone():
            self.prepared = prepare(build(self.config["data"]))
        settings = build(self.config["evaluation"])
        self.known = self.prepared  # what may be learned from before the test
        if settings.refit:
            split = self.prepared.split.before_test(self.prepared.sequences)
            self.known = replace(self.prepared, split=split, split_hash=split.hash(self.prepared.sequences))
        self.measure = Measure(self.prepared, settings, self.device, self.strategy.valid_users)
        self.identity = identity(self.config, self.prepared.split_hash)
        self.address = address(self.config, self.prepared.split_hash, self.device.type)
        if not self.asked.inner:
            for line in self.prepared.log:
                log.info("%s", line)
            log.info("%s", self.measure.description())

    def finished(self) -> dict[str, Any] | None:
        """The results of this run, if it has already finished.

        Raises:
            UserError: the folder holds the results of another run.
        """
        reuse = self.strategy.resume or self.asked.shared
        results = distributed.broadcast(read_results(self.folder)) if reuse else None
        if results is not None and results.get("identity") != self.identity:
            raise UserError(
                f"{self.folder} holds a finished run with another configuration or other data. "
                "Choose another folder with hydra.run.dir=…, or set training.resume=false to replace it."
            )
        if results is not None and not self.asked.inner:
            log.info("finished already; set training.resume=false to run it again")
        return results

    def build(self) -> None:
        """Build graph, model, negatives, loss and training windows; see `build_group` for their random seeds."""
        sequences, split, adjacency = self.known.sequences, self.known.split, None
        if (titles := self.config["data"].get("titles")) and not self.asked.inner:
            titles_in(titles, sequences.item_ids)  # what is wrong with them is said before training
        if self.config["graph"]:
            adjacency, self.graph = graph_of(self.config["graph"], self.known)
            numbers = {k: v for k, v in self.graph.items() if isinstance(v, int | float)}
            log.info("graph: %s", ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items()))
        parts = build_parts(self.config, sequences, split, adjacency)
        self.model, self.loss = parts["model"].to(self.device), parts["loss"].to(self.device)
        if self.strategy.amp == "bf16" and self.device.type == "cpu" and not self.asked.inner:
            warn_slow_bf16()
        trained = [p for p in (*self.model.parameters(), *self.loss.parameters()) if p.requires_grad]
        self.parameters = sum(p.numel() for p in trained)
        path = files.short_path(self.folder)
        log.info("model: %s parameters on %s; results go to %s", f"{self.parameters:,}", self.device, path)
        length, batch_size, users = self.model.max_length, self.strategy.batch_size, self.strategy.train_users
        self.windows = TrainingWindows(sequences, split, length, batch_size, users, distributed.share)
        if distributed.is_first():
            if not self.strategy.resume:
                for name in REPLACED:
                    (self.folder / name).unlink(missing_ok=True)
            config = self.folder / "config.yaml"
            if not (config.exists() and any((self.folder / name).exists() for name in CHECKPOINTS)):
                files.write_text(config, as_yaml(self.config))  # else at the end: the checkpoint may be of another run

    def start(self) -> None:
        """Let a model that will be trained set its first weights from the training part, if it has a method for it."""
        if self.strategy.trains_whole_model(self.model) and hasattr(self.model, "init_items"):
            torch.manual_seed(self.seed)
            self.model.init_items(self.known.sequences, self.known.split)

    def first(self) -> Path:
        """The folder of the finished run without evaluation.refit, which chose the epoch and the fusion."""
        config = {**self.config, "evaluation": {**self.config["evaluation"], "refit": False}}
        key = address(config, self.prepared.split_hash, self.device.type)
        finished = distributed.broadcast(next(encoders.runs_at(key, self.folder), None))
        if finished is not None:
            log.info("the run that chose epoch and fusion: %s", files.short_path(finished))
            return finished
        folder = self.folder / "first"
        if distributed.is_first():
            folder.mkdir(exist_ok=True)
        overrides = [word for word in self.asked.overrides if not word.startswith("evaluation.refit=")]
        with encoders.log_to(folder):
            Run(config, folder, Asked(overrides, self.asked.options, self.asked.watch, inner=True))()
        return folder

    def on_epoch(self, history: Records) -> None:
        """Record the epochs so far: write metrics.jsonl, then call the logger and `asked.watch`."""
        if distributed.is_first():
            files.write_lines(self.folder / "metrics.jsonl", history)
        self.logger.epochs(history)
        if self.asked.watch is not None:
            self.asked.watch(history)

    def encoder(self, ahead: int) -> Path:
        """Return the folder of a finished run of the model's encoder alone; train one if there is none.

        Args:
            ahead: added to the seed.
        """
        finished = distributed.broadcast(encoders.find(self, ahead))
        if finished is None:
            if distributed.is_first():
                encoders.wait_for(self, ahead)
            finished = distributed.broadcast(encoders.find(self, ahead))
        if finished is not None:
            log.info("the encoder alone: taken from %s", files.short_path(finished))
            return finished
        config, folder = encoders.config_alone(self.config, ahead), encoders.encoder_folder(self, ahead)
        assert config is not None
        if distributed.is_first():
            folder.mkdir(parents=True, exist_ok=True)
        folder = distributed.broadcast(folder)  # the folder now exists for all processes
        log.info("training the encoder alone in %s", files.short_path(folder))
        asked = [*self.asked.overrides, f"seed={config['seed']}"] if ahead else self.asked.overrides
        options, overrides = encoders.asked_alone(self.asked.options, asked, config)
        with encoders.log_to(folder):
            Run(config, folder, Asked(overrides, options, inner=True, shared=folder.parent != self.folder))()
        return folder

    def write(self, outcome: Outcome, first: dict[str, Any] | None = None) -> dict[str, Any]:
        """Rank both splits with the trained model and write all files, results.json last. Returns its content.

        Args:
            first: results of the run that was validated, if this one has learned from the validation part.
        """
        with self.timed("evaluation"):
            valid = outcome.valid
            if valid is None and first is None:
                valid = self.measure.rank(self.model, self.prepared.split.valid)
            test = self.measure.rank(self.model, self.prepared.split.test)  # the only use of the test split
        if test.alpha is not None and not ((test.alpha >= 0) & (test.alpha <= 1)).all():
            worst = int(np.abs(test.alpha - 0.5).argmax())
            what = f"alpha is {test.alpha[worst]:.4g} for a history of {test.lengths[worst]} events"
            raise UserError(f"fusion: {what}; a fusion must give weights in [0, 1].")
        if not distributed.is_first():
            return {"best_val_metric": outcome.progress.best_metric if first is None else first["best_val_metric"]}
        results = results_of(self, outcome, valid, test, first)
        files.write_text(self.folder / "config.yaml", as_yaml(self.config))
        write_per_user(self.folder / "per_user.parquet", self.prepared, test, self.measure.settings.groups)
        baseline = outcome.baseline or encoders.find(self)
        if baseline is not None:
            results["baseline"] = compare_with(baseline, self.folder, self.seed)
        if test.alpha is not None:
            files.write_json(self.folder / "alpha_stats.json", results["alpha_stats"])
        checkpoint.save({"model": self.model.state_dict(), **self.origin()}, self.folder / "model.pt")
        finished = [path for name in CHECKED if (path := self.folder / name).exists()]
        results["sha256"] = {path.name: files.checksum(path) for path in finished}
        files.sync(*finished)
        files.write_json(self.folder / "results.json", results)  # last: a folder with results.json is complete
        files.sync(self.folder / "results.json", self.folder)
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)
        self.logger.finish(results)
        return results

    def origin(self) -> dict[str, Any]:
        """What model.pt records about the origin of its weights."""
        return {
            "config": self.config,
            "item_ids": self.prepared.sequences.item_ids.tolist(),
            "item_counts": self.known.sequences.training_counts(self.known.split).tolist(),
            "split_hash": self.prepared.split_hash,
        }

    def new_logger(self) -> SafeLogger:
        """The run's logger; only the first process has one."""
        node = self.config["logger"] if distributed.is_first() else {"_target_": "hybrid_seq_gnn.logger.none.NoLogger"}
        settings = {**self.asked.options, **dict(flatten({k: v for k, v in self.config.items() if k != "logger"}))}
        name = self.config.get("name") or f"{self.folder.parent.name}/{self.folder.name}"
        return SafeLogger(build(node, folder=self.folder, settings=settings, name=name))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time spent in the body to `seconds[what]`, and return the memory that it has freed."""
        started = time.perf_counter()
        yield
        release_freed_memory()
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
