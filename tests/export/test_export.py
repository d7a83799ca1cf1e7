"""An exported file recommends what the run recommends; what cannot be exported is refused, and leaves nothing."""

import errno
import json
import subprocess
import sys
from functools import partial

import jaxtyping
import numpy as np
import pytest

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.export import command
from hybrid_seq_gnn.export.__main__ import main
from hybrid_seq_gnn.export.models import Best, traceable
from hybrid_seq_gnn.export.write import PACKAGES, runner, traced, write
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.use.histories import Histories
from hybrid_seq_gnn.use.load import choose, load_trained
from hybrid_seq_gnn.use.recommend import recommend
from tests import commands
from tests.commands import SMALL, succeed
from tests.conftest import leave_last_two_out, make_sequences

DATA = [setting for setting in SMALL if setting.startswith("data")]
PLAIN = [*DATA, "training.epochs=1", "model.embedding_dim=8", "model.max_length=6"]
ONE = [*PLAIN, "model.num_blocks=1"]
HYBRID = [*ONE, "training=joint"]
SETTINGS = {
    "sasrec": [*PLAIN, "model=sasrec", "model.num_heads=2"],
    "gru4rec": [*PLAIN, "model=gru4rec", "model.num_layers=2"],
    "bert4rec": [*ONE, "model=bert4rec"],
    "caser": [*PLAIN, "model=caser", "model.cosine=0.2"],
    "evidence": [*ONE, "gnn=evidence", "fusion=fixed", "training=post_hoc", "model.members=2"],
    "transitions": [*HYBRID, "gnn=transitions", "fusion=discrete", "fusion.mix=linear", "model.encoder=gru4rec"],
    "table": [*HYBRID, "gnn=lightgcn", "fusion=length_gate", "model.cosine=0.2", "model.tied=true"],
    "embedding": [*HYBRID, "gnn=lightgcn", "fusion=gated", "fusion.level=embedding", "model.encoder=bert4rec"],
    "ease": [*DATA, "model=ease", "model.recency=0.8"],
    "item_knn": [*DATA, "model=item_knn"],
    "markov": [*DATA, "model=markov", "model.last=3"],
    "popularity": [*DATA, "model=popularity"],
}
LENGTHS = (1, 2, 3, 6, 7, 30)


@pytest.fixture(autouse=True)
def unchecked_shapes():
    """Shapes are symbols while a model is traced."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that takes no time."""
    folder = tmp_path_factory.mktemp("finished")
    succeed(*SETTINGS["popularity"], f"hydra.run.dir={folder / 'run'}", cwd=folder)
    return folder / "run"


refused = partial(commands.refused, main)


def histories_of(trained):
    """Random histories, of which the longest ends with an item that it has had just before."""
    items = np.random.default_rng(1).integers(1, trained.num_items + 1, sum(LENGTHS))
    items[-3] = items[-1]
    return Histories(np.arange(len(LENGTHS)), np.cumsum([0, *LENGTHS]), items)


