"""Several processes at one study, and processes that die."""

import multiprocessing
import time
from types import SimpleNamespace
from unittest.mock import Mock

import optuna
import pytest
from optuna.trial import TrialState

from hybrid_seq_gnn.app.sweep import worker
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.study import queue
from hybrid_seq_gnn.study.queue import Slot, fill, is_lost
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.storage import storage_of
from tests.commands import command, succeed
from tests.sweeps.common import LONG, finished, load, standing, trials, wait_for


def test_two_processes_started_together_run_a_grid_once(start, tmp_path):
    arguments = [*LONG, "training.epochs=2", "fusion.alpha=0.1,0.2,0.3,0.4", "seed=0,1"]
    both = [start(*arguments), start(*arguments)]
    for running in both:
        done = running.end()
        assert done.returncode == 0, done.stdout + done.stderr
    states = standing(tmp_path / "sweep")
    assert states == ["COMPLETE"] * 8
    assert len({trial.user_attrs["owner"]["pid"] for trial in trials(tmp_path / "sweep") if trial.value}) == 2
    assert len(finished(tmp_path / "sweep")) == 8


@pytest.mark.parametrize("url", ["sqlite:///{}/s.db", "sqlite+pysqlite:///{}/s.db", None])
def test_no_trial_is_taken_by_two_workers(url, tmp_path, monkeypatch):
    slots = [Slot({"fusion.alpha": k / 40}, (0,)) for k in range(40)]
    settings = StudySettings(storage=url and url.format(tmp_path))
    fill(optuna.create_study(study_name="s", storage=storage_of(tmp_path, settings.storage)), slots, 120.0)
    fork = multiprocessing.get_context("fork")
    together, taken = fork.Barrier(2), fork.SimpleQueue()
    monkeypatch.setattr(
        worker.Worker, "run", lambda self, trial: (taken.put(trial.number), self.study.tell(trial, 0.0))
    )

    def serve():
        study = optuna.load_study(study_name="s", storage=storage_of(tmp_path, settings.storage))
        plan = Mock(spec=Plan, slots=slots, settings=settings, folder=tmp_path)
        together.wait(60)
        worker.Worker(plan, study, quiet=True).work()

    both = [fork.Process(target=serve) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
        assert each.exitcode == 0
    found = []
    while not taken.empty():
        found.append(taken.get())
    assert sorted(found) == list(range(40))


def test_what_a_killed_process_ran_is_taken_up_by_another_at_work(start, tmp_path):
    arguments = [*LONG, "training.epochs=24", "fusion.alpha=0.3,0.7"]
    first = start(*arguments)
    wait_for(tmp_path / "sweep" / "0" / "metrics.jsonl", first)
    second = start(*arguments)
    wait_for(tmp_path / "sweep" / "1" / "metrics.jsonl", second)
    first.kill()
    done = second.end()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(finished(tmp_path / "sweep")) == 2
    assert "resumed after epoch" in (tmp_path / "sweep" / "0" / "train.log").read_text()


def test_a_run_of_a_silent_machine_is_taken_up_and_one_of_a_speaking_machine_is_left_alone(
    one_done_one_failed, tmp_path, monkeypatch
):
    study = load(tmp_path / "sweep")
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            continue
        study.enqueue_trial({"fusion.alpha": "null"}, user_attrs={"slot": trial.user_attrs["slot"]})
    taken = study.ask()
    taken.set_user_attr("owner", {"machine": "far away", "pid": 1, "start": 0.0})
    fast = SimpleNamespace(time=time.time, monotonic=lambda: 20 * time.monotonic())
    monkeypatch.setattr(queue, "time", fast)
    monkeypatch.setattr(worker, "LOOK_AGAIN", 0.1)
    running = command(*one_done_one_failed, "study.grace=10", cwd=tmp_path)
    assert "waiting for what runs elsewhere: process 1 on far" in running.stdout
    assert "1 failed" in running.stdout  # taken up when the machine was silent for long, and it failed as it must
    assert trials(tmp_path / "sweep")[taken.number].user_attrs["lost"] == "process 1 on far"


@pytest.mark.usefixtures("one_done_one_failed")
def test_a_run_whose_process_dies_again_and_again_has_failed(tmp_path):
    study = load(tmp_path / "sweep")
    for _ in range(3):
        study.enqueue_trial({"fusion.alpha": "null"}, user_attrs={"slot": 1})
        taken = study.ask()
        taken.set_user_attr("owner", {"machine": "far away", "pid": 1, "start": 0.0})
        taken.set_user_attr("lost", "process 1 on far")
        if _ < 2:
            study.tell(taken, state=TrialState.FAIL)
    study._storage.set_trial_user_attr(taken._trial_id, "alive", 0.0)
    frozen = study.trials[taken.number]
    assert not is_lost(frozen, grace=3600.0)
    assert not fill(study, [Slot({}, (0,))] * 2, grace=0.0)
    assert "died" in study.trials[taken.number].user_attrs["error"]


def test_a_failed_run_is_left_alone_where_that_is_asked_for(one_done_one_failed, tmp_path):
    again = succeed(*one_done_one_failed, "study.retry_failed=false", cwd=tmp_path)
    assert "1 done, 1 failed, 0 to run" in again.stdout
    assert "an alpha of null" in again.stdout


def test_joblib_workers_share_a_sweep(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs hybrid_seq_gnn[parallel]")
    arguments = [*LONG, "training.epochs=2", "fusion.alpha=0.3,0.4,0.5,null"]
    arguments += ["hydra/launcher=joblib", "study.workers=2"]
    done = succeed(*arguments, cwd=tmp_path)
    assert "[4/4]" in done.stdout
    assert "  loss " not in done.stdout  # runs that share a console are quiet
    assert len(finished(tmp_path / "sweep")) == 3
    good = [trial for trial in trials(tmp_path / "sweep") if trial.state == TrialState.COMPLETE]
    assert len({trial.user_attrs["owner"]["pid"] for trial in good}) == 2
    assert "3 done, 1 failed, 0 to run" in succeed(*arguments, "study.retry_failed=false", cwd=tmp_path).stdout
