"""A disk that gets full while processes are at work on a study: what was written stays, and the command goes on."""

import os
import shutil
import subprocess

import optuna
import pytest

from hybrid_seq_gnn.study.storage import journal
from tests.commands import command, succeed
from tests.sweeps.common import ONE, finished, standing


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of 256 KiB."""
    if shutil.which("mount") is None:
        pytest.skip("needs mount")
    (tmp_path / "sweep").mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path / "sweep"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
    yield tmp_path / "sweep"
    subprocess.run(["umount", "-l", tmp_path / "sweep"], check=True)


def put_in_queue(study, values, log):
    """Enqueue trials until the disk has been full three times; writes down those of which it is sure."""
    failures = 0
    while failures < 3:
        value = next(values)
        try:
            study.enqueue_trial({"a": value})
            log.write(f"{value}\n")
        except OSError:
            failures += 1
    log.flush()


def test_two_writers_on_a_full_disk_lose_nothing_of_what_they_wrote(disk, tmp_path):
    path = disk / "study.journal"
    study = optuna.create_study(storage=journal(path), study_name="x")
    (disk / "filler").write_bytes(b"\0" * 200 * 1024)
    children = []
    for k in (0, 1):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                with (tmp_path / f"log{k}").open("w") as log:
                    put_in_queue(study, iter(range(k, 10_000, 2)), log)
            finally:
                os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    sure = {int(line) for k in (0, 1) for line in (tmp_path / f"log{k}").read_text().split()}
    assert len(sure) > 50
    assert path.stat().st_size % 4096 == 0  # full to the last byte, in the middle of a line
    (disk / "filler").unlink()
    study.enqueue_trial({"a": -1})
    again = optuna.load_study(storage=journal(path), study_name="x")
    assert {trial.system_attrs["fixed_params"]["a"] for trial in again.trials} == sure | {-1}


def test_a_sweep_whose_disk_was_full_goes_on_when_there_is_room(disk, tmp_path):
    arguments = [*ONE, "fusion.alpha=0.3,0.5,0.7"]
    full = command(*arguments, cwd=tmp_path)  # fails if no run at all had room
    said = full.stdout + full.stderr  # a run has no room, or the journal
    assert f"cannot write {disk}" in said and "no space left" in said
    assert "Traceback" not in full.stdout + full.stderr
    done = len(finished(disk))
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    assert f"{done} done, {3 - done} to run" in succeed(*arguments, cwd=tmp_path).stdout
    assert standing(disk).count("COMPLETE") == len(finished(disk)) == 3
