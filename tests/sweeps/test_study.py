"""What makes a sweep one that can be left alone: names, conditions, repeats, several processes, pruning, failures."""

import json
import re
import time

import optuna
import pandas as pd
import pytest
from hydra_plugins.hybrid_seq_gnn_sweeper._space import parse
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hybrid_seq_gnn.app.arguments import Command, folder, read_study
from hybrid_seq_gnn.study.queue import Slot, fill, is_lost
from hybrid_seq_gnn.study.space import choices
from tests.sweeps.test_sweeper import ONE, load, start, trials, wait_for  # noqa: F401
from tests.test_command_line import SMALL, command, fail, results, succeed

STUDY = [*SMALL, "+experiment=study/embeddings"]  # every trial trains: these are about sweeps
TINY = [*STUDY, "training.epochs=1"]
LONG = [*STUDY, "data.users=400", "training.epochs=4", "training.patience=0", "hydra.sweep.dir=sweep", "-m"]


def finished(folder):
    """Settings of every finished run, by its folder."""
    return {path.parent.name: results(path.parent)["config"] for path in folder.glob("*/results.json")}


def standing(folder):
    """States of the trials that were not dropped."""
    return [trial.state.name for trial in trials(folder) if "dropped" not in trial.user_attrs]


# --- names


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


