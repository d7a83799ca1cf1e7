"""Bad input gets one clear message, in the words of the command line."""

import zipfile

import pytest
import torch

from tests.commands import SMALL, command, fail


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fusion.alpha=1.7"], ["fusion.alpha=1.7", "[0, 1]"]),
        (["fusion.alpha=abc"], ["fusion.alpha=abc", "a number"]),
        (["fusion.alhpa=0.5"], ["fusion.alhpa", "fusion.alpha"]),
        (["+fusion.x=1"], ["fusion.x", "no such setting", "alpha"]),
        (["+speed=1"], ["speed", "no such setting"]),
        (
            ["+experiment=study/embeddings", "training.select=none"],
            ["training.select: there is no such setting. Did you mean training.schedule", "Settings of training here"],
        ),
        (["fusion=fxied"], ["fusion=fxied", "fixed"]),
        (["fuson=fixed"], ["fuson: there is no such setting. Did you mean fusion=fixed?"]),
        (["sweep=quick"], ["sweep: there is no such setting. Did you mean sweeps=quick?"]),
        (["training.epoch=3"], ["Did you mean training.epochs? "]),
        (["+experiment=study/embedings"], ["Did you mean +experiment=study/embeddings?"]),
        (["fusion.alpha=0.3,0.5"], ["fusion.alpha=0.3,0.5: several values are a sweep; add -m."]),
        (["fusion.alpha=0.3, 0.5"], ["fusion.alpha=0.3, 0.5: several values are a sweep; add -m."]),
        (["fusion.alpha=interval(0,1)"], ["fusion.alpha=interval(0,1): several values are a sweep; add -m."]),
        (["model", "sasrec"], ["model: expected a setting and its value, such as model=sasrec."]),
        (["model=popularity", "model.width=8", "model.depth=8"], ["model.width: there is no such setting. ("]),
        (["hydra/launcher=nothing", "seed=0,1", "-m"], ["hydra/launcher"]),
        (
            ["hydra/launcher=slurm", "seed=0,1", "-m"],
            ["hydra/launcher=slurm", "joblib", "Did you mean hydra/launcher=submitit_slurm?"],
        ),
        (["hydra/launcher=dask", "seed=0,1", "-m"], ["hydra/launcher=dask", "basic, joblib, ray, submitit_local"]),
        (["hydra/launcher=null", "seed=0,1", "-m"], ["hydra/launcher=null: a group needs an option", "basic, joblib"]),
        (["experiment=study/gat"], ["with a plus: +experiment=study/gat"]),
        (["experiment=study/gat", "seed=0,1", "-m"], ["with a plus: +experiment=study/gat"]),
        (["data.path=a=b"], ["data.path='a=b'"]),
        (["fusion.alpha=0.3,7", "-m"], ["fusion.alpha=7", "[0, 1]"]),
        (["fusion.alpha=interval(0,2)", "-m", "study.dry_run=true"], ["fusion.alpha=2", "[0, 1]"]),
        (["model=sasrec", "training.lr=1e-3,abc", "-m"], ["training.lr=abc", "a number"]),
        (["fusion=fixed,learnable", "fusion.alpha=0.3,0.5", "fusion.init_mid=0.4,9", "-m"], ["fusion.init_mid=9"]),
        (["model=transformer"], ["model=transformer", "hybrid", "sasrec"]),
        (["training.device=cuda"], ["training.device=cuda", "no CUDA"]),
        (["training.epochs=0"], ["training.epochs=0"]),
        (["training.lr=fast"], ["training.lr=fast", "a number"]),
        (["seed=-1"], ["seed=-1"]),
        (["seed=99999999999999999999"], ["seed=99999999999999999999"]),
        ([f"seed={'9' * 5000}"], ["seed=999", "fewer digits"]),
        ([f"training.lr={'9' * 350}"], ["training.lr=999", "a number"]),
        (["model.embedding_dim=99999999999999999999"], ["model.embedding_dim=99999999999999999999"]),
        ([f"fusion.alpha={'[' * 400}{']' * 400}"], ["fusion.alpha=[[[", "fewer brackets"]),
        (["training.threads=0"], ["training.threads=0"]),
        (["training.warmup=1e9"], ["training.warmup=1e+09", "training.epochs=100"]),
        (["loss.temperature=1e-30"], ["loss.temperature=1e-30", "0.001"]),
        (["+experiment=study/embeddings", "gnn.layer_weights=[0,0,0]"], ["gnn.layer_weights=[0.0, 0.0, 0.0]"]),
        (["evaluation.groups.short=60"], ["evaluation.groups.short=60", "short < long"]),
        (["gnn=lightgcn", "gnn.num_layers=-1"], ["gnn.num_layers=-1"]),
        (["gnn.widnow=3"], ["gnn.widnow", "gnn.window"]),
        (["gnn=lightgcn"], ["training=joint", "+experiment=study/embeddings"]),
        (["+experiment=hybrid/movietweetings", "+foo=1"], ["foo: there is no such setting. Top level"]),
        (["study.dry_run=true"], ["study.dry_run=true: this is one run", "-m", "--cfg job"]),
        (["+experiment=hybrid/movietweetings", "fusion=learnable"], ["fusion.alpha", "+experiment=", "~fusion.alpha"]),
        (["+experiment=hybrid/movietweetings", "model=sasrec"], ["model.encoder", "+experiment=", "~model.encoder"]),
        (["hydra.sweep.dir=x"], ["hydra.sweep.dir=x: this is one run", "hydra.run.dir", "-m"]),
        (["hydra/sweeper=basic"], ["run by this program's own sweeper"]),
        (["hydra.run.dir="], ["hydra.run.dir= is empty; expected a folder"]),
        (["hydra.run.dir=' '"], ["hydra.run.dir=' ' is empty"]),
        (["hydra.sweep.dir=", "seed=0,1", "-m"], ["hydra.sweep.dir= is empty"]),
        (["data=table", "data.path="], ["data.path is empty; expected a path"]),
        (["data=table", "data.path=caf\udce9.csv"], ["data.path=caf", "\\udce9.csv: expected UTF-8", "rename it"]),
        (["hydra.run.dir=caf\udce9"], ["hydra.run.dir=caf", "\\udce9: expected UTF-8"]),
        (["--resolve"], ["--resolve", "--cfg job"]),
        (["--cfg", "job", "--info"], ["--cfg and --info", "one of them"]),
        (["-m", "--run", "seed=0,1"], ["--run: it makes one run", "-m makes a sweep"]),
        (["fusion=null"], ["fusion=null: a group needs an option", "fixed"]),
        (["gnn=null"], ["gnn=null: a group needs an option", "gnn=none does without"]),
        (["gnn=none,null", "-m"], ["gnn=none,null: a group needs an option"]),
        (["gnn=choice(none,Null)", "-m"], ["gnn=choice(none,Null): a group needs an option"]),
        (["loss=3"], ["loss=3: a group needs an option", "bpr"]),
        (["+experiment=null"], ["+experiment=null: a group needs an option", "study/gat"]),
        (["~fusion"], ["~fusion: a group cannot be taken away", "fixed"]),
        (["~logger"], ["~logger: a group cannot be taken away", "logger=none does without"]),
        (["model=sasrec", "~graph=cooccurrence"], ["~graph=cooccurrence: a group cannot be taken away"]),
        (["model=sasrec,hybrid", "~negatives", "-m"], ["~negatives: a group cannot be taken away"]),
        (["data=sequences"], ["data.path"]),
        (["data=sequences", "data.path=nowhere.txt"], ["nowhere.txt"]),
    ],
    ids=lambda value: " ".join(value) if value and "=" in value[0] else "",
)
def test_bad_input_gets_one_clear_message(arguments, words, tmp_path):
    if "training.device=cuda" in arguments and torch.cuda.is_available():
        pytest.skip("has CUDA")
    message = fail("data.max_users=50" if not arguments[0].startswith("data") else "seed=0", *arguments, cwd=tmp_path)
    for word in words:
        assert word in message
    assert not list(tmp_path.iterdir())  # no folder is left behind


