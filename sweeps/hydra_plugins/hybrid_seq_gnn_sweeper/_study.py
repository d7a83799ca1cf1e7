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
from hydra_plugins.hybrid_seq_gnn_sweeper._store import alone_in, clear_leftovers, failed, identity, latest, open_study
from optuna.trial import Trial, TrialState

from hybrid_seq_gnn.app.cli import explain
from hybrid_seq_gnn.results.leaderboard import read_runs, write

if TYPE_CHECKING:
    from hydra_plugins.hybrid_seq_gnn_sweeper.sweeper import StudySweeper

log = logging.getLogger(__name__)


def run_study(sweeper: "StudySweeper", arguments: list[str]) -> optuna.Study:
    """Run every trial that is not finished yet, then show the leaderboard.

    Raises:
        ValueError: the folder holds a sweep over other settings, or another process is running it.
        RuntimeError: all runs failed, or more than max_failures did.
    """
    configure_log(
        sweeper.config.hydra.hydra_logging,
        sweeper.config.hydra.verbose,
        execution_whitelist=sweeper.hydra_context.execution_whitelist,
    )
    space = parse(arguments)
    compose = sweeper.hydra_context.config_loader.load_sweep_config
    # a mistyped setting is said now, and not after hours
    first, *_ = [compose(sweeper.config, space.overrides(point)) for point in space.samples()]
    folder = Path(sweeper.config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        settings = identity(space, first)
        study = open_study(folder, settings, name=sweeper.study_name, storage=sweeper.storage, seed=sweeper.seed)
        run_trials(sweeper, study, space, folder)
    return study


def run_trials(sweeper: "StudySweeper", study: optuna.Study, space: Space, folder: Path) -> None:
    """The loop: ask, run, tell, rewrite the leaderboard, say where we are."""
    clear_leftovers(study)
    plan = remaining(study, space, sweeper.n_trials)
    finished = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    total = finished + len(plan)
    log.info("sweep: %d done, %d to run, in %s", finished, len(plan), folder)
    board = "" if plan else leaderboard(study, folder)
    failures = 0
    started = time.monotonic()
    for number, (name, params) in enumerate(plan, start=1):
        if params is not None:
            study.enqueue_trial(params)
        trial = study.ask(space.distributions)
        name = name or str(trial.number)
        trial.set_user_attr("folder", name)
        try:
            returned = launch(sweeper, space, trial, name)
        except KeyboardInterrupt:
            study.tell(trial, state=TrialState.FAIL)  # and no error: it will be taken up again
            done = finished + number - 1 - failures
            go_on = f"the same command with hydra.sweep.dir={folder} goes on"
            log.info("interrupted, %d of %d runs done; %s.", done, total, go_on)
            raise
        error = tell(study, trial, returned)
        failures += error is not None
        board = leaderboard(study, folder)
        left = (time.monotonic() - started) / number * (len(plan) - number)
        log.info("%s", progress(study, trial, error, finished + number, total, left))
        if sweeper.max_failures is not None and failures > sweeper.max_failures:
            raise RuntimeError(f"{failures} runs failed, more than max_failures={sweeper.max_failures}: {error}")
    if plan and failures == total:
        raise RuntimeError(f"all {total} runs failed; the last one: {error}")
    log.info("\n%s\n\nwritten to %s and leaderboard.csv", board, folder / "leaderboard.md")


def remaining(study: optuna.Study, space: Space, n_trials: int) -> list[tuple[str | None, dict[str, Any] | None]]:
    """Folder and parameters of every run to come; None where the search decides.

    In a grid a point's folder is its number in the grid, and a point that failed is tried again. A search gives a run
    that was killed another try in its own folder, where its checkpoint is.
    """
    done = [t.params for t in study.get_trials(states=(TrialState.COMPLETE,))]
    if space.points is not None:
        return [(str(k), point) for k, point in enumerate(space.points) if point not in done]
    killed: list[tuple[str | None, dict[str, Any] | None]] = [
        (folder, trial.params)
        for folder, trial in latest(study).items()
        if trial.state == TrialState.FAIL and "error" not in trial.user_attrs
    ]
    return killed + [(None, None)] * (n_trials - len(done) - len(killed))


def launch(sweeper: "StudySweeper", space: Space, trial: Trial, name: str) -> JobReturn:
    """Run one trial through Hydra's launcher, in the folder `name` of the sweep."""
    overrides = [*space.overrides(trial.params), f"hydra.sweep.subdir={name}"]
    (returned,) = sweeper.launcher.launch([overrides], initial_job_idx=trial.number)
    return returned


def tell(study: optuna.Study, trial: Trial, returned: JobReturn) -> str | None:
    """Report a run to Optuna; returns what went wrong with it, if something did."""
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


def leaderboard(study: optuna.Study, folder: Path) -> str:
    """Rewrite the leaderboard from what the run folders hold and the study knows to have failed."""
    runs = {run.folder: run for run in read_runs(folder)}
    for run in failed(study):
        if run.folder not in runs or runs[run.folder].results is None:
            runs[run.folder] = run
    return write(list(runs.values()), folder)


def progress(study: optuna.Study, trial: Trial, error: str | None, number: int, total: int, left: float) -> str:
    """One line after each run."""
    what = named(trial.params) or "one run"
    more = f"; about {duration(left)} left" if number < total else ""
    if error is not None:
        return f"[{number}/{total}] {what}: FAILED: {error}{more}"
    frozen, best = study.trials[trial.number], study.best_trial
    seconds = frozen.duration.total_seconds() if frozen.duration else 0.0
    line = f"[{number}/{total}] {what}: validation NDCG@10 {frozen.value:.4f} in {duration(seconds)}"
    if total > 1:
        line += f"; best so far {best.value:.4f} ({named(best.params)})"
    return line + more


def named(params: dict[str, Any]) -> str:
    """Parameters in the words of the command line."""
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in params.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def duration(seconds: float) -> str:
    """A time to read: 42 s, 7 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
