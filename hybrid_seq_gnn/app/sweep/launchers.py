"""Hydra's launchers as a sweep uses them: how many processes, with which settings, and what became of them.

The launchers were made for one task a run and wait for all; here a task is a worker that serves the queue of a study
until it is empty, and one that dies is started again.
"""

import os
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hybrid_seq_gnn.app.arguments import Command
from hybrid_seq_gnn.app.cli import explain_trial
from hybrid_seq_gnn.app.sweep.forks import cores, ends_with, most_workers, run_forks
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.app.sweep.worker import TooManyFailures, Worker, log
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import locked
from hybrid_seq_gnn.study.progress import Announcer
from hybrid_seq_gnn.study.queue import RUNNING, WAITING, count, every, fill

LOOK_AGAIN = 1.0  # seconds between two looks at what the workers have done
A_YEAR = 60 * 24 * 365  # in minutes

# What suits a worker better than the launcher's default, unless the command line says otherwise. submitit ends a task
# after an hour; on Slurm, where a longer time may not be granted, the task is put in the queue of Slurm again and goes
# on from the last epoch. Ray's log_to_driver mixes up and drops lines.
BETTER: dict[str, dict[str, Any]] = {
    "submitit_local": {"timeout_min": A_YEAR},
    "submitit_slurm": {"max_num_timeout": 1000},
    "ray": {"ray.init.log_to_driver": False, "ray.init.logging_level": "WARNING"},
}


def launcher_of(config: DictConfig) -> str:
    """The option of hydra/launcher."""
    return str(config.hydra.runtime.choices["hydra/launcher"])


def number_of_workers(plan: Plan) -> int | None:
    """How many processes are to be started; None where this one does all.

    Raises:
        UserError: the launcher does not say how many it can start.
    """
    config, launcher, workers = plan.config, launcher_of(plan.config), plan.settings.workers
    if launcher == "basic":  # Hydra's own starts none, so we fork
        found = min(workers or most_workers(plan.most("threads")), len(plan.slots))
        return found if found > 1 else None
    if workers is None and launcher == "joblib":
        jobs = int(config.hydra.launcher.n_jobs)
        return jobs if jobs > 0 else max(cores() + 1 + jobs, 1)
    if workers is None:
        raise UserError(f"hydra/launcher={launcher}: say with study.workers=… how many tasks are to serve the sweep.")
    return workers


def work(
    config: DictConfig, hydra_context: HydraContext, command: Command, here: Path, sweep: int, _: DictConfig
) -> None:
    """What a launcher runs in each of its processes or tasks: plan the same sweep again and serve its queue.

    Args:
        config, hydra_context, command: as the sweeper has them.
        here: the working folder, from which paths count; a task of Ray starts in the folder in which its node started.
        sweep: the process that started the launcher. A worker of joblib is its child, and ends with it.

    Raises:
        UserError: this worker alone was interrupted; a KeyboardInterrupt would end the launcher.
    """
    if here.is_dir():  # a machine with another disk may lack it
        os.chdir(here)
    child = launcher_of(config) == "joblib" and os.getppid() == sweep
    try:
        with ends_with(sweep) if child else nullcontext():
            plan = Plan.of(config, hydra_context, command)
            Worker(plan, plan.open(), quiet=True).work()
    except KeyboardInterrupt:
        raise UserError("it was interrupted") from None


def launcher_for(plan: Plan, workers: int) -> Launcher:
    """The launcher of a sweep, with `BETTER` settings where the command line gives none."""
    name = launcher_of(plan.config)
    better = BETTER.get(name, {}) | ({"n_jobs": workers} if name == "joblib" else {})
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    given = {line.lstrip("+").partition("=")[0] for line in plan.config.hydra.overrides.hydra}
    own, changed = plan.for_runs(), plan.for_runs()
    with read_write(changed.hydra), open_dict(changed.hydra):
        for key, value in better.items():
            if f"hydra.launcher.{key}" not in given:
                OmegaConf.update(changed.hydra.launcher, key, value, force_add=True)
    context = plan.hydra_context
    task = partial(work, plan.config, context, plan.command, Path.cwd(), os.getpid())
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=changed)
    # tasks compare their settings of the launcher with those of the command line, and refuse others
    launcher.setup(hydra_context=context, task_function=task, config=own)
    return launcher


def launch(launcher: Launcher, workers: int) -> list[Exception]:
    """Have a launcher start workers, and wait for them. Returns why some of them ended early."""
    job = ["hydra.sweep.subdir=.", "hydra/job_logging=worker"]
    try:
        returned = launcher.launch([job] * workers, initial_job_idx=0)
        return [each._return_value for each in returned if each.status != JobStatus.COMPLETED]
    except Exception as error:  # a killed process: what that is differs between launchers
        return [error]


def serve(plan: Plan, study: optuna.Study, workers: int) -> None:
    """Start workers, again where some died, until nothing is left to do; say what each trial gave.

    Raises:
        TooManyFailures: see study.max_failures.
        UserError: the workers end without having done anything.
    """
    progress = Announcer(study, plan.settings, len(plan.slots))
    start = partial(run_forks, plan)
    if launcher_of(plan.config) != "basic":
        start = partial(launch, launcher_for(plan, workers))
    while (before := count(study, len(plan.slots)))[WAITING] or before[RUNNING]:
        tries = len(study.get_trials(deepcopy=False))
        log.info("%d workers side by side (study.workers)", workers)
        with progress.progress_bar(plan.folder) as look, every(LOOK_AGAIN, look):
            reasons = start(workers)
        progress.log_ended()
        if over := [reason for reason in reasons if isinstance(reason, TooManyFailures)]:
            raise over[0]
        with locked(plan.folder / ".lock"):
            fill(study, plan.slots, plan.settings.grace)
        if (count(study, len(plan.slots)), len(study.get_trials(deepcopy=False))) == (before, tries):
            why = explain_trial(reasons[0]) if reasons else "they find no work in the study; do they see the same disk?"
            raise UserError(f"the workers end without running anything: {why}")
        for reason in reasons:
            log.warning("a worker ended early: %s", explain_trial(reason))
