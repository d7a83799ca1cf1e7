"""What docs/ says is so: its code works when it is put where it says, and its commands run."""

import csv
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
import yaml

from tests.commands import SMALL, succeed
from tests.conftest import ROOT

DOCS = ROOT / "docs"
COMMAND = "python -m hybrid_seq_gnn "
SHOP = "shop"
COPIED = ("hybrid_seq_gnn", "conf", "sweeps", "tests", "pyproject.toml")
EXAMPLES = {"fusion": "halving", "gnn": "appnp", "model": "fading", "training": "cooldown"}
LAUNCHERS = {"joblib": "joblib", "submitit_slurm": "submitit", "ray": "ray"}


def blocks(page, language):
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def commands(page):
    """The lines of a page that start a run or a sweep, as arguments."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines() if line.startswith(COMMAND)]
    return [shlex.split(line)[3:] for line in lines if SHOP not in line]


def is_there(arguments):
    """Whether the launcher that a command names is installed."""
    named = next((a.partition("=")[2] for a in arguments if a.startswith("hydra/launcher=")), None)
    return named is None or importlib.util.find_spec(f"hydra_plugins.hydra_{LAUNCHERS[named]}_launcher") is not None


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository with the files that docs/add_a_model.md adds to it."""
    copy = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    for block in [*blocks("add_a_model.md", "python"), *blocks("add_a_model.md", "yaml")]:
        path = copy / block.splitlines()[0].removeprefix("# ")
        assert not path.exists(), path
        path.write_text(block)
    return copy


def in_copy(copy, *arguments):
    """A command in the copy, whose package is the one that counts there."""
    there = os.pathsep.join([str(copy), str(copy / "sweeps")])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": there},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_page_has_a_file_and_its_twin_for_every_example(extended):
    for group, name in EXAMPLES.items():
        assert (extended / "hybrid_seq_gnn" / group / f"{name}.py").is_file()
        assert (extended / "conf" / group / f"{name}.yaml").is_file()


def test_the_commands_of_the_page_run_with_what_it_adds(extended):
    lines = []
    for arguments in commands("add_a_model.md"):
        takes_all = "model=sasrec,fading" not in arguments  # Fading has no blocks
        small = [setting for setting in SMALL if takes_all or not setting.startswith("model.num_blocks")]
        own = [] if "-m" in arguments else [f"hydra.run.dir=run{len(lines)}"]  # two may start in the same second
        lines.append([*small, "study.workers=1", "training.epochs=1", *own, *arguments])
    forks = f"print(json.dumps([[d.stdout, d.stderr] for d in (succeed(*a, cwd='.') for a in {lines!r})]))"
    said = in_copy(extended, "-c", f"import json\nfrom tests.commands import succeed\n{forks}")
    for line, (out, errors) in zip(lines, json.loads(said), strict=True):
        assert "written to " in out, line
        assert "Traceback" not in out + errors, line


def test_the_tests_find_what_the_page_adds_by_themselves(extended):
    (line,) = [line for block in blocks("add_a_model.md", "bash") for line in block.splitlines() if "pytest" in line]
    said = in_copy(extended, *shlex.split(line)[1:], "-o", "addopts=", "-q", "-p", "no:cacheprovider")
    passed = int(re.search(r"(\d+) passed", said)[1])
    assert passed > 20
    assert not re.search(r"failed|error|skipped", said.splitlines()[-1])


@pytest.fixture(scope="module")
def own_files(tmp_path_factory):
    """The folder in which the snippet of docs/own_data.md has written its files."""
    folder = tmp_path_factory.mktemp("own")
    snippet = re.search(r"python - <<'END'\n(.*?)^END$", blocks("own_data.md", "bash")[0], re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-"], input=snippet[1], text=True, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("arguments", commands("own_data.md"), ids=" ".join)
def test_a_command_reads_the_files_of_the_page(arguments, own_files, tmp_path):
    said = succeed(*arguments, f"hydra.run.dir={tmp_path}", cwd=own_files).stdout
    assert "data.min_user_events=5: removed" in said
    plain = not {"data=synthetic", "data.k_core=5", "data.split=global_time"} & {*arguments}
    assert not plain or blocks("own_data.md", "text")[0].splitlines()[-1] in said


def test_the_code_of_the_page_on_python_runs(tmp_path):
    code = "\n".join(blocks("in_python.md", "python"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_log_goes_all_the_way_by_the_commands_of_the_page(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs hybrid_seq_gnn[export]")
    pytest.importorskip("onnxscript", reason="needs hybrid_seq_gnn[export]")
    snippet, *steps = [block for block in blocks("own_data.md", "bash") if SHOP in block]
    script = snippet.replace("python -", f"{shlex.quote(sys.executable)} -")
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, timeout=100)
    lines = [shlex.split(line) for line in "".join(steps).splitlines() if line.startswith("python -m hybrid_seq_gnn")]
    assert len(lines) == 7
    said = ""
    for _, _, module, *arguments in lines:
        done = succeed(*arguments, cwd=tmp_path, main=import_module(f"{module}.__main__").main)
        assert "Traceback" not in done.stderr
        said += done.stdout
    with (tmp_path / "recommendations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 600
    assert all(row["user"].startswith("Kundin ") and row["item"].split()[0] in "rote grüne blaue große" for row in rows)
    assert re.search(r"rote Tasse \([01]\.\d\d\)|grüne Kanne \([01]\.\d\d\)", said)
    assert {"shop.onnx", "shop.vocabulary.json"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "outputs" / "report" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("arguments", commands("sweeps.md"), ids=" ".join)
def test_a_sweep_of_the_page_would_run(arguments, tmp_path):
    if not is_there(arguments):
        pytest.skip("the launcher is not installed")
    said = succeed(*arguments, "study.dry_run=true", cwd=tmp_path).stdout
    assert "study.dry_run=true runs nothing" in said


def test_the_study_of_the_page_is_one(tmp_path):
    (tmp_path / "windows.yaml").write_text(blocks("sweeps.md", "yaml")[0])
    said = succeed("sweeps=windows.yaml", "study.dry_run=true", cwd=tmp_path).stdout
    assert "16 runs" in said


def test_the_page_names_every_study_with_its_question():
    page = (DOCS / "sweeps.md").read_text()
    named = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    assert set(named) == {path.stem for path in (ROOT / "sweeps").glob("*.yaml")}


def test_links_between_pages_lead_somewhere():
    for page in [*DOCS.glob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_versions_are_said_alike_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (ruff,) = [repo["rev"] for repo in hooks if "ruff" in repo["repo"]]
    assert f"ruff=={ruff.removeprefix('v')}\n" in (ROOT / "constraints.txt").read_text()
