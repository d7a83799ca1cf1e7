"""The studies of sweeps/, and those of one's own."""

import json
import re

import yaml

from hybrid_seq_gnn.app.arguments import read_study
from hybrid_seq_gnn.files import package_folder
from tests.commands import fail, succeed
from tests.sweeps.common import TINY, finished


def test_every_study_of_the_plan_is_there_and_can_be_planned(tmp_path):
    names = {path.stem for path in package_folder("sweeps").glob("*.yaml")}
    rounds = "rerun_all alpha_grid learnable_init piecewise continuous gnn_layers hard_negatives two_stage gat"
    assert {*rounds.split(), "score_fusion", "baseline_tuning", "ablation", "quick"} <= names
    for name in names:
        study = read_study(name)
        assert study["question"].endswith("?")
        assert study["time"] and study["read"]
        done = succeed(f"sweeps={name}", "data=synthetic", "study.dry_run=true", cwd=tmp_path)
        assert re.match(r"\d+ (runs|trials of a search)", done.stdout), done.stdout
    assert not list(tmp_path.iterdir())


def test_cfg_job_of_a_study_shows_what_its_runs_have_in_common(tmp_path):
    for name in sorted(path.stem for path in package_folder("sweeps").glob("*.yaml")):
        succeed(f"sweeps={name}", "--cfg", "job", cwd=tmp_path)
    shown = yaml.safe_load(succeed("sweeps=gat", "--cfg=job", "seed=3", "data=synthetic", cwd=tmp_path).stdout)
    assert shown["graph"]["top_k"] == 20 and shown["study"]["seeds"] == 2 and shown["seed"] == 3
    assert "users" in shown["data"]
    shown = yaml.safe_load(succeed("-m", "fusion.alpha=0.3,0.7", "seed=3", "-c", "job", cwd=tmp_path).stdout)
    assert shown["seed"] == 3 and shown["fusion"]["alpha"] == 0.5  # no run has 0.5, but it is not in common
    shown = yaml.safe_load(succeed("sweeps=alpha_grid", "fusion.alpha=0.9", "--cfg", "job", cwd=tmp_path).stdout)
    assert shown["fusion"]["alpha"] == 0.9
    assert "embedding_dim" in succeed("sweeps=alpha_grid", "--info", "config", cwd=tmp_path).stdout
    succeed("-m", "--info", cwd=tmp_path)
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
    for text, words in (
        ("overrides: [seed=0]", "question"),
        ("question: Q?\nvariants: [SASRec]", "label: override"),
        ("question: Q?\noverrides: [gnn=null]", "gnn=none does without"),
    ):
        (tmp_path / "own.yaml").write_text(f"{text}\n")
        assert words in fail("sweeps=own.yaml", cwd=tmp_path)


def test_a_study_of_ones_own_is_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text("question: Is it so?\noverrides: [fusion.alpha=0.2]\n")
    succeed("sweeps=own.yaml", *TINY, "study.name=own", cwd=tmp_path)
    (config,) = finished(tmp_path / "outputs" / "studies" / "own").values()
    assert config["fusion"]["alpha"] == 0.2
