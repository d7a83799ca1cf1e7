"""Who runs which trial: a queue in the Optuna study that several processes, on several machines, may serve at once.

All that a sweep has to do is put in the study as trials in the state WAITING, one a *slot*: a point of a grid, or a
place among the n_trials of a search. A process takes a trial by setting it RUNNING, which only one can do, and signs
it: with its machine and process, and from then on with the time. A trial whose process is gone is ended as FAIL and its
slot put in the queue again, to be continued in the same run folder. Two processes may put a slot in the queue at the
same moment; then the trial with the lower number counts and the other is dropped when it is taken.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import optuna
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

WAITING, RUNNING, COMPLETE, PRUNED, FAIL = (
    TrialState.WAITING,
    TrialState.RUNNING,
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
)
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
    """This machine, and the set of process ids that counts on it: two containers may share a name and not that."""
    namespace = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else ""
    return f"{socket.gethostname()} {namespace}".strip()


def signature() -> dict[str, Any]:
    """This process, so that others can see whether it still lives."""
    return {"machine": machine(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def is_lost(trial: FrozenTrial, grace: float) -> bool:
    """Whether nobody runs a RUNNING trial any more.

    On this machine that is known; of another one it is believed after `grace` seconds without a sign of life.
    """
    owner = trial.user_attrs.get("owner")
    if owner is not None and owner["machine"] == machine():
        try:
            return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["born"]) > 1)
        except psutil.NoSuchProcess:
            return True
    begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
    return bool(time.time() - max(trial.user_attrs.get("alive", 0.0), begun) > grace)


def whereabouts(trial: FrozenTrial) -> str:
    """The process of a trial, to read."""
    owner = trial.user_attrs.get("owner")
    return f"process {owner['pid']} on {owner['machine'].split()[0]}" if owner else "another process"


def by_slot(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The trials of each slot, oldest first, without those that were dropped."""
    found: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if "slot" in trial.user_attrs and "dropped" not in trial.user_attrs:
            found.setdefault(trial.user_attrs["slot"], []).append(trial)
    return found


def standing(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The trial of each slot that counts: the first that has not failed, else the last."""
    return {
        slot: next((t for t in mine if t.state != FAIL), mine[-1]) for slot, mine in sorted(by_slot(trials).items())
    }


def fill(study: optuna.Study, slots: Sequence[Slot], retry_failed: bool, grace: float) -> None:
    """Put everything in the queue that is neither finished nor in it. Safe to do at any time, by anybody.

    Args:
        study: holds the queue.
        slots: all that there is to do.
        retry_failed: also what ended with an error, unless somebody else is at work, whose errors these may be.
        grace: see `is_lost`.
    """
    end_lost(study, slots, grace)
    now = standing(study.get_trials(deepcopy=False))
    busy = any(trial.state == RUNNING for trial in now.values())
    for number, slot in enumerate(slots):
        trial = now.get(number)
        if trial is None:
            enqueue(study, number, slot.params)
        elif trial.state == FAIL and ("error" not in trial.user_attrs or (retry_failed and not busy)):
            enqueue(study, number, slot.params or trial.params)


def enqueue(study: optuna.Study, slot: int, params: dict[str, Any]) -> None:
    """One more try of a slot."""
    study.enqueue_trial(params, user_attrs={"slot": slot})


def end_lost(study: optuna.Study, slots: Sequence[Slot], grace: float) -> int:
    """End the trials whose process is gone, and put their slots in the queue again; returns how many."""
    trials = study.get_trials(deepcopy=False)
    lost = 0
    for slot, mine in by_slot(trials).items():
        for trial in mine:
            if trial.state != RUNNING or not is_lost(trial, grace):
                continue
            losses = 1 + sum("lost" in other.user_attrs for other in mine)
            attributes = {"lost": whereabouts(trial)}
            if losses >= MOST_LOSSES:
                attributes["error"] = f"the process that ran it died {losses} times (out of memory, or killed)"
            if end(study, trial, attributes):
                lost += 1
                if losses < MOST_LOSSES:
                    enqueue(study, slot, slots[slot].params or trial.params)
    return lost


def end(study: optuna.Study, trial: FrozenTrial, attributes: dict[str, str]) -> bool:
    """End a trial of another process as failed; False if somebody else was faster."""
    try:
        for name, value in attributes.items():
            study._storage.set_trial_user_attr(trial._trial_id, name, value)
        return bool(study._storage.set_trial_state_values(trial._trial_id, state=FAIL))
    except UpdateFinishedTrialError:
        return False


def take(study: optuna.Study) -> Trial | None:
    """The first slot of the queue, signed by this process; None where the queue is empty.

    `Study.ask` would take the oldest trial, and of an empty queue a new one, which nobody has planned.
    """
    while (trial_id := first_waiting(study)) is not None:
        study._storage.set_trial_user_attr(trial_id, "owner", signature())
        study._thread_local.cached_all_trials = None
        trial = Trial(study, trial_id)
        mine = by_slot(study.get_trials(deepcopy=False)).get(trial.user_attrs.get("slot", -1), [])
        first = next((t for t in mine if t.state != FAIL), None)
        if first is not None and first.number == trial.number:
            return trial
        trial.set_user_attr("dropped", "another trial has this slot")
        study.tell(trial, state=FAIL)
    return None


def first_waiting(study: optuna.Study) -> int | None:
    """Set the first slot of the queue RUNNING, which of several processes only one can do; the id of its trial."""
    waiting = study.get_trials(deepcopy=False, states=(WAITING,))
    for trial in sorted(waiting, key=lambda trial: (trial.user_attrs.get("slot", -1), trial.number)):
        with suppress(UpdateFinishedTrialError):
            if study._storage.set_trial_state_values(trial._trial_id, state=RUNNING):
                return trial._trial_id
    return None


@contextmanager
def signing(trial: Trial) -> Iterator[None]:
    """Say every `SIGN_EVERY` seconds that the trial's process lives."""
    done = threading.Event()

    def sign() -> None:
        while not done.wait(SIGN_EVERY):
            with suppress(UpdateFinishedTrialError):
                trial.study._storage.set_trial_user_attr(trial._trial_id, "alive", time.time())

    thread = threading.Thread(target=sign, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class Count:
    """How far a sweep is, in slots."""

    done: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def ended(self) -> int:
        """Slots that are over."""
        return self.done + self.pruned + self.failed

    @property
    def total(self) -> int:
        """All slots."""
        return self.ended + self.running + self.waiting


def count(study: optuna.Study) -> Count:
    """How far a sweep is. What was interrupted waits to be taken up again; it has not failed."""
    trials = standing(study.get_trials(deepcopy=False)).values()
    states = [WAITING if t.state == FAIL and "error" not in t.user_attrs else t.state for t in trials]
    return Count(*(states.count(state) for state in (COMPLETE, PRUNED, FAIL, RUNNING, WAITING)))
