"""Synthetic worlds in which it is known what can be learned, and by whom."""

import numpy as np
import pytest

from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.synthetic import Synthetic
from tests.test_command_line import results, succeed

TRAINING = [
    "model.embedding_dim=32",
    "model.dropout=0.1",
    "training.epochs=30",
    "training.patience=5",
    "training.lr=0.003",
]


def world(**dials):
    return {"users": 600, "items": 100, **dials}


def popularity_hr10(dials):
    """HR@10 of ranking every item that the user has not had by how often it is in the training part."""
    prepared = prepare(Synthetic(**dials))
    sequences, split = prepared.sequences, prepared.split
    training = [sequences.history(u, split.train_end[u]) for u in range(sequences.num_users)]
    count = np.bincount(np.concatenate(training), minlength=sequences.num_items + 1).astype(float)
    hits = 0
    for user in range(sequences.num_users):
        history = sequences.history(user, split.test[user] + 1)
        scores = count.copy()
        scores[[0, *history[:-1].tolist()]] = -1
        hits += (scores >= scores[history[-1]]).sum() <= 10
    return hits / sequences.num_users


def hr10(dials, tmp_path, *arguments, group="overall"):
    settings = [f"data.{name}={value}" for name, value in dials.items()]
    name = "_".join(arguments).replace("=", "")
    succeed("data=synthetic", *settings, *TRAINING, *arguments, f"hydra.run.dir={name}", cwd=tmp_path)
    return results(tmp_path / name)["grouped_metrics"][group]["HR@10"]


@pytest.mark.parametrize(("order", "margin"), [(0.9, (0.4, 1.0)), (0.0, (-0.1, 0.06))])
def test_sasrec_beats_popularity_where_there_is_order_and_only_there(order, margin, tmp_path):
    dials = world(order_strength=order, cooccurrence_strength=0.0)
    gain = hr10(dials, tmp_path, "model=sasrec") - popularity_hr10(dials)
    assert margin[0] <= gain <= margin[1]


def test_what_goes_together_is_learned_from_short_histories(tmp_path):
    dials = world(order_strength=0.0, cooccurrence_strength=0.9, short_share=1.0)
    gain = hr10(dials, tmp_path, "model=hybrid", group="short") - popularity_hr10(dials)
    assert gain > 0.1
