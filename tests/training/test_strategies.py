"""Schedules, averages, precision, and training in two stages."""

import json

import pytest
import torch
from torch import nn

from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.transitions import Transitions
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.training.average import WeightAverage
from hybrid_seq_gnn.training.joint import Joint
from hybrid_seq_gnn.training.post_hoc import PostHoc
from hybrid_seq_gnn.training.quick import Quick
from hybrid_seq_gnn.training.settings import TrainingSettings
from hybrid_seq_gnn.training.two_stage import TwoStage
from tests.commands import SMALL, command, fail, results, succeed
from tests.conftest import leave_last_two_out, make_sequences
from tests.training.test_loop import World


def test_the_rate_rises_and_then_falls_like_a_cosine():
    settings = TrainingSettings(lr=0.1, epochs=12, warmup=2.0, schedule="cosine")
    assert settings.lr_at(0.0) < 0.001
    assert settings.lr_at(1.0) == pytest.approx(0.05, abs=1e-3)
    assert settings.lr_at(2.0) == pytest.approx(0.1)
    assert settings.lr_at(7.0) == pytest.approx(0.05)
    assert settings.lr_at(12.0) == pytest.approx(0.0)
    assert TrainingSettings(lr=0.1).lr_at(50.0) == 0.1


def test_the_rate_reaches_the_optimiser(tmp_path):
    def change(name, **settings):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, epochs=1, **settings)
        before = world.model.items.weight.detach().clone()
        world.train()
        return float((world.model.items.weight.detach() - before).abs().max())

    assert change("still", lr=1e-9) < 1e-6
    full, warm = change("full", lr=0.01), change("warm", lr=0.01, warmup=1)
    assert 0 < warm < 0.9 * full  # the rate rises from 0 over the whole training


def test_an_average_follows_the_formula_and_is_put_in_place_and_taken_out():
    model = nn.Linear(2, 1)
    start = model.weight.detach().clone()
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update(model)
    own = model.weight.detach().clone()
    with average.in_place_of(model):
        assert torch.allclose(model.weight, start + 0.1)
    assert torch.equal(model.weight, own)


