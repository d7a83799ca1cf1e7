import io
import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from hybrid_seq_gnn import bars
from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.evaluation.evaluate import evaluating, rank_users
from hybrid_seq_gnn.evaluation.metrics import metrics
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.model.scores import DotScores
from hybrid_seq_gnn.training import distributed
from hybrid_seq_gnn.training.loop import Diverged, Stage, train
from hybrid_seq_gnn.training.settings import TrainingSettings
from tests.conftest import leave_last_two_out, make_sequences


def test_bars_have_no_thread_that_a_fork_could_interrupt():
    with bars.tqdm(total=1, disable=False, file=io.StringIO()):
        assert bars.tqdm.monitor is None


def take_the_lock_and_die():
    bars.tqdm.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_while_it_draws_a_bar_stops_no_other():
    process = multiprocessing.get_context("fork").Process(target=take_the_lock_and_die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    lock = bars.tqdm.get_lock()
    assert lock.acquire(timeout=10)
    lock.release()


class Killed(BaseException):
    """Stands in for kill -9: nothing may tidy up after it."""


class World:
    def __init__(self, tmp_path, num_items=40, **settings):
        self.sequences = make_sequences([12] * 60, num_items=num_items)
        self.split = leave_last_two_out(self.sequences)
        torch.manual_seed(0)
        self.model = SASRec(num_items, embedding_dim=8, max_length=10)
        self.windows = TrainingWindows(self.sequences, self.split, 10, batch_size=16)
        self.settings = TrainingSettings(**{"epochs": 6, "patience": 0, "lr": 0.01, "device": "cpu", **settings})
        self.path = tmp_path / "checkpoint.pt"
        self.records = []

    def validate(self):
        with evaluating(self.model):
            ranking = rank_users(
                self.model, self.sequences, self.split.valid, batch_size=32, mask=True, device=torch.device("cpu")
            )
        return metrics(ranking.ranks)

    def train(self, **extra):
        stage = {"loss": CrossEntropy(), "windows": self.windows, "validate": self.validate, "identity": "x"} | extra
        record = lambda history: self.records.append(json.dumps(history))  # noqa: E731
        return train(Stage(model=self.model, seed=3, path=self.path, on_epoch=record, **stage), self.settings)


class DiesInEpoch(TrainingWindows):
    """Windows that stop in the middle of an epoch."""

    def __init__(self, windows, epoch):
        vars(self).update(vars(windows))
        self.left = epoch

    def epoch(self, rng):
        self.left -= 1
        for k, batch in enumerate(super().epoch(rng)):
            if self.left == 0 and k == 2:
                raise Killed
            yield batch


def test_a_killed_run_ends_with_the_same_bits_as_one_that_was_not(tmp_path):
    whole, killed, resumed = (World(tmp_path / name) for name in ("a", "b", "b"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole, killed, resumed = World(tmp_path / "a"), World(tmp_path / "b"), World(tmp_path / "b")
    straight = whole.train()
    with pytest.raises(Killed):
        killed.train(windows=DiesInEpoch(killed.windows, 4))
    again = resumed.train()
    assert len(json.loads(resumed.records[0])) == 3  # taken up after the third epoch, not begun anew
    assert again.best_metric == straight.best_metric
    assert again.best_epoch == straight.best_epoch
    for (name, ours), theirs in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert [r["validation"] for r in again.history] == [r["validation"] for r in straight.history]
    assert [r["loss"] for r in again.history] == [r["loss"] for r in straight.history]


def test_the_best_weights_are_kept_and_not_the_last_ones(tmp_path):
    world = World(tmp_path)
    metric = iter([0.1, 0.5, 0.3, 0.2, 0.1, 0.0])
    weights = []

    def validate():
        weights.append(world.model.items.weight.detach().clone())
        return {"NDCG@10": next(metric)}

    progress = world.train(validate=validate)
    assert (progress.best_epoch, progress.best_metric) == (2, 0.5)
    assert torch.equal(world.model.items.weight, weights[1])


def test_training_stops_when_patience_runs_out(tmp_path):
    metric = iter([0.1, 0.5, 0.3, 0.2, 0.4, 0.9])
    progress = World(tmp_path, patience=3).train(validate=lambda: {"NDCG@10": next(metric)})
    assert (progress.epoch, progress.best_epoch) == (5, 2)


def test_the_last_epoch_is_validated_whatever_eval_every_says(tmp_path):
    progress = World(tmp_path, epochs=5, eval_every=3).train()
    assert [r["epoch"] for r in progress.history if "validation" in r] == [3, 5]


@pytest.mark.parametrize(("patience", "every", "stops"), [(10, 4, 16), (3, 2, 6), (3, 1, 5)])
def test_patience_ends_a_training_where_it_has_been_validated(patience, every, stops, tmp_path):
    metric = iter([0.1, 0.5, *[0.3] * 20] if every == 1 else [0.5, *[0.3] * 20])
    world = World(tmp_path, epochs=30, patience=patience, eval_every=every)
    progress = world.train(validate=lambda: {"NDCG@10": next(metric)})
    assert progress.epoch == stops and "validation" in progress.history[-1]


class Warm(CrossEntropy):
    """A loss with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.log_temperature = torch.nn.Parameter(torch.zeros(()))

    def forward(self, scores, targets, users):
        logits = scores.all()[:, 1:] * self.log_temperature.exp()
        return torch.nn.functional.cross_entropy(logits, targets - 1)


def test_a_killed_run_goes_on_with_the_weights_of_its_loss(tmp_path):
    losses = []
    for name, dies in (("a", None), ("b", 4), ("b", None)):
        (tmp_path / name).mkdir(exist_ok=True)
        world, loss = World(tmp_path / name), Warm()
        losses.append(loss.log_temperature)
        if dies:
            with pytest.raises(Killed):
                world.train(loss=loss, windows=DiesInEpoch(world.windows, dies))
        else:
            world.train(loss=loss)
    assert losses[0] != 0 and torch.equal(losses[0], losses[2])


def test_the_average_of_weights_starts_where_all_processes_do(tmp_path, monkeypatch):
    def broadcast(model, loss):
        torch.nn.init.ones_(model.items.weight)

    monkeypatch.setattr("hybrid_seq_gnn.training.distributed.same_weights", broadcast)
    world = World(tmp_path, epochs=1, lr=1e-9, ema=0.9999)
    world.train()
    assert torch.allclose(world.model.items.weight[1:], torch.ones(40, 8), atol=1e-4)


def test_training_learns(tmp_path):
    progress = World(tmp_path, epochs=20).train()
    losses = [r["loss"] for r in progress.history]
    assert losses[-1] < losses[0] - 0.2


@pytest.mark.parametrize("every", [1, 2, 3, 50])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(every, tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.training.loop.READ_EVERY", every)
    world = World(tmp_path)

    class Explodes(CrossEntropy):
        calls = 0

        def forward(self, scores, targets, users):
            Explodes.calls += 1
            return super().forward(scores, targets, users) * (float("nan") if Explodes.calls == 7 else 1)

    with pytest.raises(Diverged, match=r"nan in epoch 2, step 3 of 4\. Try a lower training\.lr") as error:
        world.train(loss=Explodes())
    assert str(world.path) in str(error.value)
    state = torch.load(world.path, weights_only=True)
    assert state["progress"]["epoch"] == 1
    assert all(torch.isfinite(v).all() for v in state["model"].values())


@pytest.mark.parametrize("every", [1, 3])
def test_the_loss_of_an_epoch_is_the_mean_over_its_steps_however_many_are_read_together(every, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    expected = World(tmp_path / "a", epochs=2).train().history
    monkeypatch.setattr("hybrid_seq_gnn.training.loop.READ_EVERY", every)
    found = World(tmp_path / "b", epochs=2).train().history
    assert [record["loss"] for record in found] == [record["loss"] for record in expected]


def test_processes_are_weighted_by_the_rows_that_a_model_learns_from(tmp_path, monkeypatch):
    class EverySecond(SASRec):
        def training_scores(self, batch, targets):
            scores, targets, users = super().training_scores(batch, targets)
            return DotScores(scores.query[::2], scores.table), targets[::2], users[::2]

    given = []
    note = lambda parameters, value, positions: given.append(positions) or value  # noqa: E731
    monkeypatch.setattr(distributed, "average_over_positions", note)
    world = World(tmp_path, epochs=1)
    world.model = EverySecond(40, embedding_dim=8, max_length=10)
    world.train()
    assert sum(given) == world.windows.num_targets / 2


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    World(tmp_path, epochs=1).train(identity="one")
    with pytest.raises(ValueError, match="another configuration"):
        World(tmp_path).train(identity="two")


def test_a_damaged_checkpoint_is_named(tmp_path):
    world = World(tmp_path)
    world.path.write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read.*training\.resume=false"):
        world.train()


def test_metrics_do_not_depend_on_the_batch_size(tmp_path):
    world = World(tmp_path)
    rankings = []
    for batch_size in (1, 7, 60):
        with evaluating(world.model):
            ranking = rank_users(
                world.model,
                world.sequences,
                world.split.test,
                batch_size=batch_size,
                mask=True,
                device=torch.device("cpu"),
            )
        rankings.append(ranking.ranks)
    assert np.array_equal(rankings[0], rankings[1])
    assert np.array_equal(rankings[0], rankings[2])


@pytest.mark.parametrize(
    "setting", [{"epochs": 0}, {"lr": 0.0}, {"patience": -1}, {"threads": 0}, {"weight_decay": -0.1}, {"device": "tpu"}]
)
def test_a_bad_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=rf"training\.{next(iter(setting))}="):
        TrainingSettings(**setting)


def test_patience_that_could_not_see_two_validations_is_refused():
    with pytest.raises(ValueError, match=r"training\.patience=2 is shorter than training\.eval_every=5"):
        TrainingSettings(patience=2, eval_every=5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_where_there_is_none_is_refused():
    with pytest.raises(ValueError, match=r"training\.device=cuda: PyTorch finds no CUDA device here; use auto or cpu"):
        TrainingSettings(device="cuda")
