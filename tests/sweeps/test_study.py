"""A sweep as a study: its name, its repeats and objectives, its sampler and pruner."""

import fcntl
import json
import math
import multiprocessing
import pickle
import re
from types import SimpleNamespace
from unittest.mock import Mock

import optuna
import pandas as pd
import pytest
from optuna.samplers import CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.app.sweep.space import parse
from hybrid_seq_gnn.app.sweep.worker import Worker
from hybrid_seq_gnn.files import locked
from hybrid_seq_gnn.study.queue import Slot
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.storage import JournalLock
from tests.commands import SMALL, fail, results, succeed
from tests.sweeps.common import ONE, TINY, finished, load, standing, trials


def test_a_study_is_named_by_what_it_is_and_the_same_command_continues_it(tmp_path):
    succeed(*TINY, "fusion.alpha=0.3,0.7", "-m", cwd=tmp_path)
    (folder,) = (tmp_path / "outputs" / "studies").iterdir()
    assert folder.name.startswith("alpha-")
    assert "2 done, 0 to run" in succeed(*TINY, "-m", "fusion.alpha=0.3,0.7", cwd=tmp_path).stdout
    succeed(*TINY, "fusion.alpha=0.3,0.7", "data.seed=1", "-m", cwd=tmp_path)
    assert len(list((tmp_path / "outputs" / "studies").iterdir())) == 2
    assert json.loads((folder / "study.json").read_text())["space"] == {"fusion.alpha": "0.3,0.7"}


def test_a_named_study_is_refused_where_space_or_data_changed(tmp_path):
    given = [*TINY, "study.name=mine", "-m"]
    succeed(*given, "fusion.alpha=0.3,0.7", cwd=tmp_path)
    assert (tmp_path / "outputs" / "studies" / "mine" / "leaderboard.md").exists()
    assert "fusion.alpha was 0.3,0.7 and is 0.3" in fail(*given, "fusion.alpha=0.3", cwd=tmp_path)
    message = fail(*given, "fusion.alpha=0.3,0.7", "data.users=90", cwd=tmp_path)
    assert "data was" in message
    assert "study.fresh=true" in message
    assert len(trials_of(tmp_path / "outputs" / "studies" / "mine", "mine")) == 2


FEW = ["data=synthetic", "data.users=80", "data.items=40", "hydra.sweep.dir=sx", "-m"]
OTHERS = ["model=ease,item_knn,popularity"]


@pytest.mark.parametrize("workers", ["study.workers=1", "study.workers=2"])
def test_a_second_study_in_the_folder_of_another_is_refused(workers, tmp_path):
    given = [*FEW, "model=popularity,markov", workers]
    succeed(*given, cwd=tmp_path)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "sx").iterdir() if path.is_file()}
    message = fail(*FEW, *OTHERS, workers, "study.name=b", cwd=tmp_path)
    assert "sx holds the study sweep, and this is the study b" in message
    assert "hydra.sweep.dir" in message
    assert {path.name: path.read_bytes() for path in (tmp_path / "sx").iterdir() if path.is_file()} == kept
    assert "2 done, 0 to run" in succeed(*given, cwd=tmp_path).stdout


def test_a_study_of_the_same_name_in_another_storage_is_refused_if_it_is_another_one(tmp_path):
    succeed(*FEW, "model=popularity,markov", "study.name=b", cwd=tmp_path)
    stored = ["study.name=b", "study.storage=sqlite:///s.db"]
    message = fail(*FEW, *OTHERS, *stored, "study.fresh=true", cwd=tmp_path)
    assert "sx holds the study b of study.storage=null" in message
    succeed(*FEW, "model=popularity,markov", *stored, cwd=tmp_path)