@pytest.mark.parametrize("name", SETTINGS)
def test_both_files_recommend_what_the_run_does(name, tmp_path):
    for package in PACKAGES:
        pytest.importorskip(package)
    succeed(*SETTINGS[name], f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
    trained = load_trained(choose(tmp_path / "run"), "cpu")
    histories, k = histories_of(trained), 12
    program = traced(Best(traceable(trained.model), k).eval().requires_grad_(False), trained.max_length)
    (expected,) = recommend(trained, histories, k + 1)
    (with_seen,) = recommend(trained, histories, k + 1, include_seen=True)
    for ending in (".pt2", ".onnx"):
        write(program, tmp_path / f"model{ending}", ending)
        run = runner(tmp_path / f"model{ending}", ending)
        for row, length in enumerate(LENGTHS):
            whole = histories.items[None, histories.indptr[row] : histories.indptr[row + 1]]
            read = whole[:, -trained.max_length :]
            for seen, judge in ((whole, expected), (np.zeros((1, 1), dtype=np.int64), with_seen)):
                items, scores = run(read, seen, np.array([length]))
                assert items.shape == scores.shape == (1, k)
                np.testing.assert_allclose(scores[0], judge.scores[row, :k], rtol=1e-4, atol=1e-6)
                apart = np.diff(judge.scores[row], prepend=np.inf) < -1e-5
                alone = apart[:-1] & apart[1:]  # no other item has that score
                assert items[0, alone].tolist() == judge.items[row, :k][alone].tolist()
                assert alone.any()


def test_help_needs_no_pytorch():
    command = [sys.executable, "-X", "importtime", "-m", "hybrid_seq_gnn.export", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "--out" in done.stdout
    assert not {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()} & {"torch", "pandas", "scipy"}


def test_the_command_says_what_it_checked_and_writes_the_vocabulary(finished, tmp_path, capsys):
    main([str(finished), "--out", str(tmp_path / "new" / "model.pt2"), "--k", "3"])
    said = capsys.readouterr().out
    assert "the same top 3" in said and "for 84 of 84 histories (users of the training data" in said
    assert "MB" in said
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"model.pt2", "model.vocabulary.json"}
    words = json.loads((tmp_path / "new/model.vocabulary.json").read_text())
    trained = load_trained(choose(finished), "cpu")
    assert words["item_ids"] == trained.item_ids.tolist()
    assert (words["k"], words["max_length"], words["alpha"]) == (3, 1, None)
    assert set(words["inputs"]) == {"history", "seen", "length"}
    assert str(tmp_path).encode() not in (tmp_path / "new/model.pt2").read_bytes()
    assert b"/hybrid_seq_gnn/" not in (tmp_path / "new/model.pt2").read_bytes()


def test_a_vocabulary_that_another_file_needs_is_not_replaced(finished, tmp_path):
    (tmp_path / "other.onnx").write_text("x")
    out = tmp_path / "model.pt2"
    main([str(finished), "--out", str(out), "--k", "3"])
    main([str(finished), "--out", str(out), "--k", "2"])  # it replaces its own
    before = (tmp_path / "model.vocabulary.json").read_bytes()
    out.rename(tmp_path / "model.onnx")
    message = refused(finished, "--out", out, "--k", 3)
    assert "model.vocabulary.json is there for model.onnx" in message and "Choose another name" in message
    assert (tmp_path / "model.vocabulary.json").read_bytes() == before
    main([str(finished), "--out", str(out), "--k", "2"])


@pytest.mark.parametrize("wrong", ["items", "scores", "twice"])
def test_a_file_that_recommends_something_else_is_not_kept(wrong, finished, tmp_path, monkeypatch):
    def damaged(path, ending):
        run = runner(path, ending)

        def other(*inputs):
            items, scores = run(*inputs)
            if wrong == "items":
                return np.roll(items, 1, axis=1), scores
            return (items, scores * 1.001) if wrong == "scores" else (items[:, :1].repeat(10, axis=1), scores)

        return other

    monkeypatch.setattr(command, "runner", damaged)
    message = refused(finished, "--out", tmp_path / "model.pt2")
    assert "something else than" in message and "of 84 histories" in message
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_leaves_no_half_file(finished, tmp_path, monkeypatch):
    def full(program, path, ending):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(command, "write", full)
    message = refused(finished, "--out", tmp_path / "model.pt2")
    assert "no space left" in message and "--out" in message
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_exported_is_refused_with_the_models_that_can(tmp_path):
    succeed(*DATA, "training.epochs=1", "model=lightgcn", f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
    message = refused(tmp_path / "run", "--out", tmp_path / "model.pt2")
    assert "LightGCNRecommender" in message and "SASRec" in message
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_model_that_changes_one_of_ours_is_not_exported_as_ours():
    class Other(ItemKNN):
        pass

    sequences = make_sequences([6, 9, 12])
    with pytest.raises(UserError, match="Other cannot be exported"):
        traceable(Other(sequences, leave_last_two_out(sequences)))


def test_what_is_typed_wrong_is_said(finished, tmp_path, monkeypatch):
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "train.log").write_text("")
    out = tmp_path / "model.pt2"
    assert "nowhere: there is no such folder" in refused(tmp_path / "nowhere", "--out", out)
    assert "no results.json" in refused(begun, "--out", out)
    assert "model.pb is not a file that ends in .onnx or .pt2" in refused(finished, "--out", "model.pb")
    assert "--out" in refused(finished)
    assert "--k 400" in refused(finished, "--out", out, "--k", 400)
    assert "0 is not a whole number from 1" in refused(finished, "--out", out, "--k", 0)
    message = refused(finished, "--out", begun / "train.log" / "model.pt2")
    assert "cannot write" in message and "--out" in message
    (tmp_path / "folder.pt2").mkdir()
    assert "is a folder" in refused(finished, "--out", tmp_path / "folder.pt2")
    monkeypatch.setattr("hybrid_seq_gnn.export.write.PACKAGES", ("onnx_that_is_not_there",))
    assert "pip install 'hybrid_seq_gnn[export]'" in refused(finished, "--out", tmp_path / "model.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"begun", "folder.pt2"}
