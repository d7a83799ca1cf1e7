"""Which run `recommend`, `evaluate` and `export` take of several."""

import subprocess
import sys

import jaxtyping
import pandas as pd
import pytest

from hybrid_seq_gnn import load_run, load_study, train
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluate.__main__ import main as evaluate
from hybrid_seq_gnn.recommend.__main__ import main as recommend
from tests.use.test_commands import copy, said
from tests.use.trained import run_of


@pytest.fixture
def some(tmp_path, monkeypatch):
    """Copies of three runs below outputs/, best first; the current folder is above it."""
    monkeypatch.chdir(tmp_path)
    runs = sorted(
        (run_of(kind) for kind in ("sasrec", "ease", "popularity")), key=lambda one: -one.results["best_val_metric"]
    )
    for place, run in zip("abc", runs, strict=True):
        copy(run, tmp_path / "outputs" / place)
    return [tmp_path / "outputs" / place / "copy" for place in "abc"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("results.json", "{", "results.json cannot be read as JSON"),
        ("results.json", None, "has no results.json"),
        ("model.pt", None, "has no model.pt"),
    ],
)
def test_a_better_run_that_cannot_be_used_is_said(name, content, words, some, caplog, capsys):
    path = some[0] / name
    path.unlink() if content is None else path.write_text(content)
    (some[0] / "train.log").touch()
    assert "outputs/b/copy: 10 items" in said(capsys, recommend, "outputs")
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "hybrid_seq_gnn.use.load"]
    assert warning.startswith("left out: outputs/a/copy")
    assert words in warning


@pytest.mark.parametrize("command", [["recommend"], ["evaluate"], ["export", "--out", "model.pt2"]])
def test_a_better_run_that_cannot_be_used_is_said_on_stderr(command, some):
    (some[0] / "results.json").write_text("{")
    name, *more = command
    words = [sys.executable, "-m", f"hybrid_seq_gnn.{name}", "outputs", *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "left out: outputs/a/copy/results.json cannot be read" in done.stderr
    assert "left out:" not in done.stdout


def test_what_evaluate_wrote_is_no_model(some, caplog, capsys, tmp_path):
    items = run_of("sasrec").items
    rows = [(user, items[(user + 3 * t) % 30], t) for user in range(8) for t in range(6)]
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv("log.csv", index=False)
    said(capsys, evaluate, "outputs/a")
    said(capsys, evaluate, "outputs/a", "data=table", "data.path=log.csv")
    assert len(list((tmp_path / "outputs" / "evaluate").iterdir())) == 2
    assert "outputs/a/copy: 10 items" in said(capsys, recommend, "outputs")
    assert "written to outputs/evaluate" in said(capsys, evaluate, "outputs")
    assert not caplog.records
    one, _ = (tmp_path / "outputs" / "evaluate").iterdir()
    assert "evaluated" in load_run(one).results  # named by itself
    (tmp_path / "outputs" / "evaluate").rename(tmp_path / "outputs" / "a0")  # read first
    assert load_study("outputs").best().folder == load_run("outputs").folder
    with pytest.raises(UserError, match="cannot be compared: they have other data"):  # of the two evaluations
        load_study("outputs/a0").best()
    assert load_study(f"outputs/a0/{one.name}").best().folder.parent.name == "a0"


def test_a_study_of_several_data_has_no_best_run(some, tmp_path):
    train({"option": "synthetic", "users": 40}, model="popularity", folder=tmp_path / "outputs" / "d")
    study = load_study("outputs")
    assert repr(study).startswith("<study of 4 runs")
    for refused in (study.best, lambda: load_run("outputs")):
        with pytest.raises(UserError, match="cannot be compared: they have other data"):
            refused()


@pytest.mark.parametrize("path", [5, None, ["outputs"], {}])
def test_a_path_that_is_none_is_refused(path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it would refuse such a path
    for load in (load_run, load_study):
        with pytest.raises(UserError, match="5: there is no such folder" if path == 5 else "path=.*: expected text"):
            load(path)
