"""The real command line, as a new user would type it."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from tests.commands import SMALL, Fork, fail, process, results, succeed


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished hybrid run."""
    folder = tmp_path_factory.mktemp("finished")
    done = succeed(*SMALL, "fusion.alpha=0.3", "hydra.run.dir=run", cwd=folder)
    return folder / "run", done.stdout


def test_help_says_what_it_does_and_needs_no_torch(tmp_path):
    done = succeed("--help", cwd=tmp_path, how=process, PYTHONPROFILEIMPORTTIME="1")
    for word in ("fusion: ", "fixed", "lightgcn", "data: ", "outputs/DATE/TIME"):
        assert word in done.stdout
    assert done.stdout.count("python -m hybrid_seq_gnn ") >= 4
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "optuna", "pandas"}


def test_cfg_job_shows_the_configuration_and_needs_no_torch(tmp_path):
    done = succeed("--cfg", "job", cwd=tmp_path, how=process, PYTHONPROFILEIMPORTTIME="1")
    assert "alpha: 0.5" in done.stdout
    assert not {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()} & {"torch", "optuna", "pandas"}


def test_a_run_leaves_all_its_files(finished):
    folder, output = finished
    assert {p.name for p in folder.iterdir()} - {".lock"} == {
        "config.yaml",
        "results.json",
        "alpha_stats.json",
        "per_user.parquet",
        "metrics.jsonl",
        "model.pt",
        "train.log",
    }
    assert "NDCG@10" in output
    assert "\r" not in output  # no progress bar where nobody watches


def test_results_are_complete(finished):
    folder, _ = finished
    found = results(folder)
    names = {f"{m}@{k}" for m in ("HR", "NDCG", "MRR") for k in (5, 10, 20)}
    assert set(found["test_metrics"]) == set(found["validation_metrics"]) == names
    assert set(found["grouped_metrics"]) == {"short", "medium", "long", "overall"}
    for group in found["grouped_metrics"].values():
        assert set(group) == names | {"count"}
        assert (group["count"] == 0) == (group["HR@10"] is None)
    assert (
        sum(g["count"] for g in found["grouped_metrics"].values()) == 2 * found["grouped_metrics"]["overall"]["count"]
    )
    assert found["alpha_stats"]["overall"]["mean"] == pytest.approx(0.3)
    assert json.loads((folder / "alpha_stats.json").read_text()) == found["alpha_stats"]
    assert found["alpha_curve"]["length"] == list(range(1, 201))
    assert found["alpha_curve"]["alpha"] == pytest.approx([0.3] * 200)
    assert found["best_val_metric"] == found["validation_metrics"]["NDCG@10"]
    assert found["best_epoch"] == found["epochs"] == 0  # its encoder has epochs
    compared = found["baseline"]["metrics"]["NDCG@10"]["overall"]["hybrid"]
    assert compared == pytest.approx(found["test_metrics"]["NDCG@10"])
    assert found["config"]["fusion"]["alpha"] == 0.3
    assert found["config"]["negatives"] is None  # cross-entropy samples none
    assert len(found["data"]["split_hash"]) == 64
    assert set(found["seconds"]) == {"data", "training", "evaluation", "total"}
    assert found["parameters"] > 0
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_per_user_rows_carry_the_metrics(finished):
    folder, _ = finished
    rows = pd.read_parquet(folder / "per_user.parquet")
    found = results(folder)
    assert list(rows.columns) == ["user", "target", "length", "group", "rank", "alpha"]
    assert len(rows) == found["grouped_metrics"]["overall"]["count"]
    assert (rows["rank"] <= 10).mean() == pytest.approx(found["test_metrics"]["HR@10"])
    for name, group in rows.groupby("group"):
        assert (group["rank"] <= 10).mean() == pytest.approx(found["grouped_metrics"][name]["HR@10"])
    assert (rows["alpha"] - 0.3).abs().max() < 1e-6


