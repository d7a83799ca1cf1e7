"""sweeps/reproduce.sh: blocks of RESULTS.md are commands that run."""

import gzip
import os
import subprocess
import zipfile

import pytest

from tests.commands import succeed
from tests.conftest import ROOT

SCRIPT = ROOT / "sweeps" / "reproduce.sh"


def arguments(folder, *given):
    """What the script would give to Python."""
    (folder / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / "python").chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", SCRIPT, *given], capture_output=True, text=True, check=True, env=path)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a space in its name, and the three files in small."""
    folder = tmp_path_factory.mktemp("data files")
    rows = [(user, (user * 7 + k) % 19 + 1, 5, 100 * k + user) for user in range(1, 25) for k in range(8)]
    for name, member, separator in (("ml-1m", "ratings.dat", "::"), ("ml-100k", "u.data", "\t")):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            lines = (separator.join(map(str, row)) for row in rows)
            archive.writestr(f"{name}/{member}", "".join(f"{line}\n" for line in lines))
    lines = (" ".join(map(str, [user, *(row[1] for row in rows if row[0] == user)])) for user in range(1, 25))
    (folder / "beauty.txt.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return folder


@pytest.mark.parametrize("block", ["ml-100k", "ml-1m-4", "ml-1m", "beauty", "anchors", "refit", "tuned-beauty"])
def test_a_block_is_a_sweep_that_can_run(block, files, tmp_path):
    module, package, *rest = arguments(tmp_path, block, str(files), "study.dry_run=true")
    assert (module, package) == ("-m", "hybrid_seq_gnn") and rest[0] == f"study.name={block}"
    assert "runs nothing" in succeed(*rest, cwd=tmp_path).stdout


def test_every_block_is_listed_and_ends_in_a_command(tmp_path):
    listed = subprocess.check_output(["sh", SCRIPT], text=True).splitlines()[1:]
    assert len(listed) > 15
    for line in listed:
        found = arguments(tmp_path, line.split(":")[0].strip())
        assert found[-1] == "-m" or any(word.startswith("sweeps=") for word in found)


def test_overrides_need_no_folder_and_an_unknown_block_is_an_error(tmp_path):
    assert arguments(tmp_path, "refit", "study.dry_run=true")[-2:] == ["-m", "study.dry_run=true"]
    wrong = subprocess.run(["sh", SCRIPT, "moviet"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "movietweetings" in wrong.stdout


def test_files_that_are_there_are_used(files, tmp_path):
    assert f"data.path={files}/ml-1m.zip" in arguments(tmp_path, "ml-1m", str(files))
    assert "data.path=null" in arguments(tmp_path, "ml-1m", str(tmp_path / "nowhere"))
