"""evaluation.refit: before the test, everything before it is learned, and nothing else."""

import json
import time

import numpy as np
import pandas as pd
import pytest
import torch

from hybrid_seq_gnn import train
from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.split import global_time, leave_one_out
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.graph.spectral import spectral_vectors
from hybrid_seq_gnn.model.markov import Markov
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.identity import flatten
from tests.conftest import make_sequences

SMALL = {"embedding_dim": 8, "num_blocks": 1}
EPOCHS = {"epochs": 3, "encoders": None}
REFIT = {"evaluation": {"refit": True}}


def log_of(last=0):
    """Events of 40 users; each one's last item is another one for another `last`."""
    rng = np.random.default_rng(0)
    items = [list(range(20)), *(rng.permutation(20)[: rng.integers(5, 15)].tolist() for _ in range(40))]
    rows = [(user, item, k) for user, mine in enumerate(items) for k, item in enumerate(mine[:-1])]
    rows += [(user, (mine[-1] + (last if user else 0)) % 20, 99) for user, mine in enumerate(items)]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


def weights(run):
    return torch.load(run.folder / "model.pt", weights_only=True)["model"]


def lines(run, name="metrics.jsonl"):
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def test_everything_before_the_test_is_learned_and_nothing_after_it():
    sequences = make_sequences([3, 5, 8, 12])
    split = leave_one_out(sequences)
    assert split.before_test(sequences).train_end.tolist() == [2, 4, 7, 11]
    assert split.before_test(sequences).test.tolist() == split.test.tolist()
    times = np.concatenate([np.arange(3), np.arange(5) + 100, [1, 50, 51, 52, 90, 120, 121, 122], np.arange(12) * 10])
    timed = make_sequences([3, 5, 8, 12]).__class__(**{**vars(sequences), "timestamps": times})
    split = global_time(timed, 0.2, 0.3)
    after = split.before_test(timed)
    cutoff = np.sort(times)[int(28 * 0.7)]
    for user in range(4):
        mine = times[timed.indptr[user] : timed.indptr[user + 1]]
        assert (mine[: after.train_end[user]] < cutoff).all()
        if split.train_end[user] > 0:  # those who have trained before learn all that came before the test
            assert after.train_end[user] == (mine < cutoff).sum()


def test_a_model_that_counts_is_the_one_of_both_parts(tmp_path):
    run = train(log_of(), model="markov", folder=tmp_path, **REFIT)
    prepared = prepare(build(run.config["data"]))
    settings = {key: value for key, value in run.config["model"].items() if key != "_target_"}
    both = Markov(prepared.sequences, prepared.split.before_test(prepared.sequences), **settings)
    assert weights(run).keys() == both.state_dict().keys()
    assert all(torch.equal(value, weights(run)[name]) for name, value in both.state_dict().items())


def test_epochs_and_validation_are_those_of_the_first_run(tmp_path):
    settings = {"model": {"option": "sasrec", **SMALL}, "training": {"epochs": 3}}
    run = train(log_of(), folder=tmp_path / "refit", **settings, **REFIT)
    plain = train(log_of(), folder=tmp_path / "plain", **settings)
    for key in ("best_epoch", "best_val_metric", "validation_grouped_metrics", "epochs"):
        assert run.results[key] == plain.results[key]
    assert [record["epoch"] for record in lines(run)] == list(range(1, plain.results["best_epoch"] + 1))
    assert not any("validation" in record for record in lines(run))
    assert not torch.equal(weights(run)["items.weight"], weights(plain)["items.weight"])
    first = json.loads((run.folder / "first" / "results.json").read_text())["seconds"]["total"]
    parts = {k: v for k, v in run.results["seconds"].items() if k != "total"}
    assert parts["first"] == first and run.results["seconds"]["total"] == pytest.approx(sum(parts.values()))
    assert run.results["identity"] != plain.results["identity"]
    changed = dict(flatten(run.config)).items() ^ dict(flatten(plain.config)).items()
    assert {key for key, _ in changed} == {"evaluation.refit", "data.path"}


