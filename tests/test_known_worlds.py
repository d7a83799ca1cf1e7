"""Synthetic worlds in which it is known what can be learned, and by whom."""

import copy

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.prepare import prepare
from hybrid_seq_gnn.data.synthetic import Synthetic
from hybrid_seq_gnn.fusion.continuous import Continuous
from hybrid_seq_gnn.fusion.discrete import Discrete
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.fusion.learnable import Learnable
from hybrid_seq_gnn.fusion.length_gate import LengthGate
from hybrid_seq_gnn.fusion.piecewise import Piecewise
from hybrid_seq_gnn.training.fusion_fit import fit
from hybrid_seq_gnn.training.held_out import HeldOut
from hybrid_seq_gnn.training.normaliser import polynomial
from tests.commands import results, succeed

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
    name = "_".join(arguments).replace("=", "").replace("/", "")
    succeed("data=synthetic", *settings, *TRAINING, *arguments, f"hydra.run.dir={name}", cwd=tmp_path)
    return results(tmp_path / name)["grouped_metrics"][group]["HR@10"]


@pytest.mark.parametrize(("order", "margin"), [(0.9, (0.4, 1.0)), (0.0, (-0.1, 0.06))])
def test_sasrec_beats_popularity_where_there_is_order_and_only_there(order, margin, tmp_path):
    dials = world(order_strength=order, cooccurrence_strength=0.0)
    gain = hr10(dials, tmp_path, "model=sasrec") - popularity_hr10(dials)
    assert margin[0] <= gain <= margin[1]


def test_what_goes_together_is_learned_from_short_histories(tmp_path):
    dials = world(order_strength=0.0, cooccurrence_strength=0.9, short_share=1.0)
    gain = hr10(dials, tmp_path, "+experiment=study/embeddings", group="short") - popularity_hr10(dials)
    assert gain > 0.1


MEMORY = ["gnn=transitions", "gnn.window=10", "gnn.decay=1.0", "gnn.recency=1.0", "fusion.alpha=null"]


def test_where_short_histories_stay_in_clusters_the_graph_helps_the_short(tmp_path):
    """Two items a user: too little for a table of random embeddings, enough for knowing what goes together."""
    dials = {
        "users": 300,
        "items": 600,
        "order_strength": 0.0,
        "cooccurrence_strength": 0.8,
        "short_share": 1.0,
    }
    alone = hr10(dials, tmp_path, "model=sasrec", "model.init=random", "training.epochs=60", group="short")
    post_hoc = ["training=post_hoc", "training.encoder_checkpoint=alone/model.pt", *MEMORY]
    next(tmp_path.glob("*random*")).rename(tmp_path / "alone")
    for hybrid in (["+experiment=study/embeddings", "fusion.alpha=0.2"], post_hoc):
        gain = hr10(dials, tmp_path, *hybrid, "training.epochs=60", group="short") - alone
        assert gain > 0.05, hybrid


def step(n):
    return 0.3 if n <= 10 else 0.5 if n <= 50 else 0.8


def rising(n):
    return 0.15 + 0.7 / (1 + (21 / (1 + n)) ** 2)


def planted(alpha, geometric, users=20_000, items=50):
    """Held-out items that were drawn from a mixture with alpha(n), and what both sides say of them."""
    rng = np.random.default_rng(0)
    length = rng.integers(1, 101, users)
    sides = np.maximum(rng.dirichlet(np.full(items, 0.3), (2, users)), 1e-26)
    weight = np.array([alpha(n) for n in length])[:, None]
    if geometric:
        mixed = np.exp(weight * np.log(sides[0]) + (1 - weight) * np.log(sides[1]))
        mixed /= mixed.sum(1, keepdims=True)
    else:
        mixed = weight * sides[0] + (1 - weight) * sides[1]
    target = (mixed.cumsum(1) > rng.random((users, 1))).argmax(1)
    logs = [torch.from_numpy(p).log() for p in sides]
    seq, graph = (p[torch.arange(users), torch.from_numpy(target)] for p in logs)
    log_z = polynomial(*logs) if geometric else torch.zeros(users, 2)
    return HeldOut(seq, graph, torch.from_numpy(length), torch.zeros(users, 1), geometric, log_z)


@pytest.mark.parametrize("geometric", [False, True], ids=["linear", "geometric"])
@pytest.mark.parametrize(
    ("alpha", "fusion"),
    [
        (lambda n: 0.7, Fixed(alpha=None)),
        (step, Discrete(alpha_short=None, alpha_mid=None, alpha_long=None)),
        (step, Learnable()),
        (step, Learnable(constraint="clamp")),
        (lambda n: 1.1 - step(n), Learnable()),  # falling
        (rising, LengthGate(midpoint=80.0, slope=0.3)),
        (rising, Continuous(offset=0.1, scale=0.8)),  # starts falling, ends rising
        (rising, Piecewise()),
        (lambda n: 1 - rising(n), Piecewise()),
        (lambda n: 1 - rising(n), LengthGate()),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "mix") else getattr(value, "__name__", ""),
)
def test_a_planted_alpha_by_length_is_found_to_a_tenth(alpha, fusion, geometric):
    fusion = copy.deepcopy(fusion)  # one that is not fitted yet
    before = fusion.alpha(torch.arange(1, 101)).detach().clone()
    fit(fusion, planted(alpha, geometric), "likelihood")
    found, true = fusion.alpha(torch.arange(1, 101)), torch.tensor([alpha(n) for n in range(1, 101)])
    assert (found - true).abs().max() < 0.1
    assert not (before - true).abs().max() < 0.1  # it was not there from the start


def test_lightgcn_leaves_popularity_behind_with_the_default_training(tmp_path):
    dials = world(order_strength=0.0, cooccurrence_strength=0.9)
    settings = [f"data.{name}={value}" for name, value in dials.items()]
    succeed("data=synthetic", *settings, "model=lightgcn", "training.epochs=6", "hydra.run.dir=run", cwd=tmp_path)
    assert results(tmp_path / "run")["test_metrics"]["HR@10"] - popularity_hr10(dials) > 0.1


def test_what_goes_together_is_known_before_anything_is_learned(tmp_path):
    dials = world(order_strength=0.0, cooccurrence_strength=0.9, short_share=1.0)
    still = ["model=sasrec", "training.epochs=1", "training.lr=1e-9"]
    known, random = (hr10(dials, tmp_path, *still, f"model.init={init}") for init in ("cooccurrence", "random"))
    assert known - random > 0.1