def test_the_model_file_loads_without_pickle(finished):
    folder, _ = finished
    saved = torch.load(folder / "model.pt", weights_only=True)
    assert saved["config"]["fusion"]["alpha"] == 0.3
    assert "encoder.items.weight" in saved["model"]
    assert len(saved["item_ids"]) == saved["model"]["encoder.items.weight"].shape[0] - 1


def test_metrics_jsonl_has_a_line_an_epoch(finished):
    folder, _ = finished
    encoder = folder.parent / results(folder)["baseline"]["folder"]
    for place, epochs in ((encoder, [1, 2]), (folder, [0])):
        lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == epochs
        assert "test" not in json.dumps(lines)


def test_a_finished_run_is_not_run_again_and_another_one_is_refused_there(finished):
    folder, _ = finished
    before = (folder / "results.json").read_bytes()
    done = succeed(*SMALL, "fusion.alpha=0.3", f"hydra.run.dir={folder}", cwd=folder.parent)
    assert "finished already" in done.stdout
    message = fail(*SMALL, "fusion.alpha=0.4", f"hydra.run.dir={folder}", cwd=folder.parent)
    assert "another configuration" in message
    assert (folder / "results.json").read_bytes() == before


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(finished, tmp_path):
    folder, _ = finished
    succeed(*SMALL, "fusion.alpha=0.3", "hydra.run.dir=again", cwd=tmp_path)
    succeed(*SMALL, "fusion.alpha=0.3", "seed=1", "hydra.run.dir=other", cwd=tmp_path)
    first, again, other = results(folder), results(tmp_path / "again"), results(tmp_path / "other")
    assert first["grouped_metrics"] == again["grouped_metrics"]
    assert first["best_val_metric"] == again["best_val_metric"]
    assert first["grouped_metrics"] != other["grouped_metrics"]


@pytest.mark.parametrize("arguments", [["model=sasrec"], ["model=sasrec", "loss=bce"], ["loss=bce", "fusion.alpha=1"]])
def test_other_models_and_losses_end_well(arguments, tmp_path):
    succeed(*SMALL, *arguments, "hydra.run.dir=run", cwd=tmp_path)
    found = results(tmp_path / "run")
    assert ("alpha_stats" in found) == ("model=sasrec" not in arguments)
    assert (tmp_path / "run" / "alpha_stats.json").exists() == ("model=sasrec" not in arguments)
    assert (found["config"]["negatives"] is None) == ("loss=bce" not in arguments)


def test_a_setting_without_effect_is_said(tmp_path):
    unused = ["fusion.alpha=0.3", "study.n_trials=3", "study.dry_run=False"]
    done = succeed(*SMALL, "model=sasrec", *unused, "training.epochs=1", cwd=tmp_path)
    assert "fusion.alpha=0.3 has no effect" in done.stdout
    assert "study.n_trials=3 has no effect: this is one run" in done.stdout


def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_bits(tmp_path):
    arguments = [*SMALL, "+experiment=study/embeddings", "data.users=300", "training.epochs=5", "training.patience=0"]
    arguments += ["training.batch_size=4"]
    succeed(*arguments, "hydra.run.dir=whole", cwd=tmp_path)
    running = Fork(*arguments, "hydra.run.dir=killed", cwd=tmp_path)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert running.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    running.kill()
    assert not (tmp_path / "killed" / "results.json").exists()
    done = succeed(*arguments, "hydra.run.dir=killed", cwd=tmp_path)
    assert "resumed after epoch" in done.stdout
    whole, killed = results(tmp_path / "whole"), results(tmp_path / "killed")
    for key in ("grouped_metrics", "validation_grouped_metrics", "best_epoch", "best_val_metric", "alpha_stats"):
        assert whole[key] == killed[key], key
    weights = [torch.load(tmp_path / name / "model.pt", weights_only=True)["model"] for name in ("whole", "killed")]
    assert all(torch.equal(weights[0][k].to_dense(), weights[1][k].to_dense()) for k in weights[0])


