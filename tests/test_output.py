"""Standard output whose reader goes away, or that lacks characters."""

import os
import subprocess
import sys

import pytest

from tests.commands import SMALL
from tests.results.folders import random_ranks, write_run


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A folder with a run; the current folder is above it."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "outputs" / "base", random_ranks(0))
    return tmp_path / "outputs"


def without_reader(*words, **environment):
    """A command whose standard output nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, **environment}
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, env=environment)
    os.close(writer)
    return done


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["hybrid_seq_gnn.leaderboard", "outputs"], ["hybrid_seq_gnn.compare", "--help"]])
def test_a_broken_pipe_is_no_error(words, unbuffered, outputs):
    done = without_reader(*words, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], [*SMALL[:3], "model=popularity", "hydra.run.dir=run"]])
def test_a_run_goes_on_without_its_reader(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = without_reader("hybrid_seq_gnn", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run" / "results.json").exists() == ("hydra.run.dir=run" in words)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "ascii:strict"])
def test_an_encoding_that_lacks_characters_is_no_error(encoding, outputs):
    write_run(outputs / "named", random_ranks(3), name="deep – 大", model__dropout=0.1)
    command = [sys.executable, "-m", "hybrid_seq_gnn.leaderboard", "outputs"]
    done = subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.stderr == b""
    assert b"deep ? ?" in done.stdout
