"""The leaderboard of a sweep, written anew after each trial."""

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from hybrid_seq_gnn.results.against_encoders import against_encoders
from hybrid_seq_gnn.results.leaderboard import Run, read_runs, write
from hybrid_seq_gnn.results.runs import RunData
from hybrid_seq_gnn.study.queue import COMPLETE, PRUNED, RUNNING, WAITING, standing, whereabouts
from hybrid_seq_gnn.study.settings import StudySettings


def write_board(study: optuna.Study, settings: StudySettings, folder: Path, final: bool = False) -> str:
    """Rewrite the leaderboard from what the run folders hold and from what the study knows of the others.

    Args:
        final: nothing follows soon: compare the hybrids with their encoders too, which takes some seconds.
    """
    runs = {run.folder: run for run in read_runs(folder)}
    for slot, trial in standing(study).items():
        names = trial.user_attrs.get("folders", [str(slot)])
        if trial.state == WAITING or all(name in runs and runs[name].results is not None for name in names):
            continue
        runs |= {name: without_results(name, trial) for name in names if name not in runs or runs[name].error}
    done = [RunData(folder / run.folder, run.results) for run in runs.values() if run.results is not None]
    answer = against_encoders(done) if final else ""
    return write(list(runs.values()), folder, settings.objectives, answer)


def without_results(name: str, trial: FrozenTrial) -> Run:
    """A run that has no results here: it failed, was pruned, is running, or ran on another machine."""
    params = {key: str(value) for key, value in trial.params.items()}
    if trial.state == COMPLETE:
        return Run(name, None, f"by {whereabouts(trial)}", params, "done", tuple(trial.values))
    if trial.state == PRUNED:
        step = max(trial.intermediate_values, default=0)
        value = trial.intermediate_values.get(step)
        at = "" if value is None else f" at {value:.4f}"
        return Run(name, None, f"after epoch {step}{at}", params, "pruned", () if value is None else (value,))
    if trial.state == RUNNING:
        return Run(name, None, f"by {whereabouts(trial)}", params, "running")
    return Run(name, None, trial.user_attrs.get("error", "interrupted"), params, "failed")
