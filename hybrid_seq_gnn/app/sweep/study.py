"""A sweep as an Optuna study on ask and tell: every point once, failures recorded, a killed sweep taken up again.

Ours differs from hydra-optuna-sweeper: a grid has exactly its points whatever n_trials says; a failed run does not end
the sweep; what is finished is not run again, a run that was killed goes on in its folder, and several processes may
serve one study.
"""

import logging
from collections import Counter
from pathlib import Path

import optuna
import torch
from hydra.core.utils import configure_log
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.trial import TrialState

from hybrid_seq_gnn.app.arguments import Command
from hybrid_seq_gnn.app.sweep.board import write_board
from hybrid_seq_gnn.app.sweep.launchers import number_of_workers, serve
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.app.sweep.worker import TooManyFailures, Worker
from hybrid_seq_gnn.errors import UserError, printable
from hybrid_seq_gnn.files import locked, refuse_links, short_path
from hybrid_seq_gnn.results.labels import counted
from hybrid_seq_gnn.results.runs import read_run
from hybrid_seq_gnn.study.queue import COMPLETE, FAIL, PRUNED, RUNNING, WAITING, count, current_trials, fill, requeue
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.storage import warn_other_software

log = logging.getLogger(__name__)


def run_study(config: DictConfig, hydra_context: HydraContext, command: Command) -> optuna.Study | None:
    """Run every trial that is not finished yet, then show the leaderboard.

    Raises:
        UserError: the study is over other settings, or a setting is wrong.
        UserError: all runs failed, or more than study.max_failures did.
    """
    configure_log(
        config.hydra.hydra_logging, config.hydra.verbose, execution_whitelist=hydra_context.execution_whitelist
    )
    torch.set_num_threads(1)  # of this process: threads do not survive a fork, and each run sets its own
    plan = Plan.of(config, hydra_context, command)
    settings, folder = plan.settings, plan.folder
    workers = number_of_workers(plan)
    warn_without_effect(plan)
    if settings.dry_run:
        log.info("%s", plan.outline())
        return None
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    with locked(folder / ".lock"):
        study = plan.open(settings.fresh)
        plan.describe()
        run_again_what_lost(study, settings, folder)
        fill(study, plan.slots, settings.grace, settings.retry_failed)
    log.info("sweep: %s, in %s", state(count(study, len(plan.slots))), short_path(folder))
    warn_other_software(study)
    failure = None
    try:
        if workers is None:
            Worker(plan, study).work()
        else:
            serve(plan, study, workers)
    except TooManyFailures as error:
        failure = str(error)
    except KeyboardInterrupt:
        write_board(study, settings, folder, final=True)
        log.info("interrupted: %s; the same command goes on from there.", state(count(study, len(plan.slots))))
        raise
    board = write_board(study, settings, folder, final=True)
    log.info("\n%s", printable(board))
    now = count(study, len(plan.slots))
    if failure is None and now and now[FAIL] == now.total():
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
        failure = f"all {counted(now.total(), 'run')} failed; the last one: {errors[-1]}"
    if failure is not None:
        raise UserError(failure)
    return study


def warn_without_effect(plan: Plan) -> None:
    """Say which settings of a search were typed for a grid, which has all its points whatever they are."""
    for key in () if plan.space.searched else ("study.n_trials", "study.sampler", "study.seed"):
        typed = [line for line in plan.command.typed if line.lstrip("+").startswith(f"{key}=")]
        if typed:
            of = f"a grid of {len(plan.slots)} points; all are run. An interval(…) makes it a search."
            log.warning("%s has no effect on %s", typed[-1], of)


def run_again_what_lost(study: optuna.Study, settings: StudySettings, folder: Path) -> None:
    """Put finished trials in the queue again if results.json of a run is missing or damaged."""
    for trial in current_trials(study).values():
        runs = [folder / name for name in trial.user_attrs["folders"]] if trial.state == COMPLETE else []
        if settings.storage is not None:
            runs = [run for run in runs if run.exists()]  # the others were run on another machine
        if [run for run in runs if lost(run / "results.json")]:
            requeue(study, trial)


def lost(results: Path) -> bool:
    """Whether a results.json is missing or damaged, which is said; a damaged one is renamed."""
    try:
        read_run(results.parent)
        return False
    except ValueError as error:
        what = f"{short_path(results)} is missing."
        if results.exists():
            results.rename(f"{results}.damaged")
            what = f"{error} It is kept as {results.name}.damaged."
        log.warning("this run had finished, and is run again: %s", what)
        return True


def state(now: Counter[TrialState]) -> str:
    """How far a sweep is, to read."""
    rest = ((now[PRUNED], "pruned"), (now[FAIL], "failed"), (now[RUNNING], "running"))
    return f"{now[COMPLETE]} done" + "".join(f", {n} {word}" for n, word in rest if n) + f", {now[WAITING]} to run"
