"""Sweeps on the engines that start their workers, and on a database that machines without a common disk share."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pandas as pd
import psutil
import pytest
from optuna.trial import TrialState

from hybrid_seq_gnn.app.sweep import launchers
from tests.commands import SMALL, command, fail, process, succeed
from tests.sweeps.common import trials
from tests.sweeps.postgres import postgres_server

GRID = [*SMALL, "+experiment=study/embeddings", "data.cache=false", "training.patience=0", "-m"]
SLOW = ["training.epochs=40", "data.users=200"]  # long enough to be killed in the middle

TWO_NODES = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""


def ends_well(running):
    """What a command said, which must end with exit code 0."""
    done = running.end()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def wait_for(happened, running):
    """Until something has happened, while a process runs."""
    deadline = time.monotonic() + 100
    while not happened():
        assert time.monotonic() < deadline
        assert running.poll() is None, "ended too early"
        time.sleep(0.05)


def complete(found):
    """Grid points of the complete trials, in order: a point that ran twice is there twice."""
    return sorted(trial.params["fusion.alpha"] for trial in found if trial.value is not None)


def owners(found):
    return {trial.user_attrs["owner"]["pid"] for trial in found if trial.value is not None}


# --- launchers


def test_submitit_starts_workers_that_share_a_sweep_and_we_say_how_far_they_are(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs hybrid_seq_gnn[slurm]")
    given = [*GRID, "hydra.sweep.dir=sweep", "hydra/launcher=submitit_local", "fusion.alpha=0.2,0.3,0.4,null"]
    done = command(*given, "study.workers=2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[4/4]" in done.stdout
    assert "an alpha of null" in done.stdout
    assert complete(trials(tmp_path / "sweep")) == [0.2, 0.3, 0.4]
    assert len(owners(trials(tmp_path / "sweep"))) == 2
    assert "say with study.workers=" in command(*given, cwd=tmp_path).stderr


def test_ray_serves_a_sweep_on_two_nodes(tmp_path, monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs hybrid_seq_gnn[ray]")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    up = subprocess.Popen([sys.executable, "-c", TWO_NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = up.stdout.readline().strip()
        given = [*GRID, "hydra.sweep.dir=sweep", "fusion.alpha=0.2,0.3,0.4,0.5,0.6,null", "study.workers=2"]
        engine = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
        done = process(*given, *engine, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        up.communicate("\n", timeout=60)
    assert "[6/6]" in done.stdout
    assert "_run_job" not in done.stdout  # the workers' own words are in Ray's logs
    assert complete(trials(tmp_path / "sweep")) == [0.2, 0.3, 0.4, 0.5, 0.6]
    assert len(owners(trials(tmp_path / "sweep"))) == 2


def test_a_sweep_is_complete_though_a_worker_is_killed(start, tmp_path):
    given = [*GRID, *SLOW, "hydra.sweep.dir=sweep", "fusion.alpha=0.3,0.7"]
    running = start(*given, "study.workers=2", cwd=tmp_path)
    wait_for((tmp_path / "sweep" / "1" / "checkpoint.pt").exists, running)
    (victim,) = {t.user_attrs["owner"]["pid"] for t in trials(tmp_path / "sweep") if t.user_attrs["slot"] == 1}
    assert victim != running.pid
    os.kill(victim, signal.SIGKILL)
    said = ends_well(running)
    assert "a worker ended early" in said
    assert complete(trials(tmp_path / "sweep")) == [0.3, 0.7]
    assert {path.parent.name for path in (tmp_path / "sweep").glob("*/results.json")} == {"0", "1"}
    assert "resumed after epoch" in (tmp_path / "sweep" / "1" / "train.log").read_text()


def test_a_sweep_has_a_worker_a_core_by_default_and_each_point_is_run_once(tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "most_workers", lambda threads: 3)
    done = succeed(*GRID, "hydra.sweep.dir=sweep", "fusion.alpha=0.2,0.3,0.4,0.5,0.6,0.7,null", cwd=tmp_path)
    assert "3 workers side by side" in done.stdout
    assert "[7/7]" in done.stdout
    assert "  loss " not in done.stdout  # runs that share a console are quiet
    assert complete(trials(tmp_path / "sweep")) == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert len(owners(trials(tmp_path / "sweep"))) == 3


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent_and_the_same_command_goes_on(number, launcher, start, tmp_path):
    given = [*GRID, *SLOW, "hydra.sweep.dir=sweep", "fusion.alpha=0.3,0.7", "study.workers=2"]
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs hybrid_seq_gnn[parallel]")
        given.append("hydra/launcher=joblib")
    running = start(*given, cwd=tmp_path)
    wait_for((tmp_path / "sweep" / "1" / "checkpoint.pt").exists, running)
    pids = [t.user_attrs["owner"]["pid"] for t in trials(tmp_path / "sweep")]
    running.send(number)
    assert running.end().returncode in (1, -signal.SIGKILL)
    while any(map(psutil.pid_exists, pids)):
        time.sleep(0.05)
    assert "0 done, 2 to run" in succeed(*given, cwd=tmp_path).stdout
    assert complete(trials(tmp_path / "sweep")) == [0.3, 0.7]
    assert "resumed after epoch" in (tmp_path / "sweep" / "1" / "train.log").read_text()


def test_too_many_failures_in_workers_end_the_sweep(tmp_path):
    given = [*GRID, "fusion.alpha=null", "seed=0,1,2,3", "study.workers=2", "study.max_failures=1"]
    assert "more than study.max_failures=1" in fail(*given, cwd=tmp_path)


# --- a database for machines that share no disk


def of_database(url):
    """The trials of the study in a database, whose connection is closed again."""
    storage = optuna.storages.RDBStorage(url)
    found = optuna.load_study(study_name="shared", storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return found


def two_hosts(folder):
    """Two working folders, each of which would be the disk of another machine."""
    hosts = folder / "first", folder / "second"
    for host in hosts:
        host.mkdir()
    return hosts


def test_two_hosts_without_a_shared_disk_run_a_grid_once(start, tmp_path):
    with postgres_server() as url:
        alphas = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
        given = [*GRID, "training.epochs=2", f"fusion.alpha={','.join(map(str, alphas))}", "study.name=shared"]
        given.append("study.workers=1")
        hosts = two_hosts(tmp_path)
        both = [start(*given, f"study.storage={url}", cwd=host) for host in hosts]
        said = [ends_well(running) for running in both]
        found = of_database(url)
    assert complete(found) == alphas
    assert owners(found) == {running.pid for running in both}
    assert all("6 done, 0 to run" in words or "[6/6]" in words for words in said) or "[6/6]" in "".join(said)
    made = [sorted(path.parent.name for path in host.rglob("results.json")) for host in hosts]
    assert sorted(made[0] + made[1]) == list("012345")
    for host in hosts:  # each leaderboard has what the other ran, too
        board = pd.read_csv(host / "outputs" / "studies" / "shared" / "leaderboard.csv")
        assert len(board) == len(alphas)


def test_what_a_killed_host_ran_is_taken_up_by_the_other(start, tmp_path):
    with postgres_server() as url:
        alphas = [0.3, 0.4, 0.5]
        given = [*GRID, *SLOW, "fusion.alpha=0.3,0.4,0.5", "study.name=shared", f"study.storage={url}"]
        given.append("study.workers=1")
        hosts = two_hosts(tmp_path)
        killed, survivor = [start(*given, cwd=host) for host in hosts]
        for host, running in zip(hosts, (killed, survivor), strict=True):
            wait_for(lambda host=host: any(host.rglob("metrics.jsonl")), running)
        wait_for(lambda: stopped_in_a_trial(killed, url), killed)
        killed.kill()
        ends_well(survivor)
        found = of_database(url)
    assert complete(found) == alphas
    (lost,) = [trial for trial in found if "lost" in trial.user_attrs]
    assert lost.user_attrs["owner"]["pid"] == killed.pid
    (again,) = [trial for trial in found if trial.value is not None and trial.params == lost.params]
    assert again.user_attrs["owner"]["pid"] == survivor.pid


def stopped_in_a_trial(running, url):
    """Hold a process; whether that caught it in the middle of a trial. If not, it goes on."""
    running.send(signal.SIGSTOP)
    if any(t.state == TrialState.RUNNING and t.user_attrs["owner"]["pid"] == running.pid for t in of_database(url)):
        return True
    running.send(signal.SIGCONT)
    return False
