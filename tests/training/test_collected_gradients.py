"""A training on a large catalogue that collects the gradient of its item table is the same training."""

import pytest
import torch

from hybrid_seq_gnn.loss.bce import BCE
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.sampled_softmax import SampledSoftmax
from hybrid_seq_gnn.negatives.dynamic import Dynamic
from hybrid_seq_gnn.negatives.uniform import Uniform
from tests.training.test_loop import DiesInEpoch, Killed, World

ITEMS = 3000
LOSSES = {
    "one negative": lambda *of: BCE(Uniform(*of)),
    "shared negatives": lambda *of: SampledSoftmax(Uniform(*of, num_negatives=20, per="user")),
    "more negatives than are collected": lambda *of: SampledSoftmax(Uniform(*of, num_negatives=20)),
    "the hardest of some": lambda *of: BCE(Dynamic(*of, num_negatives=1, pool=3)),
}


def trained(folder, monkeypatch, collects, loss, dies=None, **settings):
    """The weights after three epochs."""
    monkeypatch.setattr("hybrid_seq_gnn.training.loop.LARGE", 0 if collects else ITEMS + 2)
    monkeypatch.setattr("hybrid_seq_gnn.model.item_table.ItemTable.forget", lambda table: None)
    folder.mkdir(exist_ok=True)
    world = World(folder, ITEMS, **{"epochs": 3, **settings})
    windows = DiesInEpoch(world.windows, dies) if dies else world.windows
    world.train(loss=loss(world.sequences, world.split), windows=windows)
    return world.model


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.1, "ema": 0.5}], ids=["plain", "clipped and averaged"])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_those_of_a_training_that_does_not_collect(loss, settings, tmp_path, monkeypatch):
    ours = trained(tmp_path / "a", monkeypatch, True, LOSSES[loss], **settings)
    theirs = trained(tmp_path / "b", monkeypatch, False, LOSSES[loss], **settings)
    assert (ours.items.collect, theirs.items.collect) == (True, False)
    assert (ours.items._buffer is None) == loss.startswith("more")  # the inputs are added to the gradient of the scores
    assert theirs.items._buffer is None and not theirs.items._added
    for (name, one), two in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(one, two, atol=2e-4), name


def test_a_killed_run_that_collects_ends_with_the_same_bits(tmp_path, monkeypatch):
    loss = LOSSES["shared negatives"]
    straight = trained(tmp_path / "a", monkeypatch, True, loss)
    with pytest.raises(Killed):
        trained(tmp_path / "b", monkeypatch, True, loss, dies=3)
    resumed = trained(tmp_path / "b", monkeypatch, True, loss)
    for (name, one), two in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


def test_a_softmax_over_all_items_is_not_collected(tmp_path, monkeypatch):
    assert not trained(tmp_path, monkeypatch, True, lambda *of: CrossEntropy(), epochs=1).items.collect


def test_the_buffer_goes_with_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.training.loop.LARGE", 0)
    world = World(tmp_path, ITEMS, epochs=1)
    world.train(loss=LOSSES["one negative"](world.sequences, world.split))
    assert world.model.items.collect and world.model.items._buffer is None
