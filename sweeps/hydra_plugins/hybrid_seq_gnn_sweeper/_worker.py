"""One process at work on a sweep: take a trial, run it, tell; until nothing is left."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hybrid_seq_gnn_sweeper._board import write_board
from hydra_plugins.hybrid_seq_gnn_sweeper._plan import Plan
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from hybrid_seq_gnn.app.cli import explain, job_of
from hybrid_seq_gnn.run.record import read_results
from hybrid_seq_gnn.study.progress import Progress
from hybrid_seq_gnn.study.queue import (
    COMPLETE,
    FAIL,
    PRUNED,
    RUNNING,
    WAITING,
    Slot,
    count,
    fill,
    signing,
    standing,
    take,
    whereabouts,
)
from hybrid_seq_gnn.study.samplers import sampler
from hybrid_seq_gnn.study.settings import value_of
from hybrid_seq_gnn.study.storage import software

log = logging.getLogger(__name__)

LOOK_AGAIN = 2.0  # seconds between two looks at what other processes are doing
PREEMPTED = -1  # exit code with which submitit leaves a task that Slurm will start again


class TooManyFailures(RuntimeError):
    """More runs failed than study.max_failures allows."""


class Worker:
    """Serves the queue of a study.

    Args:
        plan: the sweep.
        study: the open study, with its pruner.
        quiet: say nothing on the console, since others speak there too.
    """

    def __init__(self, plan: Plan, study: optuna.Study, quiet: bool = False) -> None:
        self.plan, self.study, self.quiet = plan, study, quiet
        self.config, self.settings, self.space = plan.for_runs(), plan.settings, plan.space
        self.progress, self.software = Progress(study, plan.settings), software()

    def work(self) -> None:
        """Run trials until none is left, and wait for those of others, which may be lost yet.

        Raises:
            TooManyFailures: see study.max_failures.
        """
        said = False
        while True:
            failed, most = count(self.study)[FAIL], self.settings.max_failures
            if most is not None and failed > most:
                raise TooManyFailures(f"{failed} runs failed, more than study.max_failures={most}.")
            if (trial := take(self.study)) is not None:
                self.run(trial)
                continue
            if fill(self.study, self.plan.slots, self.settings.grace):
                continue
            others = [trial for trial in standing(self.study).values() if trial.state in (RUNNING, WAITING)]
            if not others:
                return
            if not said:
                log.info("waiting for what runs elsewhere: %s", ", ".join(map(whereabouts, others)))
                said = True
            time.sleep(LOOK_AGAIN)

    def run(self, trial: Trial) -> None:
        """One trial, whatever comes of it; the leaderboard and a line after it."""
        trial.set_user_attr("software", self.software)
        try:
            with signing(trial):
                state, values, error = self.outcome(trial, self.plan.slots[trial.user_attrs["slot"]])
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, KeyboardInterrupt) or stop.code == PREEMPTED:
                self.study.tell(trial, state=FAIL)  # and no error: it will be taken up again
                raise
            state, values, error = FAIL, None, f"the run called sys.exit({stop.code!r})"
        if error is not None:
            trial.set_user_attr("error", error)
        self.study.tell(trial, values, state=state)
        write_board(self.study, self.settings, self.plan.folder)
        if not self.quiet:
            self.progress.tell()

    def suggest(self, trial: Trial, slot: Slot) -> dict[str, Any]:
        """The parameters of a trial: of its point, or what the sampler chooses and what matters beside its options."""
        self.study.sampler = sampler(self.settings, trial.number)
        seeds = list(dict.fromkeys(seed for each in self.plan.slots for seed in each.seeds))
        distributions = self.space.distributions | {"seed": CategoricalDistribution(seeds)}
        if not self.space.searched:
            return {name: suggest(trial, name, distributions[name]) for name in slot.params}
        params = {name: suggest(trial, name, distributions[name]) for name in self.space.options}
        matter, _, _ = self.plan.conditions.look(params)
        for name in self.space.distributions:
            if name in matter and name not in params:
                params[name] = suggest(trial, name, distributions[name])
        return params

    def outcome(self, trial: Trial, slot: Slot) -> tuple[TrialState, list[float] | None, str | None]:
        """Run every seed of a trial: its state, the mean of each objective, and what went wrong."""
        params = self.suggest(trial, slot)
        number = str(trial.user_attrs["slot"])
        names = {seed: number if len(slot.seeds) == 1 else f"{number}_seed{seed}" for seed in slot.seeds}
        trial.set_user_attr("folders", list(names.values()))
        values: list[list[float]] = []
        for repeat, (seed, name) in enumerate(names.items()):
            returned = self.launch(trial, {**params, "seed": seed}, name, repeat)
            if returned.status != JobStatus.COMPLETED:
                reason = returned._return_value
                if isinstance(reason, optuna.TrialPruned):
                    return PRUNED, None, None
                return FAIL, None, explain(reason)
            results = read_results(self.plan.folder / name)
            assert results is not None
            found = {objective: value_of(objective, results) for objective in self.settings.objectives}
            for objective, value in found.items():
                if value is None:
                    return FAIL, None, f"study.objective={objective}: no user of the validation split is in this group"
            values.append([float(value) for value in found.values() if value is not None])
        return COMPLETE, [sum(each) / len(each) for each in zip(*values, strict=True)], None

    def launch(self, trial: Trial, params: Mapping[str, Any], name: str, repeat: int) -> JobReturn:
        """One run in this process, in the folder `name` of the sweep."""
        overrides = [*self.plan.conditions.overrides(params), f"hydra.sweep.subdir={name}"]
        if self.quiet:
            overrides.append("hydra/job_logging=quiet")
        launcher = BasicLauncher()
        task = partial(job_of, watch=self.reporter(trial, repeat))
        launcher.setup(hydra_context=self.plan.hydra_context, task_function=task, config=self.config)
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
                    trial.report(value, repeat * self.plan.epochs + record["epoch"])
            if told and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {max(told)}")

        return report


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Ask for a value of a parameter."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step, log_scale = distribution.low, distribution.high, distribution.step, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log_scale)
    return trial.suggest_float(name, low, high, step=step, log=log_scale)
