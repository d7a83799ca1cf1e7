"""Who runs which trial: a queue in the Optuna study that several processes, on several machines, may serve at once.

Each piece of work of a sweep is a *slot*: a point of a grid, or one of the n_trials of a search. A slot is put in the
Optuna study as a trial in the state WAITING. A process takes a trial by setting it RUNNING, which only one can do, and
signs it: with its machine and process, and from then on with the time. A trial whose process is gone is ended as FAIL
and its slot put in the queue again, to be continued in the same run folder. Two processes may put a slot in the queue
at the same moment; then the trial with the lower number counts and the other is dropped when it is taken.
"""

import logging
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from hybrid_seq_gnn.study.optuna_private import begin, trial_of

log = logging.getLogger(__name__)

WAITING, RUNNING = TrialState.WAITING, TrialState.RUNNING
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
SIGN_EVERY = 20.0  # seconds between signs of life
MOST_LOSSES = 3  # a slot whose process died this often has failed


@dataclass(frozen=True)
class Slot:
    """One thing to do.

    Attributes:
        params: of a grid point; empty where the sampler chooses.
        seeds: of the runs that make the trial; more than one in a search with repeats.
    """

    params: dict[str, Any]
    seeds: tuple[int, ...]


@lru_cache(maxsize=1)
def machine() -> str:
    """A text that identifies this machine, its last start and its namespace of process ids.

    The name is not enough: two containers of one name number their processes apart, and two machines may share a name.
    """
    namespace = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else ""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {namespace} {boot.read_text().strip() if boot.exists() else ''}".strip()


