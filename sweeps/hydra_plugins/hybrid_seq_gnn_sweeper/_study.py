"""A sweep as an Optuna study on ask and tell: every point once, failures recorded, a killed sweep taken up again.

Ours differs from hydra-optuna-sweeper, whose parsing it uses: a grid has exactly its points whatever n_trials says; a
failed run does not end the sweep; what is finished is not run again, and a run that was killed goes on in its folder.
"""

import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Space, parse
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from hybrid_seq_gnn.app.cli import explain
from hybrid_seq_gnn.results.leaderboard import Run, read_runs, write

if TYPE_CHECKING:
    from hydra_plugins.hybrid_seq_gnn_sweeper.sweeper import StudySweeper

log = logging.getLogger(__name__)


def run_study(sweeper: "StudySweeper", arguments: list[str]) -> optuna.Study:
    """Run every trial that is not finished yet, then show the leaderboard.

    Raises:
        ValueError: the folder holds a sweep over another space.
        RuntimeError: all runs failed, or more than max_failures did.
    """
    configure_log(
        sweeper.config.hydra.hydra_logging,
        sweeper.config.hydra.verbose,
        execution_whitelist=sweeper.hydra_context.execution_whitelist,
    )
    space = parse(arguments)
    for point in space.points or []:  # a mistyped setting is said now, and not after hours
        sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, space.overrides(point))
    folder = Path(sweeper.config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(folder, space, sweeper.seed)
    plan = remaining(study, space, sweeper.n_trials)
    finished = sum(trial.state == TrialState.COMPLETE for trial in study.trials)
    total = finished + len(plan)
    log.info("sweep: %d done, %d to run, in %s", finished, len(plan), folder)

    failures: dict[str, Run] = {}
    started = time.monotonic()
    for number, (name, params) in enumerate(plan, start=1):
        if params is not None:
            study.enqueue_trial(params)
        trial = study.ask(space.distributions)
        name = name or str(trial.number)
        trial.set_user_attr("folder", name)
        returned = launch(sweeper, space, trial, name)
        error = tell(study, trial, returned)
        if error is not None:
            failures[name] = Run(name, None, error, {key: str(value) for key, value in trial.params.items()})
        board = write([*read_runs(folder), *failures.values()], folder)
        left = (time.monotonic() - started) / number * (len(plan) - number)
        log.info("%s", progress(study, trial, error, finished + number, total, left))
        if sweeper.max_failures is not None and len(failures) > sweeper.max_failures:
            raise RuntimeError(f"{len(failures)} runs failed, more than max_failures={sweeper.max_failures}: {error}")
    if not plan:
        board = write(read_runs(folder), folder)
    if plan and len(failures) == len(plan) and not finished:
        raise RuntimeError(f"all {len(plan)} runs failed; the last one: {error}")
    log.info("\n%s\n\nwritten to %s and leaderboard.csv", board, folder / "leaderboard.md")
    return study


def open_study(folder: Path, space: Space, seed: int) -> optuna.Study:
    """The study in the sweep's folder, new or as it was left."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    study = optuna.create_study(study_name="sweep", storage=storage, direction="maximize", load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    known = study.user_attrs.get("space")
    if known is not None and known != space.identity():
        raise ValueError(
            f"{folder} holds a sweep over other settings. Give the same ones to continue it, or another folder with "
            "hydra.sweep.dir=…"
        )
    study.set_user_attr("space", space.identity())
    return study


def remaining(study: optuna.Study, space: Space, n_trials: int) -> list[tuple[str | None, dict[str, Any] | None]]:
    """Folder and parameters of every run to come; None where the search decides.

    In a grid a point's folder is its number in the grid. A search gives a run that was killed another try in its own
    folder, where its checkpoint is.
    """
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # nobody runs it any more: the process was killed
    done = [t.params for t in study.get_trials(states=(TrialState.COMPLETE,))]
    if space.points is not None:
        return [(str(k), point) for k, point in enumerate(space.points) if point not in done]
    killed: list[tuple[str | None, dict[str, Any] | None]] = [
        (t.user_attrs["folder"], t.params)
        for t in study.get_trials(states=(TrialState.FAIL,))
        if "error" not in t.user_attrs and "folder" in t.user_attrs and t.params not in done
    ]
    return killed + [(None, None)] * (n_trials - len(done) - len(killed))


def launch(sweeper: "StudySweeper", space: Space, trial: Trial, name: str) -> JobReturn:
    """Run one trial through Hydra's launcher, in the folder `name` of the sweep."""
    overrides = [*space.overrides(trial.params), f"hydra.sweep.subdir={name}"]
    try:
        (returned,) = sweeper.launcher.launch([overrides], initial_job_idx=trial.number)
    except KeyboardInterrupt:
        log.info("interrupted; the same command with hydra.sweep.dir=%s goes on.", sweeper.config.hydra.sweep.dir)
        raise
    return returned


def tell(study: optuna.Study, trial: Trial, returned: JobReturn) -> str | None:
    """Report a run to Optuna; returns what went wrong with it, if something did."""
    error: str | None = None
    if returned.status == JobStatus.COMPLETED:
        value = returned.return_value
        if isinstance(value, float) and math.isfinite(value):
            study.tell(trial, value)
            return None
        error = f"the run returned {value!r} as its validation metric"
    else:
        error = explain(returned._return_value)
    trial.set_user_attr("error", error)
    study.tell(trial, state=TrialState.FAIL)
    return error


def progress(study: optuna.Study, trial: Trial, error: str | None, number: int, total: int, left: float) -> str:
    """One line after each run."""
    what = ", ".join(f"{name}={value}" for name, value in trial.params.items()) or "one run"
    if error is not None:
        return f"[{number}/{total}] {what}: FAILED: {error}"
    frozen: FrozenTrial = study.trials[trial.number]
    seconds = (frozen.duration.total_seconds()) if frozen.duration else 0.0
    best = study.best_trial
    chosen = ", ".join(f"{name}={value}" for name, value in best.params.items())
    line = f"[{number}/{total}] {what}: validation NDCG@10 {frozen.value:.4f} in {seconds:.0f} s"
    if number < total:
        line += f"; best so far {best.value:.4f} ({chosen}); about {max(1, round(left / 60))} min left"
    return line