def test_a_failed_run_is_shown_as_failed_though_its_folder_holds_results_of_somebody_else(tmp_path):
    succeed(*FEW, "model=popularity,markov", cwd=tmp_path)
    for name in ("study.json", "study.journal"):
        (tmp_path / "sx" / name).unlink()
    done = succeed(*FEW, *OTHERS, cwd=tmp_path)
    assert "holds a finished run with another configuration" in done.stdout
    board = pd.read_csv(tmp_path / "sx" / "leaderboard.csv")
    assert dict(zip(board["model"], board["status"], strict=True)) == {
        "popularity": "done",
        "ease": "failed",
        "item_knn": "failed",
    }


def test_of_a_failed_trial_the_seeds_before_the_failure_keep_their_results(tmp_path):
    search = [*ONE, "fusion.alpha=interval(0,1)", "study.n_trials=1"]
    succeed(*search, "seed=3,4", cwd=tmp_path)
    (folder,) = tmp_path.glob("sweep/0_seed4")
    for path in (*folder.parent.glob("study.j*"), *folder.parent.glob("0_seed3/*")):
        path.unlink()
    fail(*search, "study.seed=1", "seed=3,4", cwd=tmp_path)
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert dict(zip(board["folder"], board["status"], strict=True)) == {"0_seed3": "done", "0_seed4": "failed"}


def test_settings_of_a_search_that_are_typed_for_a_grid_are_said_to_have_no_effect(tmp_path):
    done = succeed(*FEW, "model=popularity,markov", "study.n_trials=1", "study.workers=2", cwd=tmp_path)
    assert done.stdout.count("has no effect") == 1
    assert "study.n_trials=1 has no effect on a grid of 2 points; all are run." in done.stdout
    more = ["study.sampler=random", "study.seed=3", "study.seeds=2", "study.dry_run=true"]
    said = succeed(*FEW, "model=popularity,markov", *more, cwd=tmp_path).stdout
    assert "study.sampler=random has no effect on a grid of 4 points" in said
    assert "study.seed=3 has no effect on a grid of 4 points" in said
    assert said.count("has no effect") == 2
    search = ["fusion.alpha=interval(0,1)", "study.n_trials=1", *more[:2], "study.dry_run=true"]
    assert "has no effect" not in succeed(*FEW, *search, cwd=tmp_path).stdout


def test_runs_of_different_data_are_not_ranked_against_each_other(tmp_path):
    different = "These runs have different data, each with its own ranks; metrics of different data cannot be compared."
    done = succeed(*FEW, "model=popularity,markov", "data.seed=0,1", cwd=tmp_path)
    assert different in done.stdout and "; best so far" not in done.stdout
    assert "Best by" not in done.stdout
    assert different in (tmp_path / "sx" / "leaderboard.md").read_text()
    board = pd.read_csv(tmp_path / "sx" / "leaderboard.csv")
    assert board["rank"].tolist() == [1, 2, 1, 2]
    assert board["data.seed"].nunique() == board["split"].nunique() == 2
    assert board.groupby("split", sort=False)["data.seed"].nunique().tolist() == [1, 1]
    hybrids = [*SMALL, "training.epochs=1", "data.users=80,90", "-m"]
    done = succeed(*hybrids, cwd=tmp_path)
    assert different in done.stdout and "Against the encoder alone" in done.stdout
    assert "Best" not in done.stdout and "; best so far" not in done.stdout
    done = succeed(*FEW[:-2], "model=popularity,markov", "-m", cwd=tmp_path)
    assert different not in done.stdout
    assert "; best so far" in done.stdout and "Best by validation NDCG@10:" in done.stdout


def trials_of(folder, name):
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name=name, storage=storage).trials


@pytest.mark.parametrize("storage", [[], ["study.storage=sqlite:///s.db"]])
def test_fresh_puts_a_study_aside_and_loses_nothing(storage, tmp_path):
    given = [*TINY, *storage, "study.name=mine", "-m"]
    succeed(*given, "fusion.alpha=0.3", "seed=0,1", cwd=tmp_path)
    done = succeed(*given, "fusion.alpha=0.5", "seed=0,1", "study.fresh=true", cwd=tmp_path)
    assert "0 done, 2 to run" in done.stdout
    (old,) = (tmp_path / "outputs" / "studies").glob("mine.before-*")
    assert {config["fusion"]["alpha"] for config in finished(old).values()} == {0.3}
    assert {config["fusion"]["alpha"] for config in finished(old.with_name("mine")).values()} == {0.5}


