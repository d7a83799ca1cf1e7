"""Encoders are trained once: found by what they are, shared by all, and never stale."""

import json
import time

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.run import identity as identities
from hybrid_seq_gnn.run.build import build, checked
from hybrid_seq_gnn.run.encoders import config_alone, runs_at
from hybrid_seq_gnn.run.options import option as composed
from tests.commands import SMALL, Fork, results, succeed
from tests.conftest import CONF


def stored(folder):
    return sorted((folder / "outputs/encoders").glob("*"))


def times_trained(encoder):
    return (encoder / "train.log").read_text().count("epoch   1  ")


def test_a_hybrid_is_the_run_of_its_encoder_and_then_a_mixture(tmp_path):
    said = succeed(*SMALL, "hydra.run.dir=outputs/hybrid", cwd=tmp_path).stdout
    (encoder,) = stored(tmp_path)
    hybrid, alone = results(tmp_path / "outputs/hybrid"), results(encoder)
    assert hybrid["baseline"]["folder"] == str(encoder.relative_to(tmp_path))
    assert hybrid["baseline"]["identity"] == alone["identity"]
    assert alone["config"]["fusion"] is alone["config"]["gnn"] is None
    assert alone["options"]["training"] == "joint"
    assert {p.name for p in encoder.iterdir()} >= {"results.json", "per_user.parquet", "model.pt", "train.log"}
    assert "encoder alone" in said
    assert any(word in said for word in ("than its encoder alone", "can be told"))
    again = succeed(*SMALL, "model=sasrec", "hydra.run.dir=outputs/base", cwd=tmp_path)
    assert results(tmp_path / "outputs/base")["test_metrics"] == alone["test_metrics"]
    assert results(tmp_path / "outputs/base")["identity"] == alone["identity"]
    assert "no effect" not in again.stdout


def test_the_next_run_takes_the_encoder_and_says_so(tmp_path):
    succeed(*SMALL, "hydra.run.dir=outputs/a", cwd=tmp_path)
    (encoder,) = stored(tmp_path)
    made = (encoder / "results.json").stat().st_mtime_ns
    said = succeed(*SMALL, "fusion.alpha=0.9", "gnn.window=3", "hydra.run.dir=outputs/b", cwd=tmp_path).stdout
    assert f"taken from {encoder.relative_to(tmp_path)}" in said
    assert stored(tmp_path) == [encoder]
    assert (encoder / "results.json").stat().st_mtime_ns == made
    if results(encoder)["device"] == "cpu":
        assert results(encoder)["address"] == address_of_encoder()


def address_of_encoder(*overrides):
    """The address of the encoder of a hybrid."""
    with initialize_config_dir(str(CONF)):
        config = checked(OmegaConf.to_container(compose("config", [*SMALL, *overrides])))
    return identities.address(config_alone(config), prepare(build(config["data"])).split_hash, "cpu")


def test_an_encoder_has_the_address_of_all_that_its_weights_depend_on_and_of_nothing_else():
    mine = address_of_encoder()
    assert address_of_encoder("fusion=learnable", "gnn.window=3") == mine
    changed = ("seed=1", "model.dropout=0.2", "training.lr=0.01", "data.users=81", "training.threads=2")
    assert len({mine, *map(address_of_encoder, changed)}) == 6


def test_with_all_weight_on_the_encoder_every_user_has_its_rank(tmp_path):
    succeed(*SMALL, "fusion.alpha=1", "hydra.run.dir=outputs/a", cwd=tmp_path)
    mine, alone = (pd.read_parquet(f / "per_user.parquet") for f in (tmp_path / "outputs/a", *stored(tmp_path)))
    assert mine["rank"].tolist() == alone["rank"].tolist()


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "bert4rec"])
def test_an_earlier_run_of_the_encoder_alone_counts(name, tmp_path):
    small = [a for a in SMALL if not a.startswith("model.num_blocks")]
    layers = "model.num_layers=2" if name == "gru4rec" else "model.num_blocks=2"
    succeed(*small, f"model={name}", layers, "hydra.run.dir=outputs/2026-01-01/12-00-00", cwd=tmp_path)
    succeed(*small, f"model.encoder={name}", "model.num_blocks=2", "hydra.run.dir=elsewhere/run", cwd=tmp_path)
    assert stored(tmp_path) == []
    assert results(tmp_path / "elsewhere/run")["baseline"]["folder"] == "outputs/2026-01-01/12-00-00"


def test_null_trains_privately(tmp_path):
    succeed(*SMALL, "hydra.run.dir=outputs/a", cwd=tmp_path)
    succeed(*SMALL, "training.encoders=null", "hydra.run.dir=outputs/b", cwd=tmp_path)
    assert results(tmp_path / "outputs/b")["baseline"]["folder"] == "outputs/b/encoder"
    assert len(stored(tmp_path)) == 1
    assert times_trained(tmp_path / "outputs/b/encoder") == 1
    both = [results(tmp_path / f"outputs/{name}") for name in "ab"]
    assert both[0]["identity"] == both[1]["identity"]
    assert both[0]["test_metrics"] == both[1]["test_metrics"]


