"""One process at work on a sweep: take a trial, run it, tell; until nothing is left."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobStatus
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial

from hybrid_seq_gnn.app.cli import explain_trial, job_of
from hybrid_seq_gnn.app.sweep.board import write_board
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.results.runs import read_run
from hybrid_seq_gnn.study import queue
from hybrid_seq_gnn.study.optuna_private import suggest
from hybrid_seq_gnn.study.progress import Announcer
from hybrid_seq_gnn.study.samplers import sampler
from hybrid_seq_gnn.study.settings import value_of
from hybrid_seq_gnn.study.storage import one_at_a_time, software

log = logging.getLogger(__name__)

LOOK_AGAIN = 2.0  # seconds between two looks at what other processes are doing
PREEMPTED = -1  # exit code with which submitit leaves a task that Slurm will start again


class TooManyFailures(UserError):
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
        self.epochs = plan.most("epochs")
        self.progress, self.software = Announcer(study, plan.settings, len(plan.slots)), software()

    def work(self) -> None:
        """Run trials until none is left. Those of other processes are waited for: one that is lost is run here.

        Raises:
            TooManyFailures: see study.max_failures.
        """
        said = False
        while True:
            slots = len(self.plan.slots)
            failed, most = queue.count(self.study, slots)[queue.FAIL], self.settings.max_failures
            if most is not None and failed > most:
                raise TooManyFailures(f"{failed} runs failed, more than study.max_failures={most}.")
            with one_at_a_time(self.plan.folder, self.settings.storage):
                trial = queue.take(self.study, slots)
            if trial is not None:
                self.run(trial)
                continue
            if queue.fill(self.study, self.plan.slots, self.settings.grace):
                continue
            trials = queue.current_trials(self.study, slots).values()
            others = [trial for trial in trials if trial.state in (queue.RUNNING, queue.WAITING)]
            if not others:
                return
            if not said and not self.quiet:
                log.info("waiting for what runs elsewhere: %s", ", ".join(map(queue.whereabouts, others)))
                said = True
            time.sleep(LOOK_AGAIN)

    def run(self, trial: Trial) -> None:
        """One trial, whatever comes of it; the leaderboard and a line after it."""
        trial.set_user_attr("software", self.software)
        values, error = None, None
        try:
            with queue.signing(trial, self.settings.grace):
                values = self.values(trial, self.plan.slots[trial.user_attrs["slot"]])
            state = queue.COMPLETE
        except optuna.TrialPruned:
            state = queue.PRUNED
        except (KeyboardInterrupt, SystemExit) as stop:
            if isinstance(stop, KeyboardInterrupt) or stop.code == PREEMPTED:
                self.study.tell(trial, state=queue.FAIL)  # and no error: it will be taken up again
                raise
            state, error = queue.FAIL, f"the run called sys.exit({stop.code!r})"
        except Exception as reason:
            state, error = queue.FAIL, explain_trial(reason)
        try:
            if error is not None:
                trial.set_user_attr("error", error)
            self.study.tell(trial, values, state=state)
        except UpdateFinishedTrialError:  # this process was silent for so long that another one took the trial
            log.warning("trial %d was taken over by another process, and counts there", trial.number)
        write_board(self.study, self.settings, self.plan.folder)
        if not self.quiet:
            self.progress.log_ended()

    def suggest(self, trial: Trial, slot: queue.Slot) -> dict[str, Any]:
        """The parameters of a trial: those of its grid point; in a search, those that the sampler chooses.

        A search leaves out what does not exist, or has no effect, beside the options chosen so far.
        """
        self.study.sampler = sampler(self.settings, trial.number)
        seeds = list(dict.fromkeys(seed for each in self.plan.slots for seed in each.seeds))
        distributions = self.space.distributions | {"seed": CategoricalDistribution(seeds)}
        params: dict[str, Any] = {}
        for name in slot.params or [*self.space.options, *self.space.distributions]:
            if slot.params or name in self.plan.conditions.beside(params).matter:
                params[name] = suggest(trial, name, distributions[name])
        return params

    def values(self, trial: Trial, slot: queue.Slot) -> list[float]:
        """Run every seed of a trial; the mean of each objective. What goes wrong in a run is raised."""
        params = self.suggest(trial, slot)
        number = str(trial.user_attrs["slot"])
        names = {seed: number if len(slot.seeds) == 1 else f"{number}_seed{seed}" for seed in slot.seeds}
        trial.set_user_attr("folders", list(names.values()))
        values = []
        for repeat, (seed, name) in enumerate(names.items()):
            trial.set_user_attr("folder", name)  # of a trial that fails: where it did
            self.launch(trial, {**params, "seed": seed}, name, repeat)
            run = read_run(self.plan.folder / name)
            values.append([value_of(objective, run) for objective in self.settings.objectives])
        return [sum(each) / len(each) for each in zip(*values, strict=True)]

    def launch(self, trial: Trial, params: Mapping[str, Any], name: str, repeat: int) -> None:
        """One run in this process, in the folder `name` of the sweep."""
        overrides = [*self.plan.conditions.overrides(params), f"hydra.sweep.subdir={name}"]
        if self.quiet:
            overrides.append("hydra/job_logging=quiet")
        launcher = BasicLauncher()
        task = partial(job_of, watch=self.reporter(trial, repeat))
        launcher.setup(hydra_context=self.plan.hydra_context, task_function=task, config=self.config)
        (returned,) = launcher.launch([overrides], initial_job_idx=trial.number)
        if returned.status != JobStatus.COMPLETED:
            raise returned._return_value  # `return_value` would write to the console, too

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
                    trial.report(value, repeat * self.epochs + record["epoch"])
            if told and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {max(told)}")

        return report