def test_trials_of_another_version_are_said(two_done, tmp_path):
    journal = tmp_path / "sweep" / "study.journal"
    journal.write_text(journal.read_text().replace('"version":"0.1.0"', '"version":"0.0.9"'))
    done = succeed(*two_done, cwd=tmp_path)
    assert "2 of the finished trials were made by version 0.0.9" in done.stdout


def test_seeds_are_repeats_and_the_leaderboard_shows_their_mean_and_deviation(tmp_path):
    done = succeed(*ONE, "fusion.alpha=0.3,0.7", "study.seeds=2", "seed=5", cwd=tmp_path)
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert sorted(zip(board["fusion.alpha"], board["seed"], strict=True)) == [(0.3, 5), (0.3, 6), (0.7, 5), (0.7, 6)]
    values = board[board["fusion.alpha"] == 0.3]["validation NDCG@10"]
    assert f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" in done.stdout


def test_a_search_with_repeats_optimises_the_mean_over_seeds(tmp_path):
    succeed(*ONE, "fusion.alpha=interval(0,1)", "study.n_trials=2", "seed=0,1", cwd=tmp_path)
    found = trials(tmp_path / "sweep")
    assert len(found) == 2
    for trial in found:
        runs = [results(tmp_path / "sweep" / name) for name in trial.user_attrs["folders"]]
        assert [run["seed"] for run in runs] == [0, 1]
        assert {run["config"]["fusion"]["alpha"] for run in runs} == {trial.params["fusion.alpha"]}
        assert trial.value == pytest.approx(sum(run["validation_metrics"]["NDCG@10"] for run in runs) / 2)


