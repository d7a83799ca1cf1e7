"""Paths of a sweep are those of the command, whatever they hold; and a launcher that is not installed is said."""

import shutil

from hydra.errors import MissingConfigException

from hybrid_seq_gnn.app.cli import explain
from tests.commands import SMALL, results, succeed
from tests.sweeps.common import ONE, standing

ROWS = "".join(f"{user},{(user + k) % 30},{k}\n" for user in range(40) for k in range(8))


def test_relative_paths_are_those_of_the_command_also_where_hydra_changes_the_folder(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,timestamp\n" + ROWS)
    given = ["data=table", "data.path=log.csv", "model=markov", "hydra.job.chdir=true"]
    succeed(*given, "seed=0,1", "hydra.sweep.dir=out", "-m", cwd=tmp_path)
    assert len(list((tmp_path / "out").glob("*/results.json"))) == 2
    succeed(*given, "hydra.run.dir=one", cwd=tmp_path)
    assert results(tmp_path / "one")["test_metrics"] == results(tmp_path / "out" / "0")["test_metrics"]


def test_a_folder_may_have_any_name(tmp_path):
    name = "a b\\é=ß"
    arguments = [a for a in ONE if not a.startswith("hydra.sweep.dir")]
    succeed(*arguments, "fusion.alpha=0.3,0.7", f"hydra.sweep.dir='{name}'", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    shutil.move(tmp_path / name, tmp_path / "sweep")
    assert standing(tmp_path / "sweep") == ["COMPLETE"] * 2
    assert {path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()} == {"0", "1"}


def test_a_glob_runs_every_option_that_it_stands_for(tmp_path):
    small = [a for a in SMALL if not a.startswith("model.")]
    succeed(*small, "model=glob([m*,s*])", "study.workers=1", "hydra.sweep.dir=out", "-m", cwd=tmp_path)
    assert {results(p.parent)["options"]["model"] for p in (tmp_path / "out").glob("*/results.json")} == {
        "markov",
        "sasrec",
    }


def test_a_launcher_without_its_extra_names_the_line_that_installs_it():
    error = MissingConfigException("In 'config': Could not find 'hydra/launcher/joblib'\n")
    assert explain(error, []) == "hydra/launcher=joblib needs pip install 'hybrid_seq_gnn[parallel]'."