def half_done(folder, *arguments):
    """A run that was killed after its second epoch. Returns its config.yaml."""
    running = Fork(*arguments, "training.epochs=80", f"hydra.run.dir={folder.name}", cwd=folder.parent)
    deadline = time.monotonic() + 100
    while not ((metrics := folder / "metrics.jsonl").exists() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert running.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    running.kill()
    return (folder / "config.yaml").read_text()


@pytest.mark.parametrize("other", ["training.lr=0.5", "data.users=90"])
def test_a_refused_resume_leaves_the_configuration_of_the_run_that_is_half_done(other, tmp_path):
    arguments = [*SMALL, "model=sasrec", "training.patience=0"]
    before = half_done(tmp_path / "run", *arguments)
    again = [*arguments, "training.epochs=80", "hydra.run.dir=run"]
    assert "belongs to a run with another configuration" in fail(*again, other, cwd=tmp_path)
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    succeed(*arguments, "training.epochs=1", other, "hydra.run.dir=run", "training.resume=false", cwd=tmp_path)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == results(tmp_path / "run")["config"]


def test_a_run_that_was_resumed_under_another_name_has_that_name_in_its_configuration(tmp_path):
    arguments = [*SMALL, "model=sasrec", "training.patience=0"]
    half_done(tmp_path / "run", *arguments)
    done = succeed(*arguments, "training.epochs=80", "hydra.run.dir=run", "name=later", cwd=tmp_path)
    assert "resumed after epoch" in done.stdout
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["name"] == "later"
    assert config == results(tmp_path / "run")["config"]


@pytest.mark.parametrize("path", ["~/x", "'~/x'", '"~/a folder/x"', "~/${now:%Y}/x"])
def test_a_folder_that_begins_with_a_tilde_is_at_home(path, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "at home").mkdir()
    arguments = ["data=synthetic", "data.users=80", "data.items=40", "model=popularity"]
    for more in ([f"hydra.run.dir={path}"], [f"hydra.sweep.dir={path}", "seed=0,1", "-m"]):
        succeed(*arguments, *more, cwd=tmp_path / "here", HOME=str(tmp_path / "at home"))
    assert not list((tmp_path / "here").iterdir())
    found = sorted(file.parent.name for file in (tmp_path / "at home").rglob("results.json"))
    assert found == ["0", "1", "x"]


def test_the_home_folder_of_nobody_is_refused(tmp_path):
    for more in (["hydra.run.dir=~nobody.known/x"], ["hydra.sweep.dir=~nobody.known/x", "seed=0,1", "-m"]):
        assert "there is no home folder ~nobody.known" in fail(*SMALL, *more, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_users_line_makes_five_runs_and_a_leaderboard(tmp_path):
    line = ["fusion=fixed", "fusion.alpha=0.3,0.4,0.5,0.6,0.7", "-m"]
    done = succeed(*SMALL, "training.epochs=1", *line, "hydra.sweep.dir=sweep", cwd=tmp_path, how=process)
    runs = sorted(p.parent for p in (tmp_path / "sweep").glob("*/results.json"))
    assert sorted(results(run)["config"]["fusion"]["alpha"] for run in runs) == [0.3, 0.4, 0.5, 0.6, 0.7]
    board = pd.read_csv(tmp_path / "sweep" / "leaderboard.csv")
    assert len(board) == 5
    assert (tmp_path / "sweep" / "leaderboard.md").read_text().count("|") > 50
    assert "NDCG@10" in done.stdout


def test_it_runs_from_any_folder(tmp_path):
    assert not list(Path(tmp_path).iterdir())
    succeed(*SMALL, "training.epochs=1", cwd=tmp_path)
    assert len(list(tmp_path.glob("outputs/2*/*/results.json"))) == 1