def test_an_objective_is_any_validation_metric_and_never_one_of_the_test_split(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,0.7", "study.objective=HR@20/short", cwd=tmp_path)
    both = trials(tmp_path / "sweep")
    assert len(both) == 2
    for trial in both:
        found = results(tmp_path / "sweep" / trial.user_attrs["folders"][0])
        assert trial.value == found["validation_grouped_metrics"]["short"]["HR@20"]
        assert trial.value != found["grouped_metrics"]["short"]["HR@20"]
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert board["validation HR@20/short"].is_monotonic_decreasing


def test_several_objectives_give_a_pareto_front(tmp_path):
    succeed(*ONE, "fusion.alpha=0.1,0.5,0.9", "study.objective=[NDCG@10,HR@10/medium]", cwd=tmp_path)
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    points = board[["validation NDCG@10", "validation HR@10/medium"]].to_numpy()
    for mine, mark in zip(points, board["front"], strict=True):
        beaten = any((other >= mine).all() and (other > mine).any() for other in points)
        assert mark == ("no" if beaten else "yes")
    assert len(load(tmp_path / "sweep").best_trials) == (board["front"] == "yes").sum()


def test_an_objective_of_an_empty_group_is_a_failure_and_no_number(tmp_path):
    message = fail(*ONE, "fusion.alpha=0.3,0.7", "study.objective=NDCG@10/long", cwd=tmp_path)
    assert "no user of the validation split is in this group" in message


@pytest.mark.parametrize(
    ("name", "of_optuna"),
    [
        ("tpe", TPESampler),
        ("random", RandomSampler),
        ("gp", GPSampler),
        ("cmaes", CmaEsSampler),
        ("nsga2", NSGAIISampler),
    ],
)
def test_every_sampler_searches(name, of_optuna, tmp_path, monkeypatch):
    space = parse(["fusion.alpha=interval(0.0,1.0)", "training.lr=tag(log,interval(1e-4,1e-2))"], {})
    plan = Mock(
        spec=Plan,
        space=space,
        slots=[Slot({}, (0,))] * 12,  # of which Optuna draws the first ten at random for some of its samplers
        settings=StudySettings(sampler=name),
        conditions=SimpleNamespace(beside=lambda params: SimpleNamespace(matter=space.distributions)),
        folder=tmp_path,
    )
    monkeypatch.setattr(Worker, "values", lambda self, *taken: [score(self.suggest(*taken))])
    study = optuna.create_study(direction="maximize")
    Worker(plan, study, quiet=True).work()
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 12
    assert len({trial.params["fusion.alpha"] for trial in study.trials}) == 12
    assert type(study.sampler) is of_optuna


def score(params):
    """What stands for a run: best at alpha 0.3, and at a learning rate of 0.001."""
    return -((params["fusion.alpha"] - 0.3) ** 2) - (math.log10(params["training.lr"]) + 3) ** 2


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruned_run_is_pruned_in_optuna_and_in_the_leaderboard(pruner, tmp_path):
    arguments = ["training.epochs=8", "training.patience=0", "training.lr=0.01,0.005,0.00001,0.00002,0.00003"]
    pruning = [f"study.pruner={pruner}", "study.pruner_startup=1", "study.pruner_warmup=1"]
    done = succeed(*ONE, *arguments, *pruning, cwd=tmp_path)
    states = standing(tmp_path / "sweep")
    assert "PRUNED" in states
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert (board["status"] == "pruned").sum() == states.count("PRUNED")
    assert "Pruned:" in done.stdout
    again = succeed(*ONE, *arguments, *pruning, cwd=tmp_path)
    assert f"{states.count('COMPLETE')} done, {states.count('PRUNED')} pruned, 0 to run" in again.stdout


def test_a_grid_without_its_pruner_is_another_study_and_one_that_never_had_one_is_not(tmp_path):
    given = [*ONE, "training.lr=0.01,0.00001"]
    pruning = ["study.pruner=median", "study.pruner_startup=0", "study.pruner_warmup=0"]
    succeed(*given, *pruning, cwd=tmp_path)
    assert "study.pruner was median" in fail(*given, cwd=tmp_path)
    assert "study.pruner was median and is hyperband" in fail(*given, "study.pruner=hyperband", cwd=tmp_path)
    elsewhere = [line for line in given if not line.startswith("hydra.sweep.dir")] + ["study.dry_run=true"]
    plain, none, median = (
        re.search(r"in (\S+);", succeed(*elsewhere, *line, cwd=tmp_path).stdout)[1]
        for line in ([], ["study.pruner=none"], pruning)
    )
    assert plain == none != median


def test_a_lock_that_ctrl_c_left_held_stops_others_but_not_this_process(tmp_path):
    ours = JournalLock(tmp_path / "study.journal")
    assert ours.acquire() and ours.acquire()  # the first one was not released
    with pytest.raises(BlockingIOError), locked(ours.path, wait=False):
        pass
    ours.release()
    with locked(ours.path, wait=False):
        pass
    assert pickle.loads(pickle.dumps(ours)).acquire()


def test_a_lock_is_free_again_after_an_error_on_a_full_disk(tmp_path, monkeypatch):
    def full(path):
        raise OSError("full")

    ours = JournalLock(tmp_path / "study.journal")
    monkeypatch.setattr("hybrid_seq_gnn.study.storage.cut_half_line", full)
    with pytest.raises(OSError, match="full"):
        ours.acquire()
    with locked(ours.path, wait=False):
        pass


def test_a_fork_does_not_share_the_lock_of_its_parent(tmp_path):
    ours, fork = JournalLock(tmp_path / "study.journal"), multiprocessing.get_context("fork")
    ours.acquire()
    ours.release()
    held, done = fork.Event(), fork.Event()
    child = fork.Process(target=lambda: (ours.acquire(), held.set(), done.wait(60)))
    child.start()
    assert held.wait(60)
    with pytest.raises(BlockingIOError):
        fcntl.flock(ours.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    done.set()
    child.join()
