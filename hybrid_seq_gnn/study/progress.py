"""A line on the console for each trial that ends."""

import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import optuna
from optuna.trial import FrozenTrial

from hybrid_seq_gnn.bars import tqdm
from hybrid_seq_gnn.results.labels import words
from hybrid_seq_gnn.study.queue import COMPLETE, FAIL, PRUNED, RUNNING, WAITING, count, current_trials
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.training.pace import duration

log = logging.getLogger(__name__)

EPOCH = re.compile(r"epoch +\d+  loss")  # as the training loop logs it


class Announcer:
    """Logs a line for every trial that ends after this object was created, whichever process ran it.

    Args:
        slots: how many the sweep has now; the study may hold more, of a larger study.n_trials.
    """

    def __init__(self, study: optuna.Study, settings: StudySettings, slots: float = math.inf) -> None:
        self.study, self.settings, self.slots = study, settings, slots
        self.same_data = " and " not in study.user_attrs.get("settings", {}).get("data", "")  # see Space.identity
        self.said = {trial.number for trial in self.ended()}

    def ended(self) -> list[FrozenTrial]:
        """Trials that are over, in the order in which they ended; one that will be run again is not."""
        trials = self.study.get_trials(deepcopy=False, states=(COMPLETE, PRUNED, FAIL))
        over = [trial for trial in trials if trial.state != FAIL or "error" in trial.user_attrs]
        return sorted(over, key=lambda trial: trial.datetime_complete or datetime.max)

    def log_ended(self) -> None:
        """A line for each trial that has ended since."""
        for trial in self.ended():
            if trial.number not in self.said:
                self.said.add(trial.number)
                log.info("%s", self.line(trial))

    @contextmanager
    def progress_bar(self, folder: Path) -> Iterator[Callable[[], None]]:
        """Yields what to call now and then while others work: it tells, and on a terminal shows how far they are."""
        form = "{n_fmt} of {total_fmt} done, {elapsed}{postfix}"
        with tqdm(total=count(self.study, self.slots).total(), leave=False, disable=None, bar_format=form) as bar:

            def look() -> None:
                bar.clear()
                self.log_ended()
                now = count(self.study, self.slots)
                bar.n = now.total() - now[RUNNING] - now[WAITING]
                bar.set_postfix_str(", ".join(at_work(self.study, folder)))

            yield look

    def line(self, trial: FrozenTrial) -> str:
        """What a trial gave, the best so far, how many are done, and the time left."""
        now = count(self.study, self.slots)
        unsaid = sum(other.number not in self.said for other in self.ended())
        done = now.total() - now[RUNNING] - now[WAITING] - unsaid
        line = f"[{done}/{now.total()}] {words(trial.params.items()) or 'one run'}: "
        aims = [f"validation {objective}" for objective in self.settings.objectives]
        if trial.state == COMPLETE:
            line += ", ".join(f"{aim} {value:.4f}" for aim, value in zip(aims, trial.values, strict=True))
            line += f" in {duration(seconds(trial))}"
        elif trial.state == PRUNED:
            line += f"pruned after epoch {max(trial.intermediate_values, default=0)}"
        else:
            line += f"FAILED: {trial.user_attrs.get('error')}"
        told = now[COMPLETE] and self.same_data  # the best of different data means nothing
        if told and len(aims) > 1:
            line += f"; {len(self.study.best_trials)} on the front"
        elif told and now.total() > 1:
            whole = (other for other in current_trials(self.study).values() if other.state == COMPLETE)
            top = max(whole, key=lambda other: float(other.values[0]))
            line += f"; best so far {top.value:.4f} ({words(top.params.items())})"
        more = ((now[FAIL], "failed"), (now[PRUNED], "pruned"), (now[RUNNING], "more running"))
        line += "".join(f"; {n} {word}" for n, word in more if n)
        left = median(map(seconds, self.ended())) * now[WAITING] / (1 + now[RUNNING])
        return line + (f"; about {duration(left)} left" if now[WAITING] else "")


def seconds(trial: FrozenTrial) -> float:
    """How long a trial took."""
    return trial.duration.total_seconds() if trial.duration is not None else 0.0


def at_work(study: optuna.Study, folder: Path) -> Iterator[str]:
    """The folder and the last epoch of each run at work in the folder of a sweep, as far as they are known."""
    for trial in study.get_trials(deepcopy=False, states=(RUNNING,)):
        logs = [folder / name / "train.log" for name in trial.user_attrs.get("folders", ())]
        begun = [path for path in logs if path.exists()]
        if begun and (epochs := EPOCH.findall(begun[-1].read_text(encoding="utf-8", errors="replace"))):
            yield f"{begun[-1].parent.name}: {' '.join(epochs[-1].split()[:2])}"
