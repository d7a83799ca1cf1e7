"""What is written is whole, stays where it should, and is believed only unharmed."""

import os
import shlex
import subprocess
import sys
import zipfile

import pytest
import torch

from hybrid_seq_gnn import files
from hybrid_seq_gnn.run.folder import lock_folder
from hybrid_seq_gnn.training import checkpoint
from tests.commands import fail, results, succeed

TINY = ["data=synthetic", "data.users=40", "data.items=40", "model=popularity"]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "results.json").symlink_to(tmp_path / "victim")
    files.write_text(tmp_path / "results.json", "new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "results.json").read_text() == "new"


def test_a_lock_is_not_taken_through_a_link(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"), files.locked(tmp_path / ".lock"):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", ["train.log", ".lock", "config.yaml", "checkpoint.pt"])
def test_a_run_folder_with_a_link_in_it_is_refused(name, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "victim")
    message = fail(*TINY, "hydra.run.dir=run", cwd=tmp_path)
    assert f"{name} is a symbolic link" in message
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", ["study.journal", ".lock"])
def test_a_sweep_folder_with_a_link_in_it_is_refused(name, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).symlink_to(tmp_path / "victim")
    message = fail(*TINY, "seed=0,1", "-m", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert f"{name} is a symbolic link" in message
    assert not (tmp_path / "victim").exists()


def test_a_shared_encoder_with_a_link_in_its_folder_is_refused(tmp_path):
    arguments = [*TINY[:-1], "model.embedding_dim=8", "training.epochs=1", "hydra.run.dir=run"]
    succeed(*arguments, "training.encoders=shared", cwd=tmp_path)
    (folder,) = (tmp_path / "shared").iterdir()
    for path in [*folder.iterdir(), *(tmp_path / "run").iterdir()]:
        path.unlink()
    (folder / "train.log").symlink_to(tmp_path / "victim")
    assert "train.log is a symbolic link" in fail(*arguments, "training.encoders=shared", cwd=tmp_path)
    assert not (tmp_path / "victim").exists()


def test_a_run_folder_may_lie_behind_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    succeed(*TINY, "hydra.run.dir=run", cwd=tmp_path)
    assert (tmp_path / "disk" / "results.json").exists()


def test_what_a_killed_process_left_unfinished_is_removed_at_the_next_start(tmp_path):
    with files.atomic(tmp_path / "x") as unfinished:
        os.link(unfinished, tmp_path / f".y.0{files.UNFINISHED}")  # as if nobody could clean up
    with lock_folder(tmp_path, wait=False):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", "x"}


def test_a_disk_that_is_full_is_named_with_the_file(tmp_path):
    line = [sys.executable, "-m", "hybrid_seq_gnn", *TINY[:-1], "model=sasrec", "hydra.run.dir=run"]
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {shlex.join(line)}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "error: cannot write" in done.stderr
    assert "run/checkpoint.pt: file too large" in done.stderr
    assert "hydra.run.dir" in done.stderr
    assert not list((tmp_path / "run").glob("*.part"))


def flip(path, place):
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def test_a_flipped_bit_of_a_checkpoint_is_found(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"weights": torch.arange(1000.0)}, path)
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    flip(path, largest.header_offset + largest.file_size // 2 + 200)
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read .*training\.resume=false"):
        checkpoint.load(path, torch.device("cpu"))


def test_results_hold_the_checksums_of_what_a_run_leaves(tmp_path):
    succeed(*TINY, "hydra.run.dir=run", cwd=tmp_path)
    told = results(tmp_path / "run")["sha256"]
    assert told == {name: files.checksum(tmp_path / "run" / name) for name in ("model.pt", "per_user.parquet")}
    two = ["+experiment=study/embeddings", "training=two_stage", "training.epochs=1", "training.graph_epochs=1"]
    succeed(*TINY[:3], *two, "hydra.run.dir=two", cwd=tmp_path)
    assert results(tmp_path / "two")["sha256"]["graph.pt"] == files.checksum(tmp_path / "two" / "graph.pt")
