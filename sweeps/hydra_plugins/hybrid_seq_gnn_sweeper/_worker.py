"""One process at work on a sweep: take a trial, run it, tell; until nothing is left."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from hydra_plugins.hybrid_seq_gnn_sweeper import _board
from hydra_plugins.hybrid_seq_gnn_sweeper._samplers import sampler
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Conditions, Space, choices
from hydra_plugins.hybrid_seq_gnn_sweeper._store import software
from hydra_plugins.hybrid_seq_gnn_sweeper._trials import (
    COMPLETE,
    FAIL,
    PRUNED,
    RUNNING,
    Slot,
    count,
    end_lost,
    signing,
    standing,
    take,
    whereabouts,
)
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from hybrid_seq_gnn.app.arguments import quoted
from hybrid_seq_gnn.app.cli import explain, job_of
from hybrid_seq_gnn.run.record import read_results
from hybrid_seq_gnn.study.settings import StudySettings, value_of

log = logging.getLogger(__name__)

LOOK_AGAIN = 2.0  # seconds between two looks at what other processes are doing
PREEMPTED = -1  # exit code with which submitit leaves a task that Slurm will start again


class TooManyFailures(RuntimeError):
    """More runs failed than study.max_failures allows."""


@dataclass
class Worker:
    """Serves the queue of a study.

    Attributes:
        config: of the sweep, as Hydra composed it.
        hydra_context: with which runs are composed and started.
        study: the open study, with its pruner.
        settings: of the sweep.
        conditions: what exists beside what.
        slots: all that there is to do.
        folder: of the sweep.
        quiet: runs say nothing on the console, since others speak there too.
    """

    config: DictConfig
    hydra_context: HydraContext
    study: optuna.Study
    settings: StudySettings
    conditions: Conditions
    slots: list[Slot]
    folder: Path
    quiet: bool = False
    stamp: dict[str, Any] = field(default_factory=software)
    seconds: list[float] = field(default_factory=list)  # of the runs of this process

    @property
    def space(self) -> Space:
        """What varies."""
        return self.conditions.space

    def work(self) -> None:
        """Run trials until none is left, and wait for those of others, which may be lost yet.

        Raises:
            TooManyFailures: see study.max_failures.
        """
        said = False
        while True:
            self.check_failures()
            if (trial := take(self.study)) is not None:
                self.run(trial)
                continue
            if end_lost(self.study, self.slots, self.settings.grace):
                continue
            others = [t for t in standing(self.study.get_trials(deepcopy=False)).values() if t.state == RUNNING]
            if not others:
                return
            if not said:
                log.info("waiting for what runs elsewhere: %s", ", ".join(map(whereabouts, others)))
                said = True
            time.sleep(LOOK_AGAIN)

    def check_failures(self) -> None:
        """Stop where more runs have failed than may."""
        most = self.settings.max_failures
        if most is not None and (failed := count(self.study).failed) > most:
            raise TooManyFailures(f"{failed} runs failed, more than study.max_failures={most}.")

    def run(self, trial: Trial) -> None:
        """One trial, whatever comes of it; the leaderboard and a line after it."""
        slot = self.slots[trial.user_attrs["slot"]]
        trial.set_user_attr("software", self.stamp)
        started = time.monotonic()
        try:
            with signing(trial):
                params = self.suggest(trial, slot)
                state, values, error = self.outcome(trial, params, slot)
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, KeyboardInterrupt) or stop.code == PREEMPTED:
                self.study.tell(trial, state=FAIL)  # and no error: it will be taken up again
                raise
            state, values, error = FAIL, None, f"the run called sys.exit({stop.code!r})"
        if error is not None:
            trial.set_user_attr("error", error)
        self.study.tell(trial, values, state=state)
        self.seconds.append(time.monotonic() - started)
        _board.write_board(self.study, self.settings, self.folder)
        log.info("%s", _board.progress(self.study, self.study.trials[trial.number], self.settings, self.seconds))

    def suggest(self, trial: Trial, slot: Slot) -> dict[str, Any]:
        """The parameters of a trial: of its point, or what the sampler chooses and what matters beside its options."""
        self.study.sampler = sampler(self.settings, trial.number)
        seeds = list(dict.fromkeys(seed for each in self.slots for seed in each.seeds))
        distributions = self.space.distributions | {"seed": CategoricalDistribution(seeds)}
        if not self.space.searched:
            return {name: suggest(trial, name, distributions[name]) for name in slot.params}
        options = {name: suggest(trial, name, distributions[name]) for name in self.space.options}
        matter = self.conditions.matters(options)
        return options | {
            name: suggest(trial, name, distributions[name])
            for name in self.space.distributions
            if name in matter and name not in options
        }

    def outcome(
        self, trial: Trial, params: Mapping[str, Any], slot: Slot
    ) -> tuple[optuna.trial.TrialState, list[float] | None, str | None]:
        """Run every seed of a trial: its state, the mean of each objective, and what went wrong."""
        values: list[list[float]] = []
        names = [folder_of(trial.user_attrs["slot"], seed, len(slot.seeds)) for seed in slot.seeds]
        trial.set_user_attr("folders", names)
        for repeat, (name, seed) in enumerate(zip(names, slot.seeds, strict=True)):
            returned = self.launch(trial, params, name, seed, repeat)
            if returned.status != JobStatus.COMPLETED:
                reason = returned._return_value
                if isinstance(reason, optuna.TrialPruned):
                    return PRUNED, None, None
                return FAIL, None, explain(reason)
            results = read_results(self.folder / name)
            assert results is not None
            found = [value_of(objective, results) for objective in self.settings.objectives]
            for objective, value in zip(self.settings.objectives, found, strict=True):
                if value is None:
                    return FAIL, None, f"study.objective={objective}: no user of the validation split is in this group"
            values.append([float(value) for value in found if value is not None])
        return COMPLETE, [sum(each) / len(each) for each in zip(*values, strict=True)], None

    def launch(self, trial: Trial, params: Mapping[str, Any], name: str, seed: int, repeat: int) -> JobReturn:
        """One run in this process, in the folder `name` of the sweep."""
        overrides = self.conditions.overrides({key: value for key, value in params.items() if key != "seed"})
        overrides = [line for line in overrides if not line.startswith(("seed=", "study."))]
        overrides += [f"seed={seed}", f"hydra.sweep.dir={quoted(str(self.folder))}", f"hydra.sweep.subdir={name}"]
        if self.quiet:
            overrides.append("hydra/job_logging=quiet")
        launcher = BasicLauncher()
        task = partial(job_of, watch=self.reporter(trial, repeat))
        launcher.setup(hydra_context=self.hydra_context, task_function=task, config=self.config)
        (returned,) = launcher.launch([overrides], initial_job_idx=trial.number)
        return returned

    def reporter(self, trial: Trial, repeat: int) -> Callable[[list[dict[str, Any]]], None]:
        """Tells Optuna the objective after each validation of a run, and stops a run that Optuna prunes.

        The epochs of a repeat follow those of the one before.
        """
        (objective, *more) = self.settings.objectives
        told: set[int] = set()

        def report(history: list[dict[str, Any]]) -> None:
            if more:  # Optuna knows no intermediate values of several objectives
                return
            for record in history:
                value = record.get("validation", {}).get(objective)
                if record["epoch"] not in told and value is not None:
                    told.add(record["epoch"])
                    trial.report(value, repeat * self.most_epochs() + record["epoch"])
            if told and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {max(told)}")

        return report

    def most_epochs(self) -> int:
        """Steps of one run, for the pruner."""
        return max(int(config["training"]["epochs"]) for config in self.conditions.configurations())


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Ask for a value of a parameter."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, choices(distribution))
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step, log_scale = distribution.low, distribution.high, distribution.step, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log_scale)
    return trial.suggest_float(name, low, high, step=step, log=log_scale)


def folder_of(slot: int, seed: int, repeats: int) -> str:
    """The run folder of a slot, and of a seed where the slot has several."""
    return str(slot) if repeats == 1 else f"{slot}_seed{seed}"
