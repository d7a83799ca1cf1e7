"""Sweeps through the real command line, on a world of a few users."""

import json
import os
import re
import signal

import pandas as pd
import pytest

from tests.commands import SMALL, command, fail, results, succeed
from tests.sweeps.common import ONE, STUDY, alphas, load, standing, trials, wait_for


def test_a_grid_runs_each_point_once_in_order_whatever_n_trials_says(tmp_path):
    succeed(*ONE, "fusion.alpha=0.7,0.3,0.7", "seed=1,2", "study.n_trials=1", cwd=tmp_path)
    found = {
        name: (
            results(tmp_path / "sweep" / name)["config"]["fusion"]["alpha"],
            results(tmp_path / "sweep" / name)["seed"],
        )
        for name in alphas(tmp_path)
    }
    assert found == {"0": (0.7, 1), "1": (0.7, 2), "2": (0.3, 1), "3": (0.3, 2)}


def test_a_grid_may_choose_among_options_of_a_group(tmp_path):
    succeed(*ONE, "model=sasrec,hybrid", cwd=tmp_path)
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert sorted(board["model"]) == ["hybrid", "sasrec"]


def test_a_range_is_a_grid_too(tmp_path):
    said = succeed(*ONE, "gnn.num_layers=range(1,4)", "study.dry_run=true", cwd=tmp_path).stdout
    assert "3 runs" in said
    assert re.findall(r"^  (\d): gnn.num_layers=(\d)$", said, re.MULTILINE) == [("0", "1"), ("1", "2"), ("2", "3")]


def test_no_choice_at_all_is_one_run(tmp_path):
    succeed(*ONE, cwd=tmp_path)
    assert list(alphas(tmp_path)) == ["0"]


def test_an_interval_is_searched_with_n_trials(tmp_path):
    succeed(*ONE, "fusion.alpha=interval(0.0,1.0)", "study.n_trials=3", cwd=tmp_path)
    found = alphas(tmp_path)
    assert set(found) == {"0", "1", "2"}
    assert len(set(found.values())) == 3
    more = succeed(*ONE, "fusion.alpha=interval(0.0,1.0)", "study.n_trials=4", cwd=tmp_path)
    assert "3 done, 1 to run" in more.stdout
    assert len(set(alphas(tmp_path).values())) == 4


def test_a_finished_sweep_is_not_run_again(two_done, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("sweep/*/results.json")}
    done = succeed(*two_done, cwd=tmp_path)
    assert "2 done, 0 to run" in done.stdout
    assert "NDCG short" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("sweep/*/results.json")} == before


def test_another_sweep_in_the_same_folder_is_refused(two_done, tmp_path):
    assert "another folder" in fail(*ONE, "fusion.alpha=0.3,0.8", cwd=tmp_path)
    message = fail(*two_done, "seed=5", cwd=tmp_path)
    assert "another folder" in message
    assert "seed was 0 and is 5" in message


@pytest.mark.usefixtures("two_done")
def test_the_same_sweep_in_other_words_is_continued(tmp_path):
    for same in (["debug=true"], ["seed=0"], ["fusion=fixed"], ["fusion.alpha=0.9"]):
        assert "2 done, 0 to run" in succeed(*ONE, *same, "fusion.alpha=0.3,0.7", cwd=tmp_path).stdout


