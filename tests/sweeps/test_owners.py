"""Whose trial is it: processes that stop, die or stay as zombies, clocks that jump, and journals cut in a line."""

import os
import resource
import signal
import subprocess
import time
from contextlib import suppress
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from hybrid_seq_gnn.app.sweep import worker
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import locked
from hybrid_seq_gnn.study import queue
from hybrid_seq_gnn.study.storage import journal
from tests.sweeps.common import LONG, standing, trials, wait_for


@pytest.fixture
def process():
    running = subprocess.Popen(["sleep", "60"])
    yield running
    running.kill()
    running.wait()


def test_a_process_that_is_stopped_lives_and_a_zombie_does_not(process):
    born = queue.start_of(process.pid)
    process.send_signal(signal.SIGSTOP)
    assert queue.start_of(process.pid) == born is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet waited for
    assert queue.start_of(process.pid) is None


def trial_of(machine, alive, pid=1, start=0.0):
    study = optuna.create_study()
    taken = study.ask()
    taken.set_user_attr("owner", {"machine": machine, "pid": pid, "start": start})
    taken.set_user_attr("alive", alive)
    return study.trials[0]


def test_another_process_with_the_same_number_is_not_the_owner(process):
    assert not queue.is_lost(trial_of(queue.machine(), 0.0, process.pid, queue.start_of(process.pid)), 10)
    assert queue.is_lost(trial_of(queue.machine(), 0.0, process.pid, 1.0), 10)


@pytest.mark.parametrize("skew", [-1e6, 0.0, 1e6])
def test_what_another_clock_says_decides_nothing(skew, monkeypatch):
    now = 0.0
    monkeypatch.setattr(queue.time, "monotonic", lambda: now)
    trial = trial_of("far away", time.time() + skew)
    assert not queue.is_lost(trial, 60)
    now = 59.0
    assert not queue.is_lost(trial, 60)
    trial.user_attrs["alive"] += 1  # a sign
    now = 100.0
    assert not queue.is_lost(trial, 60)
    now = 161.0
    assert queue.is_lost(trial, 60)


def test_a_storage_that_fails_once_is_told_of_life_again(caplog):
    class Flaky(optuna.trial.Trial):
        def __init__(self):
            self.told = 0

        def set_user_attr(self, name, value):
            self.told += 1
            if self.told == 1:
                raise OSError("no route to host")

    trial = Flaky()
    with queue.signing(trial, grace=0.04):
        deadline = time.monotonic() + 10
        while trial.told < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert trial.told >= 3
    assert "no route to host" in caplog.text


def test_an_owner_that_was_robbed_notices_and_goes_on(start, tmp_path):
    running = start(*LONG, "fusion.alpha=0.3")
    wait_for(tmp_path / "sweep" / "0" / "metrics.jsonl", running)
    stop_outside_the_journal(running, tmp_path / "sweep" / "study.journal.flock")
    study = optuna.load_study(storage=journal(tmp_path / "sweep" / "study.journal"), study_name=None)
    (mine,) = study.get_trials(states=(TrialState.RUNNING,))
    study.tell(mine.number, state=TrialState.FAIL)
    study.enqueue_trial({"fusion.alpha": 0.3}, user_attrs={"slot": 0})
    running.send(signal.SIGCONT)
    done = running.end()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was taken over by another process" in done.stdout
    assert standing(tmp_path / "sweep") == ["FAIL", "COMPLETE"]


def test_a_sweep_that_is_stopped_for_longer_than_the_grace_keeps_its_trial(start, tmp_path, monkeypatch):
    arguments = [*LONG, "fusion.alpha=0.3,0.7", "study.grace=10"]
    first = start(*arguments)
    wait_for(tmp_path / "sweep" / "0" / "metrics.jsonl", first)
    stop_outside_the_journal(first, tmp_path / "sweep" / "study.journal.flock")
    monkeypatch.setattr(queue, "time", SimpleNamespace(time=time.time, monotonic=lambda: 100 * time.monotonic()))
    monkeypatch.setattr(worker, "LOOK_AGAIN", 0.1)
    second = start(*arguments)
    while "waiting for what runs elsewhere" not in second.said()[0]:
        assert second.poll() is None, second.said()
        time.sleep(0.01)
    time.sleep(0.4)  # 40 seconds of its clock
    first.send(signal.SIGCONT)
    for done in (first.end(), second.end()):
        assert done.returncode == 0, done.stdout + done.stderr
    assert standing(tmp_path / "sweep") == ["COMPLETE", "COMPLETE"]
    assert len({trial.user_attrs["owner"]["pid"] for trial in trials(tmp_path / "sweep")}) == 2


def stop_outside_the_journal(running, lock):
    """Suspend a process at a moment at which it does not keep others from the journal."""
    while True:
        running.send(signal.SIGSTOP)
        with suppress(BlockingIOError), locked(lock, wait=False):
            return
        running.send(signal.SIGCONT)
        time.sleep(0.01)


def test_a_line_that_was_cut_by_a_full_disk_is_no_trouble_for_those_at_work(tmp_path):
    path = tmp_path / "study.journal"
    at_work = optuna.create_study(storage=journal(path), study_name="x")
    at_work.enqueue_trial({"a": 1})
    child = os.fork()
    if child == 0:  # its disk is full in the middle of a line
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
        try:
            at_work.enqueue_trial({"a": 2})
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert not path.read_bytes().endswith(b"\n")
    at_work.enqueue_trial({"a": 3})
    again = optuna.load_study(storage=journal(path), study_name="x")
    assert [trial.system_attrs["fixed_params"]["a"] for trial in again.trials] == [1, 3]


@pytest.mark.parametrize("line", ["[]", "7", '{"op_code": 99}', '{"op_code": 4, "worker_id": "x", "trial_id": 9}'])
def test_a_line_that_is_none_of_optuna_is_named_with_its_file(line, tmp_path):
    path = tmp_path / "study.journal"
    optuna.create_study(storage=journal(path), study_name="x")
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    with pytest.raises(UserError, match=r"study\.journal is no journal of Optuna"):
        journal(path)


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "study.journal"
    optuna.create_study(storage=journal(path), study_name="x").enqueue_trial({"a": 1})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"op_code": 4, "wor\n' + b"".join(lines[1:]))
    with pytest.raises(ValueError, match=r"study\.journal, line 2 is damaged"):
        journal(path)