def test_trials_of_another_version_are_said(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,0.7", cwd=tmp_path)
    journal = tmp_path / "sweep" / "study.journal"
    journal.write_text(journal.read_text().replace('"version":"0.1.0"', '"version":"0.0.9"'))
    done = succeed(*ONE, "fusion.alpha=0.3,0.7", cwd=tmp_path)
    assert "2 of the finished trials were made by version 0.0.9" in done.stdout


# --- conditions


def test_a_setting_varies_only_beside_the_options_that_have_it(tmp_path):
    arguments = ["model=sasrec,hybrid", "fusion=fixed,learnable", "fusion.alpha=0.3,0.7", "fusion.init_mid=0.45"]
    succeed(*ONE, *arguments, cwd=tmp_path)
    found = [config["fusion"] for config in finished(tmp_path / "sweep").values()]
    assert sum(fusion is None for fusion in found) == 1  # SASRec once, not once a fusion
    assert sorted(fusion["alpha"] for fusion in found if fusion and "alpha" in fusion) == [0.3, 0.7]
    assert [fusion["init_mid"] for fusion in found if fusion and "init_mid" in fusion] == [0.45]
    assert len(found) == 4


def test_a_search_asks_only_for_what_exists_beside_its_options(tmp_path):
    arguments = ["fusion=fixed,learnable", "fusion.alpha=interval(0.2,0.8)", "study.n_trials=6", "study.sampler=random"]
    succeed(*ONE, *arguments, cwd=tmp_path)
    found = [trial.params for trial in trials(tmp_path / "sweep")]
    assert {params["fusion"] for params in found} == {"fixed", "learnable"}
    assert all(("fusion.alpha" in params) == (params["fusion"] == "fixed") for params in found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=sasrec", "fusion.alpha=0.3,0.7"], "fusion.alpha has no effect in any run"),
        (["fusion=fixed,learnable", "fusion.alhpa=0.3,0.7"], "fusion.alhpa"),
        (["fusion=fixed,learnable", "fusion.inti_mid=0.3"], "fusion.inti_mid"),
        (["study.n_trials=1,2"], "study.n_trials belongs to the sweep itself"),
        (["seed=interval(0,5)"], "seed=0,1,2"),
        (["seed=0,1", "study.seeds=2"], "give only one"),
        (["study.objective=HR@7"], "expected a validation metric"),
        (["study.objective=[NDCG@10,HR@10]", "study.pruner=median"], "study.pruner=median wants one"),
        (["study.workers=2"], "hydra/launcher=joblib"),
        (["study.storage=studies.db"], "sqlite:///studies.db"),
        (["study.storage=sqlite:////no/such/folder/s.db"], "cannot be opened"),
        (["study.name=a/b"], "study.name=a/b"),
        (["study.sampler=best"], "study.sampler=best: expected tpe, random, gp, cmaes or nsga2"),
        (["study.pruner_stratup=3"], "study.pruner_startup"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_said_before_the_first_run(arguments, words, tmp_path):
    assert words in fail(*ONE, *arguments, cwd=tmp_path)
    assert not list(tmp_path.glob("sweep/*/train.log"))


def test_a_file_of_data_that_is_not_there_is_said_before_the_first_run(tmp_path):
    message = fail("data=sequences", "data.path=no.txt", "fusion.alpha=0.3,0.7", "-m", cwd=tmp_path)
    assert "no.txt" in message
    assert not (tmp_path / "outputs").exists()


def test_variants_are_named_configurations_times_the_grid(tmp_path):
    variants = "variants: {SASRec: model=sasrec, 'input, only': fusion.side=input fusion.alpha=0.4}"
    (tmp_path / "own.yaml").write_text(f"question: Which?\n{variants}\n")
    done = succeed("sweeps=own.yaml", *ONE, "training.lr=0.001,0.002", cwd=tmp_path)
    found = [
        (c["name"], c["training"]["lr"], (c["fusion"] or {}).get("side")) for c in finished(tmp_path / "sweep").values()
    ]
    assert sorted(found, key=str) == [
        ("SASRec", 0.001, None),
        ("SASRec", 0.002, None),
        ("input, only", 0.001, "input"),
        ("input, only", 0.002, "input"),
    ]
    assert "| SASRec" in done.stdout


# --- repeats and objectives


def test_seeds_are_repeats_and_the_leaderboard_shows_their_mean_and_deviation(tmp_path):
    done = succeed(*ONE, "fusion.alpha=0.3,0.7", "study.seeds=2", "seed=5", cwd=tmp_path)
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert sorted(zip(board["fusion.alpha"], board["seed"], strict=True)) == [(0.3, 5), (0.3, 6), (0.7, 5), (0.7, 6)]
    values = board[board["fusion.alpha"] == 0.3]["validation NDCG@10"]
    assert f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" in done.stdout


def test_a_search_with_repeats_optimises_the_mean_over_seeds(tmp_path):
    succeed(*ONE, "fusion.alpha=interval(0,1)", "study.n_trials=2", "seed=0,1", cwd=tmp_path)
    for trial in trials(tmp_path / "sweep"):
        runs = [results(tmp_path / "sweep" / name) for name in trial.user_attrs["folders"]]
        assert [run["seed"] for run in runs] == [0, 1]
        assert {run["config"]["fusion"]["alpha"] for run in runs} == {trial.params["fusion.alpha"]}
        assert trial.value == pytest.approx(sum(run["validation_metrics"]["NDCG@10"] for run in runs) / 2)


def test_an_objective_is_any_validation_metric_and_never_one_of_the_test_split(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,0.7", "study.objective=HR@20/short", cwd=tmp_path)
    for trial in trials(tmp_path / "sweep"):
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


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cmaes", "nsga2"])
def test_every_sampler_searches(sampler, tmp_path):
    arguments = ["fusion.alpha=interval(0.0,1.0)", "training.lr=tag(log,interval(1e-4,1e-2))", "study.n_trials=3"]
    succeed(*ONE, *arguments, f"study.sampler={sampler}", cwd=tmp_path)
    assert len({trial.params["fusion.alpha"] for trial in trials(tmp_path / "sweep")}) == 3


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


# --- several processes, and processes that die


def test_two_processes_started_together_run_a_grid_once(start, tmp_path):  # noqa: F811
    arguments = [*LONG, "training.epochs=2", "fusion.alpha=0.1,0.2,0.3,0.4,0.5,0.6", "seed=0,1"]
    both = [start(*arguments), start(*arguments)]
    for process in both:
        stdout, _ = process.communicate(timeout=100)
        assert process.returncode == 0, stdout
    states = standing(tmp_path / "sweep")
    assert states == ["COMPLETE"] * 12
    assert len({trial.user_attrs["owner"]["pid"] for trial in trials(tmp_path / "sweep") if trial.value}) == 2
    assert len(finished(tmp_path / "sweep")) == 12


def test_what_a_killed_process_ran_is_taken_up_by_another_at_work(start, tmp_path):  # noqa: F811
    arguments = [*LONG, "training.epochs=80", "data.users=800", "fusion.alpha=0.3,0.7"]
    first = start(*arguments)
    wait_for(tmp_path / "sweep" / "0" / "metrics.jsonl", first)
    second = start(*arguments)
    wait_for(tmp_path / "sweep" / "1" / "metrics.jsonl", second)
    first.kill()
    first.wait()
    stdout, _ = second.communicate(timeout=100)
    assert second.returncode == 0, stdout
    assert len(finished(tmp_path / "sweep")) == 2
    assert "resumed after epoch" in (tmp_path / "sweep" / "0" / "train.log").read_text()


def test_a_run_of_a_silent_machine_is_taken_up_and_one_of_a_speaking_machine_is_left_alone(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,1.7", cwd=tmp_path)
    study = load(tmp_path / "sweep")
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            continue
        study.enqueue_trial({"fusion.alpha": 1.7}, user_attrs={"slot": trial.user_attrs["slot"]})
    taken = study.ask()
    taken.set_user_attr("owner", {"machine": "far away", "pid": 1, "born": 0.0})
    taken.set_user_attr("alive", time.time() + 15)  # its sign of life is still good for a while
    running = command(*ONE, "fusion.alpha=0.3,1.7", "study.grace=10", cwd=tmp_path)
    assert "waiting for what runs elsewhere: process 1 on far" in running.stdout
    assert "1 failed" in running.stdout  # taken up when the machine was silent for long, and it failed as it must
    assert trials(tmp_path / "sweep")[taken.number].user_attrs["lost"] == "process 1 on far"


def test_a_run_whose_process_dies_again_and_again_has_failed(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,1.7", cwd=tmp_path)
    study = load(tmp_path / "sweep")
    for _ in range(3):
        study.enqueue_trial({"fusion.alpha": 1.7}, user_attrs={"slot": 1})
        taken = study.ask()
        taken.set_user_attr("owner", {"machine": "far away", "pid": 1, "born": 0.0})
        taken.set_user_attr("lost", "process 1 on far")
        if _ < 2:
            study.tell(taken, state=TrialState.FAIL)
    study._storage.set_trial_user_attr(taken._trial_id, "alive", 0.0)
    frozen = study.trials[taken.number]
    assert not is_lost(frozen, grace=3600.0)
    assert not fill(study, [Slot({}, (0,))] * 2, grace=0.0)
    assert "died" in study.trials[taken.number].user_attrs["error"]


def test_a_grid_killed_after_two_trials_runs_the_other_three(start, tmp_path):  # noqa: F811
    arguments = [*LONG, "fusion.alpha=0.3,0.4,0.5,0.6,0.7"]
    running = start(*arguments)
    wait_for(tmp_path / "sweep" / "2" / "metrics.jsonl", running)
    running.kill()
    running.wait()
    before = {name: (tmp_path / "sweep" / name / "results.json").stat().st_mtime_ns for name in ("0", "1")}
    assert "2 done, 3 to run" in succeed(*arguments, cwd=tmp_path).stdout
    assert "5 done, 0 to run" in succeed(*arguments, cwd=tmp_path).stdout
    assert before == {name: (tmp_path / "sweep" / name / "results.json").stat().st_mtime_ns for name in before}
    assert standing(tmp_path / "sweep").count("COMPLETE") == 5


def test_a_failed_run_is_left_alone_where_that_is_asked_for(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3,1.7", cwd=tmp_path)
    again = succeed(*ONE, "fusion.alpha=0.3,1.7", "study.retry_failed=false", cwd=tmp_path)
    assert "1 done, 1 failed, 0 to run" in again.stdout
    assert "expected a number in [0, 1]" in again.stdout


def test_joblib_workers_share_a_sweep(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs hybrid_seq_gnn[parallel]")
    arguments = [*LONG, "hydra/launcher=joblib", "study.workers=2", "fusion.alpha=0.3,0.4,0.5,1.7", "seed=0,1"]
    done = succeed(*arguments, cwd=tmp_path)
    assert "[8/8]" in done.stdout
    assert "  loss " not in done.stdout  # runs that share a console are quiet
    assert len(finished(tmp_path / "sweep")) == 6
    good = [trial for trial in trials(tmp_path / "sweep") if trial.state == TrialState.COMPLETE]
    assert len({trial.user_attrs["owner"]["pid"] for trial in good}) == 2
    assert "6 done, 2 failed, 0 to run" in succeed(*arguments, "study.retry_failed=false", cwd=tmp_path).stdout


# --- studies by name


def test_every_study_of_the_plan_is_there_and_can_be_planned(tmp_path):
    names = {path.stem for path in folder("sweeps").glob("*.yaml")}
    rounds = "rerun_all alpha_grid learnable_init piecewise continuous gnn_layers hard_negatives two_stage gat"
    assert {*rounds.split(), "score_fusion", "baseline_tuning", "ablation", "quick"} <= names
    for name in names:
        study = read_study(name)
        assert study["question"].endswith("?")
        assert study["time"] and study["read"]
        done = succeed(f"sweeps={name}", "data=synthetic", "study.dry_run=true", cwd=tmp_path)
        assert re.match(r"\d+ (runs|trials of a search)", done.stdout), done.stdout
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_every_point_and_runs_none(tmp_path):
    done = succeed(*TINY, "model=sasrec,hybrid", "fusion.alpha=0.3,0.7", "study.dry_run=true", "-m", cwd=tmp_path)
    assert done.stdout.splitlines()[1:] == [
        "  0: model=sasrec",
        "  1: model=hybrid, fusion.alpha=0.3",
        "  2: model=hybrid, fusion.alpha=0.7",
    ]
    assert not (tmp_path / "outputs").exists()


def test_a_study_by_name_needs_no_m_and_takes_overrides(tmp_path):
    done = succeed("sweeps=alpha_grid", *TINY, "fusion.alpha=0.3,0.9", "study.seeds=1", cwd=tmp_path)
    assert "0 done, 2 to run" in done.stdout
    (folder,) = (tmp_path / "outputs" / "studies").iterdir()
    study = json.loads((folder / "study.json").read_text())
    assert study["question"].startswith("How much weight")
    assert folder.name.startswith("alpha_grid-")
    assert study["command"].startswith("python -m hybrid_seq_gnn sweeps=alpha_grid")


def test_variants_of_a_study_are_run_under_their_names(tmp_path):
    succeed("sweeps=two_stage", *TINY, "training.graph_epochs=1", "study.seeds=1", "study.name=two", cwd=tmp_path)
    found = {config["name"] for config in finished(tmp_path / "outputs" / "studies" / "two").values()}
    assert found == {"joint", "two stages, frozen", "two stages, trained on"}


def test_a_study_that_is_not_there_is_named_with_those_that_are(tmp_path):
    message = fail("sweeps=alpha_gird", cwd=tmp_path)
    assert "alpha_gird" in message
    assert "alpha_grid" in message
    for text, words in (("overrides: [seed=0]", "question"), ("question: Q?\nvariants: [SASRec]", "label: override")):
        (tmp_path / "own.yaml").write_text(f"{text}\n")
        assert words in fail("sweeps=own.yaml", cwd=tmp_path)


def test_a_study_of_ones_own_is_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text("question: Is it so?\noverrides: [fusion.alpha=0.2]\n")
    succeed("sweeps=own.yaml", *TINY, "study.name=own", cwd=tmp_path)
    (config,) = finished(tmp_path / "outputs" / "studies" / "own").values()
    assert config["fusion"]["alpha"] == 0.2


@pytest.mark.parametrize(
    ("argument", "lines"),
    [
        ("data.path='my file, 2.zip',b.zip", ["data.path='my file, 2.zip'", "data.path=b.zip"]),
        ("data.path=choice('x y','c,d')", ["data.path=x y", "data.path='c,d'"]),
        ("fusion.knots=[1,2],[3]", ["fusion.knots=[1,2]", "fusion.knots=[3]"]),
        ("training.clip_norm=null,3", ["training.clip_norm=null", "training.clip_norm=3"]),
        ("data.path=choice('my file, 2.zip')", ["data.path='my file, 2.zip'"]),
        ("data.path=choice(/a/b-c.zip)", ["data.path=/a/b-c.zip"]),
        ("seed=3,3", ["seed=3"]),
        ("fusion.alpha=0.5,0.5", ["fusion.alpha=0.5"]),
        ("gnn.num_layers=range(2,3)", ["gnn.num_layers=2"]),
        ("gnn.decay=tag(t,choice(0.5))", ["gnn.decay=0.5"]),
        ("fusion.knots=[0.1,0.2],[0.1,0.2]", ["fusion.knots=[0.1,0.2]"]),
        ("gnn.decay=float(range(0,1))", ["gnn.decay=0.0"]),
        ("data.path='1','a.csv'", ["data.path='1'", "data.path=a.csv"]),
    ],
)
def test_a_choice_keeps_its_spelling(argument, lines):
    space = parse([argument])
    name = argument.partition("=")[0]
    if name in space.distributions:
        assert [f"{name}={value}" for value in choices(space.distributions[name])] == lines
    else:
        assert space.seeds == (3,) or list(space.fixed) == lines


def test_hydra_sees_of_a_sweep_only_what_is_its_own():
    given = ["fusion=fixed,learnable", "fusion.x=null", "hydra.sweep.dir=out", "~data", "+x=1", "-m"]
    command = Command.read(given)
    assert command.for_hydra == ["hydra.sweep.dir=out", "-m"]
    assert command.overrides == ["fusion=fixed,learnable", "fusion.x=null", "~data", "+x=1"]
    for others in (given[:-1], [*given, "--cfg", "job"]):  # one run, or a look at the configuration
        assert Command.read(others).for_hydra == others