def test_a_setting_given_twice_has_its_last_value(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,0.7", "fusion.alpha=0.5", cwd=tmp_path)
    assert alphas(tmp_path) == {"0": 0.5}


def test_a_killed_sweep_goes_on_where_it_was(start, tmp_path):
    arguments = [
        *STUDY,
        "data.users=400",
        "training.epochs=3",
        "hydra.sweep.dir=sweep",
        "fusion.alpha=0.3,0.5,0.7",
        "-m",
    ]
    running = start(*arguments)
    wait_for(tmp_path / "sweep" / "1" / "metrics.jsonl", running)
    running.kill()
    first = tmp_path / "sweep" / "0" / "results.json"
    before = first.stat().st_mtime_ns
    done = succeed(*arguments, cwd=tmp_path)
    assert "1 done, 2 to run" in done.stdout
    assert "resumed after epoch" in (tmp_path / "sweep" / "1" / "train.log").read_text()
    assert alphas(tmp_path) == {"0": 0.3, "1": 0.5, "2": 0.7}
    assert "3 done, 0 to run" in succeed(*arguments, cwd=tmp_path).stdout
    assert first.stat().st_mtime_ns == before
    assert standing(tmp_path / "sweep").count("COMPLETE") == 3


def test_an_interrupted_sweep_says_how_far_it_is_and_goes_on(start, tmp_path):
    arguments = [*STUDY, "data.users=400", "training.epochs=20", "hydra.sweep.dir=sweep", "fusion.alpha=0.3,0.7", "-m"]
    running = start(*arguments)
    wait_for(tmp_path / "sweep" / "1" / "metrics.jsonl", running)
    running.send(signal.SIGINT)
    done = running.end()
    assert done.returncode == 1
    assert "interrupted: 1 done, 1 to run; the same command goes on from there" in done.stdout
    assert [trial.state.name for trial in trials(tmp_path / "sweep")] == ["COMPLETE", "FAIL"]
    assert (tmp_path / "sweep" / "leaderboard.md").read_text().count("interrupted") == 1
    assert "1 done, 1 to run" in succeed(*arguments, cwd=tmp_path).stdout
    assert "resumed after epoch" in (tmp_path / "sweep" / "1" / "train.log").read_text()


def test_a_search_takes_up_a_run_killed_twice_once_and_in_its_own_folder(start, tmp_path):
    arguments = [*STUDY, "data.users=400", "training.epochs=20", "training.patience=0", "hydra.sweep.dir=sweep"]
    arguments += ["fusion.alpha=interval(0.2,0.8)", "study.n_trials=3", "-m"]
    for _ in range(2):
        running = start(*arguments)
        metrics = tmp_path / "sweep" / "1" / "metrics.jsonl"
        wait_for(metrics, running, longer_than=metrics.stat().st_size if metrics.exists() else 0)
        running.kill()
    done = succeed(*arguments, cwd=tmp_path)
    assert "1 done, 2 to run" in done.stdout
    found = alphas(tmp_path)
    assert len(found) == len(set(found.values())) == 3
    states = [trial.state.name for trial in trials(tmp_path / "sweep")]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert found["1"] == trials(tmp_path / "sweep")[1].params["fusion.alpha"]


def test_a_point_that_was_asked_for_and_never_begun_upsets_nothing(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,null,0.7", cwd=tmp_path)
    load(tmp_path / "sweep").enqueue_trial({"fusion.alpha": 0.3})
    assert "2 done, 1 to run" in succeed(*ONE, "fusion.alpha=0.3,null,0.7", cwd=tmp_path).stdout
    assert alphas(tmp_path) == {"0": 0.3, "2": 0.7}


def test_a_journal_whose_last_line_was_cut_off_is_continued(one_done_one_failed, tmp_path):
    with (tmp_path / "sweep" / "study.journal").open("a") as journal:
        journal.write('{"op_code":')
    for _ in range(2):
        assert "1 done, 1 to run" in succeed(*one_done_one_failed, cwd=tmp_path).stdout


def test_a_study_may_live_in_a_database(tmp_path):
    given = [*ONE, "study.storage=sqlite:///studies.db"]
    succeed(*given, "fusion.alpha=0.3,0.7", cwd=tmp_path)
    assert "2 done, 0 to run" in succeed(*given, "fusion.alpha=0.3,0.7", cwd=tmp_path).stdout
    elsewhere = succeed(*given, "fusion.alpha=0.3,0.7", "hydra.sweep.dir=elsewhere", cwd=tmp_path)
    assert "2 done, 0 to run" in elsewhere.stdout  # as another machine would see it, that has not the files
    board = pd.read_csv(tmp_path / "elsewhere" / "leaderboard.csv")
    assert board["validation NDCG@10"].max() == pd.read_csv(tmp_path / "sweep" / "leaderboard.csv").iloc[0, 3]
    assert board["HR@10"].isna().all()


@pytest.mark.parametrize("choices", ["null,0.3,0.7", "0.3,0.7,null"])
def test_a_failing_point_is_recorded_wherever_it_stands_and_the_rest_is_done(choices, tmp_path):
    done = succeed(*ONE, f"fusion.alpha={choices}", cwd=tmp_path)
    assert sorted(alphas(tmp_path).values()) == [0.3, 0.7]
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert board["status"].tolist() == ["done", "done", "failed"]
    assert "an alpha of null" in board["error"].iloc[-1]
    assert "FAILED" in done.stdout
    assert "fusion.alpha=null" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    again = succeed(*ONE, f"fusion.alpha={choices}", cwd=tmp_path)
    assert "2 done, 1 to run" in again.stdout


def test_a_sweep_in_which_all_fail_fails(tmp_path):
    assert "all 2 runs failed" in fail(*ONE, "fusion.alpha=null", "seed=0,1", cwd=tmp_path)


def test_max_failures_ends_a_sweep_early(tmp_path):
    message = fail(*ONE, "fusion.alpha=null,0.3,0.5", "study.max_failures=0", cwd=tmp_path)
    assert "max_failures=0" in message
    assert alphas(tmp_path) == {}


def test_a_mistyped_setting_is_said_before_the_first_run(tmp_path):
    message = fail(*ONE, "model=sasrec,hybird", cwd=tmp_path)
    assert "model=hybird" in message
    assert "Did you mean model=hybrid?" in message
    assert not list(tmp_path.glob("sweep/*/train.log"))
    assert "fusion.alpha" in fail(*ONE, "fusion.alhpa=0.1,0.2", cwd=tmp_path)
    assert "fusion.alpha" in fail(*ONE, "fusion.alhpa=interval(0.1,0.2)", cwd=tmp_path)
    message = fail(*ONE, "model=sasrec,hybird", "training.lr=interval(0.001,0.01)", cwd=tmp_path)
    assert "Did you mean model=hybrid?" in message
    assert not (tmp_path / "sweep" / "study.journal").exists()


@pytest.mark.usefixtures("one_done_one_failed")
def test_optuna_can_read_the_study(tmp_path):
    good, bad = trials(tmp_path / "sweep")
    assert good.value == results(tmp_path / "sweep" / "0")["validation_metrics"]["NDCG@10"]
    assert good.params == {"fusion.alpha": 0.3}
    assert bad.state.name == "FAIL"
    assert "an alpha of null" in bad.user_attrs["error"]


@pytest.mark.usefixtures("two_done")
def test_the_leaderboard_has_the_numbers_of_the_runs(tmp_path):
    for _, row in pd.read_csv(tmp_path / "sweep" / "leaderboard.csv").iterrows():
        found = results(tmp_path / "sweep" / str(row["folder"]))
        assert row["fusion.alpha"] == found["config"]["fusion"]["alpha"]
        assert row["validation NDCG@10"] == found["best_val_metric"]
        assert row["HR@10"] == found["test_metrics"]["HR@10"]
        assert row["MRR@10/short"] == found["grouped_metrics"]["short"]["MRR@10"]


def test_a_run_folder_in_use_is_not_touched(tmp_path):
    import fcntl

    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process" in fail(*SMALL, "hydra.run.dir=run", cwd=tmp_path)
    assert os.listdir(tmp_path / "run")
    assert command(*SMALL, "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())