def test_nothing_stale_is_used(tmp_path, monkeypatch):
    succeed(*SMALL, "hydra.run.dir=outputs/a", cwd=tmp_path)
    monkeypatch.setattr(identities, "code", lambda: "the package has changed since")
    succeed(*SMALL, "hydra.run.dir=outputs/b", cwd=tmp_path)
    assert len(stored(tmp_path)) == 2


def test_a_run_that_is_made_anew_keeps_the_encoder_of_the_others(tmp_path):
    succeed(*SMALL, "hydra.run.dir=outputs/a", cwd=tmp_path)
    succeed(*SMALL, "hydra.run.dir=outputs/a", "training.resume=false", cwd=tmp_path)
    (encoder,) = stored(tmp_path)
    assert times_trained(encoder) == 1


def test_what_changes_no_number_makes_no_other_run(tmp_path):
    succeed(*SMALL, "hydra.run.dir=outputs/a", cwd=tmp_path)
    said = succeed(
        *SMALL, "evaluation.batch_size=7", "name=other", "data.cache=false", "hydra.run.dir=outputs/a", cwd=tmp_path
    ).stdout
    assert "finished already" in said


def until(happened):
    """Wait for it."""
    waited_until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < waited_until
        time.sleep(0.02)


LONG = ["data=synthetic", "data.users=400", "data.items=60", "training.epochs=12", "training.patience=0"]


def test_two_that_want_the_same_encoder_at_once_train_one(tmp_path):
    both = [Fork(*LONG, f"hydra.run.dir=outputs/{name}", cwd=tmp_path) for name in "ab"]
    done = [running.end() for running in both]
    assert [each.returncode for each in done] == [0, 0], done
    (encoder,) = stored(tmp_path)
    assert times_trained(encoder) == 1
    assert {results(tmp_path / f"outputs/{name}")["baseline"]["folder"] for name in "ab"} == {
        str(encoder.relative_to(tmp_path))
    }


def test_a_killed_encoder_goes_on_from_its_last_epoch(tmp_path):
    running = Fork(*LONG, "hydra.run.dir=outputs/a", cwd=tmp_path)
    until(lambda: any(times_trained(log.parent) for log in tmp_path.glob("outputs/encoders/*/train.log")))
    running.kill()
    (encoder,) = stored(tmp_path)
    assert not (encoder / "results.json").exists()
    assert "resumed after epoch" in succeed(*LONG, "hydra.run.dir=outputs/b", cwd=tmp_path).stdout
    assert times_trained(encoder) == 1
    assert len((encoder / "metrics.jsonl").read_text().splitlines()) == 12
    assert json.loads((tmp_path / "outputs/b/results.json").read_text())["baseline"]


def test_a_finished_run_without_its_weights_is_no_encoder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/results.json").write_text('{"address": "0123abcd"}')
    assert list(runs_at("0123abcd", tmp_path / "other")) == []
    (tmp_path / "run/model.pt").touch()
    assert list(runs_at("0123abcd", tmp_path / "other")) == [tmp_path / "run"]
    assert list(runs_at("4567", tmp_path / "other")) == []


def test_the_encoder_of_an_older_hybrid_lacks_what_the_hybrid_lacks():
    config = json.loads(json.dumps(composed("model", "hybrid")))
    today = config_alone({"model": config, "training": composed("training", "joint"), "seed": 0})["model"]
    older = {key: value for key, value in config.items() if key != "init"}
    alone = config_alone({"model": older, "training": composed("training", "joint"), "seed": 0})["model"]
    assert alone == {key: value for key, value in today.items() if key != "init"} != today


def test_a_hybrid_waits_for_another_process_that_trains_its_encoder_as_a_run_of_its_own(tmp_path):
    alone = Fork(*LONG, "model=sasrec", "hydra.run.dir=outputs/alone", cwd=tmp_path)
    until((tmp_path / "outputs/alone/checkpoint.pt").exists)
    done = succeed(*LONG, "hydra.run.dir=outputs/mixed", cwd=tmp_path)
    assert "waiting for another process that trains this encoder" in done.stderr + done.stdout
    assert alone.end().returncode == 0
    assert stored(tmp_path) == [] and results(tmp_path / "outputs/mixed")["baseline"]["folder"] == "outputs/alone"


def test_a_hybrid_trains_its_encoder_if_the_one_that_it_waits_for_is_killed(tmp_path):
    alone = Fork(*LONG, "model=sasrec", "hydra.run.dir=outputs/alone", cwd=tmp_path)
    until((tmp_path / "outputs/alone/checkpoint.pt").exists)
    mixed = Fork(*LONG, "hydra.run.dir=outputs/mixed", cwd=tmp_path)
    log = tmp_path / "outputs/mixed/train.log"
    until(lambda: log.exists() and "waiting for another" in log.read_text())
    alone.kill()
    assert mixed.end().returncode == 0
    assert len(stored(tmp_path)) == 1
