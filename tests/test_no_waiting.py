"""A training step asks a GPU for no value and no size, so the CPU can prepare the next one while it computes.

On the device `meta`, tensors have a shape and no values. It stands for a GPU here: whoever asks it for a value fails.
"""

import pytest
import torch

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.model.caser import Caser
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.negatives.hard import Hard
from hybrid_seq_gnn.negatives.in_batch import InBatch
from hybrid_seq_gnn.negatives.mixed import Mixed
from hybrid_seq_gnn.negatives.uniform import Uniform

USERS, LENGTH = 4, 7


def batch_on(device):
    items = torch.ones(USERS, LENGTH, dtype=torch.long, device=device)
    users = torch.arange(USERS, device=device)
    return Batch(users, items, items, torch.arange(USERS * LENGTH, device=device))


@pytest.mark.parametrize("sampler", [Uniform, Hard, Mixed, InBatch])
def test_negatives_are_drawn_without_asking_the_device(sampler, sequences, split):
    users = torch.arange(USERS, device="meta")
    items, log_q = sampler(sequences, split, num_negatives=3).to("meta")(users, users, None)
    assert items.shape == log_q.shape == (USERS, 3)


@pytest.mark.parametrize("model", [SASRec, GRU4Rec, Caser])
@pytest.mark.parametrize("loss", [CrossEntropy, Unseen])
def test_a_training_step_and_a_ranking_ask_the_device_for_nothing(model, loss, sequences, split, monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)  # `meta` is unknown to autocast
    device = torch.device("meta")
    model = model(sequences.num_items).to(device)
    loss = (Unseen(sequences, split) if loss is Unseen else CrossEntropy()).to(device)
    batch = batch_on(device)
    scores, targets, users = model.training_scores(batch, batch.items.flatten())
    value = loss(scores, targets, users)
    value.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    with pytest.raises(RuntimeError):
        value.item()
    with torch.inference_mode():
        assert model.eval().next_item_scores(batch).all().shape == (USERS, sequences.num_items + 1)