def test_without_a_decay_an_average_does_nothing():
    model = nn.Linear(2, 1)
    average = WeightAverage(model, decay=0.0)
    before = model.weight.detach().clone()
    average.update(model)
    with average.in_place_of(model):
        assert torch.equal(model.weight, before)
    assert average.weights == {}


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"schedule": "cosine", "warmup": 1.5}, {"clip_norm": 0.1}])
def test_a_run_killed_and_resumed_has_the_same_bits_with_every_option(settings, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = World(tmp_path / "a", epochs=4, **settings).train()

    class Stop(BaseException):
        pass

    killed = World(tmp_path / "b", epochs=4, **settings)
    calls = []

    def validate():
        calls.append(1)
        if len(calls) == 3:
            raise Stop
        return killed.validate()

    with pytest.raises(Stop):
        killed.train(validate=validate)
    resumed = World(tmp_path / "b", epochs=4, **settings).train()
    assert [r["validation"] for r in resumed.history] == [r["validation"] for r in whole.history]


def test_every_option_changes_the_numbers(tmp_path):
    plain = None
    for k, settings in enumerate([{}, {"ema": 0.9}, {"schedule": "cosine"}, {"clip_norm": 0.01}, {"amp": "bf16"}]):
        (tmp_path / str(k)).mkdir()
        losses = World(tmp_path / str(k), epochs=3, **settings).train().history[-1]
        if plain is None:
            plain = losses
        else:
            assert losses["validation"] != plain["validation"] or losses["loss"] != plain["loss"], settings


def test_bfloat16_is_near_the_full_precision():
    torch.manual_seed(0)
    query, table = torch.randn(70, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    targets = torch.randint(1, 30, (70,))
    full = linear_cross_entropy(query, table, targets)
    grads = torch.autograd.grad(full, (query, table))
    with torch.autocast("cpu", torch.bfloat16):
        half = linear_cross_entropy(query, table, targets)
    rough = torch.autograd.grad(half, (query, table))
    assert half.item() == pytest.approx(full.item(), rel=0.02)
    for a, b in zip(grads, rough, strict=True):
        assert (a - b).abs().max() < 0.02 * a.abs().max() + 1e-4


def test_a_loss_in_bfloat16_is_not_below_0():
    torch.manual_seed(0)
    query, table = 4 * torch.randn(50, 16), 4 * torch.randn(30, 16)
    targets = (query @ table.T)[:, 1:].argmax(1) + 1  # the target is next to certain
    with torch.autocast("cpu", torch.bfloat16):
        each = [linear_cross_entropy(query[k : k + 1], table, targets[k : k + 1]).item() for k in range(50)]
    assert min(each) >= 0


def test_bfloat16_runs_end_well_with_a_graph(tmp_path):
    succeed(*SMALL, "+experiment=study/embeddings", "training.amp=bf16", "hydra.run.dir=run", cwd=tmp_path)
    assert 0 <= results(tmp_path / "run")["test_metrics"]["HR@10"] <= 1


@pytest.mark.parametrize(
    "setting", [{"ema": 1.0}, {"clip_norm": 0.0}, {"warmup": -1.0}, {"train_users": 0}, {"valid_users": -3}]
)
def test_a_bad_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"training\.{next(iter(setting))}="):
        TrainingSettings(**setting)


def test_a_bad_stage_is_refused_by_name():
    with pytest.raises(ValueError, match=r"training\.graph_epochs=0"):
        TwoStage(graph_epochs=0)


TWO = [*SMALL, "+experiment=study/embeddings", "training=two_stage", "training.epochs=2", "training.graph_epochs=3"]


def saved(path, name="model"):
    return torch.load(path, weights_only=True)[name]


def test_two_stages_train_the_graph_side_first_and_freeze_it(tmp_path):
    succeed(*TWO, "hydra.run.dir=run", cwd=tmp_path)
    found = results(tmp_path / "run")
    assert found["stages"]["graph"]["epochs"] == 3
    assert len((tmp_path / "run" / "graph_metrics.jsonl").read_text().splitlines()) == 3
    graph, model = saved(tmp_path / "run" / "graph.pt"), saved(tmp_path / "run" / "model.pt")
    assert torch.equal(graph["graph_items.weight"], model["graph_items.weight"])
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "graph_metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_a_warm_up_may_be_longer_than_the_first_stage(tmp_path):
    succeed(*TWO, "training.epochs=4", "training.warmup=4", "hydra.run.dir=run", cwd=tmp_path)
    assert results(tmp_path / "run")["stages"]["graph"]["epochs"] == 3


def test_an_unfrozen_graph_side_is_trained_further(tmp_path):
    succeed(*TWO, "training.freeze=false", "hydra.run.dir=run", cwd=tmp_path)
    graph, model = saved(tmp_path / "run" / "graph.pt"), saved(tmp_path / "run" / "model.pt")
    assert not torch.equal(graph["graph_items.weight"], model["graph_items.weight"])


def test_a_first_stage_can_be_used_again_by_path(tmp_path):
    succeed(*TWO, "hydra.run.dir=one", cwd=tmp_path)
    done = succeed(
        *TWO, "training.graph_checkpoint=one/graph.pt", "fusion.alpha=0.2", "hydra.run.dir=two", cwd=tmp_path
    )
    assert "taken from one/graph.pt" in done.stdout
    one, two = saved(tmp_path / "one" / "model.pt"), saved(tmp_path / "two" / "model.pt")
    assert torch.equal(one["graph_items.weight"], two["graph_items.weight"])
    assert "does not fit" in fail(
        *TWO, "model.embedding_dim=4", "training.graph_checkpoint=one/graph.pt", "hydra.run.dir=x", cwd=tmp_path
    )
    assert "no such file" in fail(*TWO, "training.graph_checkpoint=nowhere.pt", "hydra.run.dir=y", cwd=tmp_path)
    other = fail(*TWO, "data.seed=1", "training.graph_checkpoint=one/graph.pt", "hydra.run.dir=z", cwd=tmp_path)
    assert "one/graph.pt was trained on different data or a different split" in other


def test_a_model_without_a_graph_side_is_refused(tmp_path):
    assert "model=hybrid" in fail(*TWO, "model=sasrec", cwd=tmp_path)
    assert "model.tied=true" in fail(*TWO, "model.tied=true", cwd=tmp_path)


@pytest.mark.parametrize("training", ["joint", "post_hoc"])
def test_the_end_of_a_run_validates_all_users(training, tmp_path):
    succeed(*SMALL, f"training={training}", "training.valid_users=20", "hydra.run.dir=run", cwd=tmp_path)
    assert results(tmp_path / "run")["validation_grouped_metrics"]["overall"]["count"] == 80


def test_quick_prints_its_check_list_and_keeps_to_its_users(tmp_path):
    quick = ["data=synthetic", "data.users=300", "training=quick", "training.valid_users=50"]
    done = succeed(*quick, "hydra.run.dir=run", cwd=tmp_path)
    for point in ("the loss falls", "groups are there", "alpha is in [0, 1]", "the best model is saved"):
        assert f"ok      {point}" in done.stdout
    assert command("data=synthetic", "training=quick", "training.train_users=0", cwd=tmp_path).returncode == 1


def test_a_run_lets_a_model_start_only_if_it_trains_all_of_it():
    sequences = make_sequences([5, 8, 12], num_items=20)
    gnn = Transitions(sequences, leave_last_two_out(sequences))
    memory = Hybrid(20, gnn, Fixed(alpha=0.5, level="score"), embedding_dim=8)
    assert Joint().trains_whole_model(memory) and TwoStage().trains_whole_model(memory)
    assert not PostHoc().trains_whole_model(memory) and not Quick().trains_whole_model(memory)
    assert Quick().trains_whole_model(SASRec(20, embedding_dim=8))