def test_a_refit_starts_from_the_co_occurrence_of_both_parts(tmp_path):
    settings = {"model": {"option": "sasrec", **SMALL}, "training": {"epochs": 1, "lr": 1e-9}}
    run = train(log_of(), folder=tmp_path, **settings, **REFIT)
    prepared = prepare(build(run.config["data"]))
    vectors = spectral_vectors(prepared.sequences, prepared.split.before_test(prepared.sequences), 8)
    found = weights(run)["items.weight"]
    gram, expected = found @ found.T, vectors @ vectors.T
    assert torch.allclose(gram / gram.trace(), expected / expected.trace(), atol=1e-4)


def test_the_time_of_the_start_is_a_part_of_training(tmp_path, monkeypatch):
    monkeypatch.setattr(SASRec, "init_items", lambda *given: time.sleep(2.0))
    run = train(log_of(), model={"option": "sasrec", **SMALL}, training={"epochs": 1}, folder=tmp_path)
    assert run.results["seconds"]["total"] > run.results["seconds"]["training"] > 2.0


def test_the_test_item_is_never_learned(tmp_path):
    settings = {"model": SMALL, "training": EPOCHS, "fusion": {"option": "discrete", "alpha_short": None}, **REFIT}
    one, other = (train(log_of(last), folder=tmp_path / str(last), **settings) for last in (0, 7))
    assert one.per_user["target"].tolist() != other.per_user["target"].tolist()
    assert one.items.tolist() == other.items.tolist()
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_a_hybrid_takes_the_fusion_that_was_fitted_and_encoders_that_were_trained_again(tmp_path):
    settings = {"model": SMALL, "training": EPOCHS, "fusion": {"alpha": None}}
    run = train(log_of(), folder=tmp_path / "run", **settings, **REFIT)
    first, encoder = (weights_of(tmp_path / "run" / name) for name in ("first", "encoder"))
    assert torch.equal(weights(run)["fusion.values"], first["fusion.values"])
    assert torch.equal(weights(run)["encoder.items.weight"], encoder["items.weight"])
    assert not torch.equal(weights(run)["encoder.items.weight"], first["encoder.items.weight"])
    assert weights(run)["gnn.events"].sum() == first["gnn.events"].sum() + run.results["data"]["users"]
    assert run.results["baseline"]["metrics"]["NDCG@10"]["overall"]["users"] == 41


def weights_of(folder):
    return torch.load(folder / "model.pt", weights_only=True)["model"]


def test_a_folder_that_is_used_again_keeps_nothing_of_its_first_run(tmp_path):
    train(log_of(), model={"option": "sasrec", **SMALL}, training={"epochs": 2}, folder=tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    train(log_of(), model=SMALL, training={**EPOCHS, "resume": False}, folder=tmp_path / "run", **REFIT)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert (tmp_path / "run" / "alpha_stats.json").exists()
    train(
        log_of(), model={"option": "sasrec", **SMALL}, training={"epochs": 2, "resume": False}, folder=tmp_path / "run"
    )
    assert not (tmp_path / "run" / "alpha_stats.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"gnn": "lightgcn", "fusion": {"level": "embedding"}, "training": {"option": "two_stage"}},
            "refit=true works with training=post_hoc and training=joint",
        ),
        ({"training": {"option": "quick"}}, "refit=true works with training=post_hoc and training=joint"),
        ({"fusion": {"option": "gated"}}, "fusion=gated reads the states of the encoder"),
        ({"training": {"encoder_checkpoint": "model.pt"}}, "leave training.encoder_checkpoint at null"),
    ],
    ids=["two_stage", "quick", "gated", "checkpoint"],
)
def test_what_cannot_be_refitted_is_said_before_the_data_are_read(settings, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train("nowhere.csv", folder=tmp_path / "run", **settings, **REFIT)
