"""What a person sees of a sweep: the leaderboard, written anew after each trial, and a line about how far it is."""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

import optuna
from hydra_plugins.hybrid_seq_gnn_sweeper._trials import (
    COMPLETE,
    FAIL,
    PRUNED,
    RUNNING,
    WAITING,
    count,
    standing,
    whereabouts,
)
from optuna.trial import FrozenTrial

from hybrid_seq_gnn.leaderboard.against_encoders import against_encoders
from hybrid_seq_gnn.leaderboard.board import Slot, read_slots, write
from hybrid_seq_gnn.results.labels import words
from hybrid_seq_gnn.study.settings import StudySettings

log = logging.getLogger(__name__)


def write_board(study: optuna.Study, settings: StudySettings, folder: Path, final: bool = False) -> str:
    """Rewrite the leaderboard from what the run folders hold and from what the study knows of the others.

    Args:
        final: nothing follows soon: compare the hybrids with their encoders too, which takes some seconds.
    """
    slots = {slot.folder: slot for slot in read_slots(folder)}
    for place, trial in standing(study.get_trials(deepcopy=False)).items():
        names = trial.user_attrs.get("folders", [str(place)])
        if trial.state == WAITING or all(name in slots and slots[name].run for name in names):
            continue
        slots |= {name: without_results(name, trial) for name in names if name not in slots or slots[name].error}
    done = [slot.run for slot in slots.values() if slot.run is not None]
    answer = against_encoders(done) if final else ""
    return write(list(slots.values()), folder, settings.objectives, answer)


def without_results(name: str, trial: FrozenTrial) -> Slot:
    """A run that has no results here: it failed, was pruned, is running, or ran on another machine."""
    params = {key: str(value) for key, value in trial.params.items()}
    if trial.state == COMPLETE:
        return Slot(name, None, f"by {whereabouts(trial)}", params, "done", tuple(trial.values))
    if trial.state == PRUNED:
        step = max(trial.intermediate_values, default=0)
        value = trial.intermediate_values.get(step)
        at = "" if value is None else f" at {value:.4f}"
        return Slot(name, None, f"after epoch {step}{at}", params, "pruned", () if value is None else (value,))
    if trial.state == RUNNING:
        return Slot(name, None, f"by {whereabouts(trial)}", params, "running")
    return Slot(name, None, trial.user_attrs.get("error", "interrupted"), params, "failed")


def progress(study: optuna.Study, trial: FrozenTrial, settings: StudySettings, seconds: Sequence[float]) -> str:
    """One line after each trial: what it gave, the best so far, how many are done, and the time left."""
    now = count(study)
    what = named(trial.params) or "one run"
    line = f"[{now.ended}/{now.total}] {what}: "
    aims = [f"validation {objective}" for objective in settings.objectives]
    if trial.state == COMPLETE:
        line += ", ".join(f"{aim} {value:.4f}" for aim, value in zip(aims, trial.values, strict=True))
        line += f" in {duration(seconds[-1])}"
    elif trial.state == PRUNED:
        line += f"pruned after epoch {max(trial.intermediate_values, default=0)}"
    elif trial.state == FAIL:
        line += f"FAILED: {trial.user_attrs.get('error')}"
    if now.total > 1 and now.done and len(aims) == 1:
        top = study.best_trial
        line += f"; best so far {top.value:.4f} ({named(top.params)})"
    elif now.done and len(aims) > 1:
        line += f"; {len(study.best_trials)} on the front"
    line += "".join(f"; {n} {word}" for n, word in ((now.failed, "failed"), (now.pruned, "pruned")) if n)
    others = now.running
    line += f"; {others} more running" if others else ""
    left = median(seconds) * now.waiting / (1 + others)
    return line + (f"; about {duration(left)} left" if now.waiting else "")


def named(params: dict[str, object]) -> str:
    return words(list(params.items()))


def duration(seconds: float) -> str:
    """A time to read: 0.4 s, 42 s, 7 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


class Teller:
    """Says what the trials of other processes gave, each once, from when it is made on."""

    def __init__(self, study: optuna.Study, settings: StudySettings) -> None:
        self.study, self.settings = study, settings
        self.said = {trial.number for trial in self.ended()}
        self.seconds: list[float] = []

    def ended(self) -> list[FrozenTrial]:
        """Trials that are over, in the order in which they ended; one that will be run again is not."""
        trials = self.study.get_trials(deepcopy=False, states=(COMPLETE, PRUNED, FAIL))
        over = [trial for trial in trials if trial.state != FAIL or "error" in trial.user_attrs]
        return sorted(over, key=lambda trial: trial.datetime_complete or datetime.max)

    def tell(self) -> None:
        for trial in self.ended():
            if trial.number in self.said:
                continue
            self.said.add(trial.number)
            self.seconds.append(trial.duration.total_seconds() if trial.duration is not None else 0.0)
            log.info("%s", progress(self.study, trial, self.settings, self.seconds))
