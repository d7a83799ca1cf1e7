"""One run, from a configuration to a folder of results: prepare, build, train, rank, write."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hybrid_seq_gnn import files
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.logger.protocol import Careful
from hybrid_seq_gnn.run import encoders
from hybrid_seq_gnn.run.baseline import compare_with
from hybrid_seq_gnn.run.build import build, build_group, graph_of
from hybrid_seq_gnn.run.folder import alone_in, as_yaml, write_per_user
from hybrid_seq_gnn.run.identity import Config, address, flatten, identity
from hybrid_seq_gnn.run.record import read_results, results_of
from hybrid_seq_gnn.training import checkpoint, distributed
from hybrid_seq_gnn.training.compiled import compile_blocks
from hybrid_seq_gnn.training.measure import Measure
from hybrid_seq_gnn.training.strategy import Outcome, Records, Strategy

log = logging.getLogger(__name__)

REPLACED = ("checkpoint.pt", "graph_checkpoint.pt", "graph.pt", "results.json")  # by a run that starts anew


@dataclass(frozen=True)
class Asked:
    """How a run was asked for, for the record.

    Attributes:
        overrides: what the user set.
        options: the chosen option of each group.
        watch: told the records of all epochs so far, after each; what it raises ends the run.
        inner: this run is made inside another one, whose log has said what both have in common.
        shared: others may want this very run: wait for one that is at it, and take what it leaves.
    """

    overrides: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    watch: Callable[[Records], None] | None = None
    inner: bool = False
    shared: bool = False


class Run:
    """A run of one configuration in one folder.

    Args:
        config: checked, see `build.checked`; groups that do not matter are None.
        folder: the run folder, which exists.
        asked: for the record.

    Attributes:
        strategy: how it is trained.
        measure: ranks either split; there from `prepare` on, like `identity` and `prepared`.
        model, loss, windows: there from `build` on.
    """

    def __init__(self, config: Config, folder: Path, asked: Asked | None = None) -> None:
        self.config, self.asked = config, asked or Asked()
        self.folder = distributed.broadcast(folder)  # the others' clocks may have named another one
        self.seed: int = config["seed"]
        self.strategy: Strategy = build(config["training"])
        self.device = self.strategy.torch_device()
        self.seconds: dict[str, float] = {}
        self.graph: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        """Train, evaluate once on test, write everything; a finished run is not run again. Returns results.json.

        Raises:
            ValueError: a setting or the data are bad; the message says what to change.
        """
        torch.set_num_threads(self.strategy.threads)
        with ExitStack() as held:
            if distributed.is_first():
                held.enter_context(alone_in(self.folder, wait=self.asked.shared))
            self.logger = held.enter_context(closing(self.new_logger()))
            with self.timed("data"):
                self.prepare()
            if (done := self.finished()) is not None:
                return done
            self.build()
            outcome = self.strategy(self)
            results = self.write(outcome)
        if distributed.is_first():
            self.strategy.conclude(results, self.folder)
        return results

    def prepare(self) -> None:
        """Read and split the data, and know by that what this run is."""
        self.parts: dict[str, Any] = {"embedding_dim": self.config["model"].get("embedding_dim")}
        self.parts["fusion"] = build_group(self.config, "fusion", self.parts)  # first: a bad alpha is said at once
        with distributed.first_alone():
            self.prepared = prepare(build(self.config["data"]))
        self.measure = Measure(self.prepared, build(self.config["evaluation"]), self.device, self.strategy.valid_users)
        self.identity = identity(self.config, self.prepared.split_hash)
        self.address = address(self.config, self.prepared.split_hash, self.device.type)
        if not self.asked.inner:
            for line in self.prepared.log:
                log.info("%s", line)
            log.info("%s", self.measure.description())

    def finished(self) -> dict[str, Any] | None:
        """The results of this run, if it is finished already.

        Raises:
            ValueError: another run is finished in this folder.
        """
        wanted = self.strategy.resume or self.asked.shared
        done = distributed.broadcast(read_results(self.folder)) if wanted else None
        if done is not None and done["identity"] != self.identity:
            raise ValueError(
                f"{self.folder} holds a finished run with another configuration or other data. "
                "Choose another folder with hydra.run.dir=…, or training.resume=false to replace it."
            )
        if done is not None and not self.asked.inner:
            log.info("finished already; to run it anew set training.resume=false")
        return done

    def build(self) -> None:
        """Make the parts; each has initial weights of its own from the seed."""
        sequences, split = self.prepared.sequences, self.prepared.split
        self.parts |= {"sequences": sequences, "split": split, "num_items": sequences.num_items}
        if self.config["graph"]:
            self.parts["adjacency"], self.graph = graph_of(self.config["graph"], self.prepared)
            numbers = {k: v for k, v in self.graph.items() if isinstance(v, int | float)}
            log.info("graph: %s", ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items()))
        self.parts["gnn"] = build_group(self.config, "gnn", self.parts)
        self.model = build_group(self.config, "model", self.parts).to(self.device)
        self.parts["negatives"] = build_group(self.config, "negatives", self.parts)
        self.loss = build_group(self.config, "loss", self.parts).to(self.device)
        if self.strategy.compile:
            compile_blocks(self.model)
        trained = [p for p in (*self.model.parameters(), *self.loss.parameters()) if p.requires_grad]
        self.parameters = sum(p.numel() for p in trained)
        where = files.shown(self.folder)
        log.info("model: %s parameters on %s; results go to %s", f"{self.parameters:,}", self.device, where)
        settings = self.strategy
        self.windows = TrainingWindows(
            sequences, split, self.model.max_length, settings.batch_size, settings.train_users, distributed.share
        )
        if distributed.is_first():
            if not settings.resume:
                for name in REPLACED:
                    (self.folder / name).unlink(missing_ok=True)
            files.write_text(self.folder / "config.yaml", as_yaml(self.config))

    def on_epoch(self, history: Records) -> None:
        """Told the records of all epochs so far, after each."""
        if distributed.is_first():
            files.write_lines(self.folder / "metrics.jsonl", history)
        self.logger.epochs(history)
        if self.asked.watch is not None:
            self.asked.watch(history)

    def encoder(self) -> Path:
        """The folder of the finished run of the model's encoder alone; it is trained if there is none."""
        found = distributed.broadcast(encoders.find(self))
        if found is not None:
            log.info("the encoder alone: taken from %s", files.shown(found))
            return found
        config, folder = encoders.config_alone(self.config), encoders.home(self)
        assert config is not None
        if distributed.is_first():
            folder.mkdir(parents=True, exist_ok=True)
        folder = distributed.broadcast(folder)  # it is there now, for all
        log.info("the encoder alone, in %s", files.shown(folder))
        options, overrides = encoders.asked_alone(self.asked.options, self.asked.overrides, config)
        with encoders.own_log(folder):
            Run(config, folder, Asked(overrides, options, inner=True, shared=folder.parent != self.folder))()
        return folder

    def write(self, outcome: Outcome) -> dict[str, Any]:
        """Rank both splits with the trained model and write the folder; results.json comes last. Returns it."""
        with self.timed("evaluation"):
            valid = outcome.valid or self.measure.rank(self.model, self.prepared.split.valid)
            test = self.measure.rank(self.model, self.prepared.split.test)  # the only look at the test split
        if not distributed.is_first():
            return {"best_val_metric": outcome.progress.best_metric}
        results = results_of(self, outcome, valid, test)
        write_per_user(self.folder / "per_user.parquet", self.prepared, test, self.measure.settings.groups)
        baseline = outcome.baseline or encoders.find(self)
        if baseline is not None:
            results["baseline"] = compare_with(baseline, self.folder, self.seed)
        if test.alpha is not None:
            files.write_json(self.folder / "alpha_stats.json", results["alpha_stats"])
        checkpoint.save({"model": self.model.state_dict(), **self.origin()}, self.folder / "model.pt")
        files.write_json(self.folder / "results.json", results)  # last: a folder with results.json is complete
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)
        self.logger.finish(results)
        return results

    def origin(self) -> dict[str, Any]:
        """What model.pt says of where its weights come from."""
        return {
            "config": self.config,
            "item_ids": self.prepared.sequences.item_ids.tolist(),
            "split_hash": self.prepared.split_hash,
        }

    def new_logger(self) -> Careful:
        """The run's logger; processes beside the first have none."""
        node = self.config["logger"] if distributed.is_first() else {"_target_": "hybrid_seq_gnn.logger.none.NoLogger"}
        shown = {**self.asked.options, **dict(flatten({k: v for k, v in self.config.items() if k != "logger"}))}
        name = self.config.get("name") or f"{self.folder.parent.name}/{self.folder.name}"
        return Careful(build(node, folder=self.folder, settings=shown, name=name))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds that pass inside to `seconds`."""
        started = time.perf_counter()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
