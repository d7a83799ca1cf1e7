"""Every benchmark runs, on a tiny size; what they measure is judged by eye."""

import importlib
import sys

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import machine
from benchmarks.worlds import world
from hybrid_seq_gnn.evaluation.metrics import metrics
from tests.conftest import ROOT

TINY = {
    "limit": "--data tiny --steps 1 --rounds 1 --rows 64 --squares 16 --items 30 --seconds 0.001",
    "train": "--data tiny --models sasrec embedding geometric --steps 1 --rounds 1",
    "profile": "--data tiny --steps 1",
    "evaluate": "--data tiny --steps 1 --rounds 1",
    "prepare": "--events 2000 --items 50",
    "scale": "--events 2000 --items 50 --steps 1",
    "compare": "--users 60 --runs 2",
    "serve": "--data tiny",
    "evidence": "--events 2000 --items 50",
}
OWN_PROCESSES = {
    "gpu",
    "experts",
    "sweep",
    "memory",
    "peers",
}  # or need a GPU or a run


@pytest.fixture
def here(monkeypatch):
    """Processes of their own would import everything again."""
    for name in TINY:
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "apart"):
            monkeypatch.setattr(module, "apart", machine.measured)


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_prints_the_machine_and_a_table(name, here, capsys):
    command.main([name, *TINY[name].split()])
    paragraph, *tables = capsys.readouterr().out.split("\n\n")
    assert "PyTorch" in paragraph and tables[0].startswith("| ")
    for table in tables[:-1]:
        head, _, *rows = table.strip().splitlines()
        assert rows and {row.count("|") for row in (head, *rows)} == {head.count("|")}


@pytest.mark.parametrize("name", sorted(OWN_PROCESSES))
def test_the_others_explain_their_options(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main([name, "--help"])
    assert name in capsys.readouterr().out


def test_every_benchmark_is_listed_tested_and_documented():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert set(command.NAMES) == {*TINY, *OWN_PROCESSES}
    assert all(f"python -m benchmarks {name}" in text for name in command.NAMES)


def test_the_judge_of_the_peers_agrees_with_our_evaluation(monkeypatch, tmp_path):
    from benchmarks.peers import HERE, export

    monkeypatch.syspath_prepend(HERE)
    data = world("tiny")
    monkeypatch.setattr(sys, "argv", ["judge", str(export(data, tmp_path)), "50", "64"])
    judge = importlib.import_module("judge").Judge()
    scores = np.random.default_rng(0).random(data.num_items + 1)
    sequences, ranks = data.prepared.sequences, []
    for user, end in enumerate(data.prepared.split.valid):
        events = sequences.items[sequences.indptr[user] : sequences.indptr[user] + end + 1]
        left = np.setdiff1d(np.arange(1, data.num_items + 1), events)
        ranks.append(1 + (scores[left] >= scores[events[-1]]).sum())
    found = judge.evaluate(lambda histories: np.tile(scores, (len(histories), 1)))
    assert found == pytest.approx(metrics(np.array(ranks))["NDCG@10"])