def start_of(pid: int) -> float | None:
    """When a process started, on a clock that nobody sets (ticks since the machine did); None if it is gone.

    A zombie is gone: it does nothing any more.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        return float(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else process.create_time()
    except (psutil.NoSuchProcess, OSError):
        return None


_last_signs: dict[tuple[int, str], tuple[float, float]] = {}  # last sign of life, and when it was first seen


def is_lost(trial: FrozenTrial, grace: float) -> bool:
    """Whether nobody runs a RUNNING trial any more.

    On this machine that is known. Of another one it is believed once its sign of life has not changed for `grace`
    seconds on the clock of this process: what the clocks of two machines say of each other does not matter.
    """
    owner = trial.user_attrs.get("owner")
    if owner is not None and owner["machine"] == machine():
        return bool(start_of(owner["pid"]) != owner["start"])
    key, sign = (trial.number, str(trial.datetime_start)), trial.user_attrs.get("alive", 0.0)
    if _last_signs.get(key, (None, 0.0))[0] != sign:
        _last_signs[key] = sign, time.monotonic()
    return time.monotonic() - _last_signs[key][1] > grace


def is_alive(trial: FrozenTrial, grace: float) -> bool:
    """Whether a RUNNING trial has a process for all that is known now; one of another machine signs within `grace`."""
    if trial.user_attrs.get("owner", {}).get("machine") == machine():
        return not is_lost(trial, grace)
    return bool(time.time() - trial.user_attrs.get("alive", 0.0) <= grace)


def whereabouts(trial: FrozenTrial) -> str:
    """The process of a trial, to read."""
    owner = trial.user_attrs.get("owner")
    return f"process {owner['pid']} on {owner['machine'].split()[0]}" if owner else "another process"


def by_slot(study: optuna.Study, most: float = math.inf) -> dict[int, list[FrozenTrial]]:
    """The trials of each slot, oldest first, without those that were dropped or replaced.

    Args:
        most: only of so many slots; a study may hold more from a larger study.n_trials.
    """
    found: dict[int, list[FrozenTrial]] = {}
    for trial in not_replaced(study.get_trials(deepcopy=False)):
        if trial.user_attrs.get("slot", math.inf) < most and "dropped" not in trial.user_attrs:
            found.setdefault(trial.user_attrs["slot"], []).append(trial)
    return dict(sorted(found.items()))


def not_replaced(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials without those that another one replaces."""
    gone = {trial.user_attrs.get("replaces") for trial in trials}
    return [trial for trial in trials if trial.number not in gone]


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a finished trial in the queue again, as it was. It is shown no more; a sampler still learns from it."""
    study.enqueue_trial(trial.params, user_attrs={"slot": trial.user_attrs["slot"], "replaces": trial.number})


def current_trials(study: optuna.Study, most: float = math.inf) -> dict[int, FrozenTrial]:
    """The trial of each slot that counts: the first that has not failed, else the last."""
    return {slot: next((t for t in mine if t.state != FAIL), mine[-1]) for slot, mine in by_slot(study, most).items()}


def count(study: optuna.Study, most: float = math.inf) -> Counter[TrialState]:
    """How far a sweep is, in slots. What was interrupted waits to be taken up again; it has not failed."""
    trials = current_trials(study, most).values()
    return Counter(WAITING if t.state == FAIL and "error" not in t.user_attrs else t.state for t in trials)


def numbered_as_begun(study: optuna.Study, slots: Sequence[Slot]) -> list[Slot]:
    """The points of a grid in the order in which the study has them, which may be that of another command line."""
    if not all(slot.params for slot in slots):
        return list(slots)
    of_point = {frozenset(slot.params.items()): slot for slot in slots}
    asked = {n: frozenset(mine[0].system_attrs.get("fixed_params", {}).items()) for n, mine in by_slot(study).items()}
    begun = {number: of_point.pop(point) for number, point in asked.items() if point in of_point}
    rest = iter(of_point.values())
    return [begun[number] if number in begun else next(rest) for number in range(len(slots))]


def fill(study: optuna.Study, slots: Sequence[Slot], grace: float, retry_failed: bool = False) -> bool:
    """Put in the queue what is neither finished nor in it; whether there was any. Anybody may do so at any time.

    Args:
        study: holds the queue.
        slots: all that there is to do.
        grace: see `is_lost`.
        retry_failed: also what ended with an error, unless somebody else is at work, whose errors these may be.
    """
    for mine in by_slot(study, len(slots)).values():
        for trial in mine:
            if trial.state == RUNNING and is_lost(trial, grace):
                end_lost(study, trial, 1 + sum("lost" in other.user_attrs for other in mine))
    now = current_trials(study, len(slots))
    retry_failed = retry_failed and all(trial.state != RUNNING for trial in now.values())
    filled = False
    for number, slot in enumerate(slots):
        last = now.get(number)
        if last is None or (last.state == FAIL and (retry_failed or "error" not in last.user_attrs)):
            study.enqueue_trial(slot.params or (last.params if last else {}), user_attrs={"slot": number})
            filled = True
    return filled


def end_lost(study: optuna.Study, trial: FrozenTrial, losses: int) -> None:
    """End a trial of a process that is gone, unless somebody else was faster."""
    with suppress(UpdateFinishedTrialError):
        lost = trial_of(study, trial)
        lost.set_user_attr("lost", whereabouts(trial))
        if losses >= MOST_LOSSES:
            lost.set_user_attr("error", f"the process that ran it died {losses} times (out of memory, or killed)")
        study.tell(trial.number, state=FAIL, skip_if_finished=True)


def take(study: optuna.Study, most: float = math.inf) -> Trial | None:
    """The first slot of the queue, signed by this process, so that others can see whether it lives; None if empty."""
    every = study.get_trials(deepcopy=False, states=(WAITING,))
    waiting = [trial for trial in every if trial.user_attrs.get("slot", -1) < most]
    for first in sorted(waiting, key=lambda trial: (trial.user_attrs.get("slot", -1), trial.number)):
        if (trial := begin(study, first)) is None:
            continue
        trial.set_user_attr("alive", time.time())
        trial.set_user_attr("owner", {"machine": machine(), "pid": os.getpid(), "start": start_of(os.getpid())})
        now = current_trials(study).get(trial.user_attrs.get("slot", -1))
        if now is not None and now.number == trial.number:
            return trial
        trial.set_user_attr("dropped", "another trial has this slot")
        study.tell(trial, state=FAIL)
    return None


@contextmanager
def signing(trial: Trial, grace: float) -> Iterator[None]:
    """Say often enough for `grace` that the trial's process lives; a storage that fails for a while is asked again."""

    def sign() -> None:
        with suppress(UpdateFinishedTrialError):  # somebody else has taken the trial, which its process will notice
            trial.set_user_attr("alive", time.time())

    with every(min(SIGN_EVERY, grace / 4), sign):
        yield


@contextmanager
def every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something again and again, in a thread, while the block runs; what goes wrong is said, and tried again."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            try:
                act()
            except Exception as error:  # such as a network drive that is away for a moment
                log.warning("the study cannot be read or written (%s); trying again", error)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
