"""The leaderboard of a sweep, written anew after each trial."""

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from hybrid_seq_gnn.leaderboard.against_encoders import against_encoders
from hybrid_seq_gnn.leaderboard.board import Entry, read_entries, write
from hybrid_seq_gnn.study.queue import COMPLETE, PRUNED, RUNNING, WAITING, current_trials, whereabouts
from hybrid_seq_gnn.study.settings import StudySettings


def write_board(study: optuna.Study, settings: StudySettings, folder: Path, final: bool = False) -> str:
    """Rewrite the leaderboard from what the run folders hold and from what the study knows of the others.

    Args:
        final: nothing follows soon: compare the hybrids with their encoders too, which takes some seconds.
    """
    entries = {entry.folder: entry for entry in read_entries(folder)}
    for place, trial in current_trials(study).items():
        names = trial.user_attrs.get("folders", [str(place)])
        if trial.state == WAITING:
            continue
        foreign = not_of(trial, names)
        without = [name for name in names if name in foreign or name not in entries or entries[name].error]
        entries |= {name: without_results(name, trial) for name in without}
    done = [entry.run for entry in entries.values() if entry.run is not None]
    answer = against_encoders(done) if final else ""
    return write(list(entries.values()), folder, settings.objectives, answer)


def not_of(trial: FrozenTrial, names: list[str]) -> list[str]:
    """Of a failed trial, the folder in which it failed and those after it: others wrote the results there."""
    failed = trial.user_attrs.get("folder") if "error" in trial.user_attrs else None
    return names[names.index(failed) :] if failed in names else []


def without_results(name: str, trial: FrozenTrial) -> Entry:
    """A run that has no results here: it failed, was pruned, is running, or ran on another machine."""
    params = {key: str(value) for key, value in trial.params.items()}
    if trial.state == COMPLETE:
        return Entry(name, None, f"by {whereabouts(trial)}", params, "done", tuple(trial.values))
    if trial.state == PRUNED:
        step = max(trial.intermediate_values, default=0)
        value = trial.intermediate_values.get(step)
        at = "" if value is None else f" at {value:.4f}"
        return Entry(name, None, f"after epoch {step}{at}", params, "pruned", () if value is None else (value,))
    if trial.state == RUNNING:
        return Entry(name, None, f"by {whereabouts(trial)}", params, "running")
    return Entry(name, None, trial.user_attrs.get("error", "interrupted"), params, "failed")
