"""Hydra's launchers as a sweep uses them: how many processes, with which settings, and what became of them.

The launchers were made for one task a run and wait for all; here a task is a worker that serves the queue of a study
until it is empty, and one that dies is started again.
"""

import copy
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hybrid_seq_gnn_sweeper import _board
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hybrid_seq_gnn.study.settings import StudySettings

IN_THIS_PROCESS = "basic"  # Hydra's own launcher
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


def number_of_workers(config: DictConfig, settings: StudySettings) -> int:
    """How many processes are to serve the study.

    Raises:
        ValueError: the launcher cannot start that many, or does not say how many it can.
    """
    launcher = launcher_of(config)
    if launcher == IN_THIS_PROCESS:
        if settings.workers not in (None, 1):
            raise ValueError(
                f"study.workers={settings.workers} needs a launcher that starts processes: hydra/launcher=joblib "
                "(pip install 'hybrid_seq_gnn[parallel]'), ray or submitit_slurm."
            )
        return 1
    if settings.workers is not None:
        return settings.workers
    if launcher == "joblib":
        jobs = int(config.hydra.launcher.n_jobs)
        return jobs if jobs > 0 else max(len(os.sched_getaffinity(0)) + 1 + jobs, 1)
    raise ValueError(f"hydra/launcher={launcher}: say with study.workers=… how many tasks are to serve the sweep.")


def launcher_for(config: DictConfig, hydra_context: HydraContext, task: TaskFunction, workers: int) -> Launcher:
    """The launcher of a sweep, with `BETTER` settings where the command line gives none."""
    name = launcher_of(config)
    better = dict(BETTER.get(name, {}))
    if name == "joblib":
        better["n_jobs"] = workers
    if name == "ray":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    given = {line.lstrip("+").partition("=")[0] for line in config.hydra.overrides.hydra}
    changed = copy.deepcopy(config)
    with read_write(changed.hydra), open_dict(changed.hydra):
        for key, value in better.items():
            if f"hydra.launcher.{key}" not in given:
                OmegaConf.update(changed.hydra.launcher, key, value, force_add=True)
    launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task, config=changed)
    # tasks compare their settings of the launcher with those of the command line, and refuse others
    launcher.setup(hydra_context=hydra_context, task_function=task, config=config)
    return launcher


def launched(launcher: Launcher, jobs: list[list[str]]) -> list[BaseException]:
    """Start workers and wait for them; what went wrong with some of them, or with the launcher."""
    try:
        returned: list[JobReturn] = list(launcher.launch(jobs, initial_job_idx=0))
    except Exception as error:  # a killed process: what that is differs between launchers
        return [error]
    return [each._return_value for each in returned if each.status != JobStatus.COMPLETED]


@contextmanager
def telling(study: optuna.Study, settings: StudySettings, launcher: str) -> Iterator[None]:
    """Say what each trial gave, for workers that speak elsewhere; those of joblib share our console."""
    if launcher == "joblib":
        yield
        return
    done = threading.Event()
    teller = _board.Teller(study, settings)

    def tell() -> None:
        while not done.wait(LOOK_AGAIN):
            teller.tell()

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        teller.tell()