def test_an_experiment_of_ones_own_without_its_package_says_which_line_it_lacks(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    for text in ("model:\n  dropout: 0.1\n", "seed: 3\n"):
        own = tmp_path / "mine" / "experiment" / "own.yaml"
        own.write_text(text)
        for more in ([], ["-m"]):
            message = fail(*SMALL, "--config-dir", "mine", "+experiment=own", *more, cwd=tmp_path)
            assert "# @package _global_" in message
        own.write_text(f"# @package _global_\n{text}")
        shown = command("--config-dir", "mine", "+experiment=own", "--cfg", "job", cwd=tmp_path).stdout
        assert text in shown or "dropout: 0.1" in shown


BROKEN = {
    "empty.csv": ("", ["empty.csv", "empty"]),
    "broken.csv": ("user,item,timestamp\n1,2,3\n1,2\n", ["broken.csv", "line 3", "1,2"]),
    "time.csv": ("user,item,timestamp\n1,2,3\n1,3,noon\n", ["time.csv", "line 3", "noon"]),
    "column.csv": ("uid,item,timestamp\n1,2,3\n", ["user", "uid, item, timestamp"]),
    "short.csv": ("user,item,timestamp\n1,2,3\n2,2,3\n", ["data.min_user_events"]),
    "separator.csv": ("user;item;timestamp\n1;2;3\n", ["separator.csv", "data.separator"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_gets_one_clear_message(name, tmp_path):
    text, words = BROKEN[name]
    (tmp_path / name).write_text(text)
    message = fail("data=table", f"data.path={name}", cwd=tmp_path)
    for word in words:
        assert word in message


def test_a_zip_whose_members_point_outside_gets_one_clear_message(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::2::3::4\n")
        archive.writestr("../../evil.txt", "x")
    message = fail("data=ml-1m", "data.path=bad.zip", cwd=tmp_path)
    assert "bad.zip" in message
    assert "../../evil.txt" in message
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


def test_a_folder_that_cannot_be_written_gets_one_clear_message(tmp_path):
    (tmp_path / "file").write_text("")
    assert "hydra.run.dir" in fail(*SMALL, "hydra.run.dir=file/run", cwd=tmp_path)


@pytest.mark.parametrize("hydras", [[], ["hydra.output_subdir=.hydra"]])
def test_a_refused_run_removes_the_folders_that_it_made_and_no_other(hydras, tmp_path):
    refused = ["data=table", "data.path=no.csv", *hydras]
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    fail(*refused, "hydra.run.dir=mine/new/run", cwd=tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"mine", "empty"}
    fail(*refused, "hydra.run.dir=mine/empty", cwd=tmp_path)
    assert (tmp_path / "mine" / "empty").is_dir()


def test_a_run_that_fails_after_it_has_begun_keeps_its_folder(tmp_path):
    fail(*SMALL, "training=joint", "fusion.alpha=null", "hydra.run.dir=run", cwd=tmp_path)
    assert (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", "data: {_target_: mine}\n"),
        ("config.yaml", "a: &a 1\nb: *a\n"),
        ("config.yaml", "[1]"),
        ("model.pt", "x"),
        ("per_user.parquet", "x"),
        ("metrics.jsonl", "x"),
    ],
)
def test_files_of_somebody_else_are_not_replaced(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert f"{name} is there, and no run wrote it" in fail(
        *SMALL, "training.resume=false", "hydra.run.dir=.", cwd=tmp_path
    )
    assert (tmp_path / name).read_text() == text


def test_debug_shows_the_traceback(tmp_path):
    done = command(*SMALL, "fusion.alpha=1.7", "debug=true", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
