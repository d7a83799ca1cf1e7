"""A training that takes long says so at its start, and validates on a sample."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.evaluation.settings import EvaluationSettings
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.training import measure, pace
from hybrid_seq_gnn.training.measure import Measure, affordable
from hybrid_seq_gnn.training.pace import advice, duration, warn_if_slow
from hybrid_seq_gnn.training.settings import TrainingSettings
from tests.conftest import leave_last_two_out, make_sequences


@pytest.mark.parametrize(
    ("seconds_a_step", "steps", "said"),
    [
        (0.5, 20_000, "about 2 h 47 min, and 4 epochs up to 11 h 07 min, going by the first 11 steps. Shorter: x."),
        (60.0, 50, "about 50 min, and 4 epochs up to 3 h 20 min, going by the first 2 steps."),
        (0.5, 1_000, ""),
        (700.0, 1, ""),  # the first step is not typical, and there is no other
    ],
)
def test_a_long_epoch_is_foretold_once_from_its_first_steps(seconds_a_step, steps, said, monkeypatch, caplog):
    clock = itertools.count(0.0, seconds_a_step)  # it is looked at once a step
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(clock))
    assert list(warn_if_slow(range(steps), steps, 4, "x")) == list(range(steps))
    assert len(caplog.records) == bool(said)
    assert said in caplog.text


def test_a_duration_is_said_in_a_unit_of_which_there_are_several():
    assert [duration(s) for s in (0.4, 42, 700, 7_300)] == ["0.4 s", "42 s", "12 min", "2 h 02 min"]


def test_advice_names_only_what_would_help():
    graph = SparseMatrix(np.array([1]), np.array([1]), np.ones(1), 2)
    settings = TrainingSettings(device="cpu")
    assert advice(nn.Sequential(graph), CrossEntropy(), settings).startswith(
        "loss=sampled_softmax, a lower graph.top_k,"
    )
    sequences = make_sequences([5, 6])
    unseen = Unseen(sequences, leave_last_two_out(sequences))
    assert advice(nn.Linear(1, 1), unseen, settings).startswith("loss=sampled_softmax")
    assert "graph" not in advice(nn.Linear(1, 1), nn.MSELoss(), settings)
    assert "sampled" not in advice(nn.Linear(1, 1), nn.MSELoss(), settings)


@pytest.fixture
def prepared():
    sequences = make_sequences([5] * 40)
    return Prepared(sequences, leave_last_two_out(sequences), "", "", ())


def of(prepared, valid_users):
    return Measure(prepared, EvaluationSettings(), torch.device("cpu"), valid_users)


def test_all_users_of_small_data_are_validated(prepared):
    for which in ("auto", None, 40):
        assert of(prepared, which).validates_all
        assert "validated on" not in of(prepared, which).description()


def test_a_sample_of_many_users_is_fixed_and_said(prepared, monkeypatch):
    monkeypatch.setattr(measure, "FEWEST_USERS", 10)
    monkeypatch.setattr(measure, "SCORES_A_POSITION", 9)  # 80 positions * 9 / 30 items / 2
    ours = of(prepared, "auto")
    users = np.flatnonzero(ours.valid_positions >= 0)
    assert len(users) == 12 and users.max() > 12
    assert np.array_equal(ours.valid_positions[users], prepared.split.valid[users])
    assert np.array_equal(ours.valid_positions, of(prepared, "auto").valid_positions)
    assert not ours.validates_all
    assert "training is validated on 12 of 40 users" in ours.description()
    assert np.flatnonzero(of(prepared, 7).valid_positions >= 0).tolist() == list(range(7))
    assert of(prepared, None).validates_all


@pytest.mark.parametrize(
    ("users", "items", "events", "most"),
    [
        (22_363, 12_101, 198_502, None),  # Beauty
        (138_493, 26_744, 20_000_263, None),  # ML-20M
        (500_000, 1_000_000, 10_000_000, 42_500),
    ],
)
def test_a_sample_is_taken_where_items_are_many(users, items, events, most, prepared):
    lengths = np.full(users, events // users)
    sequences = replace(prepared.sequences, indptr=np.append(0, lengths.cumsum()), item_ids=np.arange(items))
    found = affordable(replace(prepared, sequences=sequences, split=leave_last_two_out(sequences)))
    assert found == most if most else found >= users


@pytest.mark.parametrize("value", [0, "all", -1])
def test_other_words_for_users_are_refused(value):
    with pytest.raises(ValueError, match=r"training\.valid_users=.*expected a whole number, 1 or more, auto or null"):
        TrainingSettings(valid_users=value)
