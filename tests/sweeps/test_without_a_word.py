"""What a sweep once did without a word: settings without effect, a study that was moved while it ran."""

import json
import shlex
import signal
import time
from types import SimpleNamespace

import optuna
import pytest

from hybrid_seq_gnn.app.arguments import Command
from hybrid_seq_gnn.app.sweep.plan import Plan
from hybrid_seq_gnn.study.queue import every, is_alive, take
from hybrid_seq_gnn.study.settings import StudySettings
from hybrid_seq_gnn.study.space import Space
from tests.commands import fail, succeed
from tests.sweeps.common import LONG, ONE, STUDY, TINY, finished, trials, wait_for
from tests.sweeps.test_owners import stop_outside_the_journal


@pytest.mark.parametrize(
    ("variants", "arguments", "words"),
    [
        ("a: model=popularity, b: model=markov", ["model=item_knn"], "model=item_knn would have no effect"),
        ("a: training.lr=.1, b: training.lr=.2", ["++training.lr=.3"], "every variant sets it (training.lr=.1, …)"),
        ("a: model=popularity", ["model=item_knn,ease"], "model=item_knn,ease cannot vary here: a variant sets it"),
        ("a: model=popularity, b: loss=bce", ["model=item_knn,ease"], "cannot vary here"),
        ("a: seed=7, b: seed=9", [], "seed=7 cannot be in a variant"),
        ("a: loss=bce, b: ++seed=9", [], "++seed=9 cannot be in a variant"),
        ("a: loss=bce study.seeds=3", [], "study.seeds=3 cannot be in a variant"),
        ("a: loss=bce, b: hydra.sweep.dir=elsewhere", [], "hydra.sweep.dir=elsewhere cannot be in a variant"),
    ],
)
def test_what_a_variant_cannot_set_or_hides_is_refused(variants, arguments, words, tmp_path):
    (tmp_path / "v.yaml").write_text(f"question: Which?\nvariants: {{{variants}}}\n")
    assert words in fail(*STUDY, "sweeps=v.yaml", *arguments, cwd=tmp_path)


def test_what_only_some_variants_set_may_be_typed(tmp_path):
    (tmp_path / "v.yaml").write_text("question: Which?\nvariants: {a: model=popularity, b: training.epochs=1}\n")
    succeed(
        "data=synthetic",
        "data.users=60",
        "study.workers=1",
        "sweeps=v.yaml",
        "model=markov",
        "hydra.sweep.dir=s",
        cwd=tmp_path,
    )
    found = {
        config["name"]: config["model"]["_target_"].rpartition(".")[2] for config in finished(tmp_path / "s").values()
    }
    assert found == {"a": "PopularityRecommender", "b": "Markov"}


def test_a_setting_that_is_forced_varies_as_any_other(tmp_path):
    succeed(*ONE, "++seed=3,4", "++training.lr=0.1,0.01", cwd=tmp_path)
    found = [(config["seed"], config["training"]["lr"]) for config in finished(tmp_path / "sweep").values()]
    assert sorted(found) == [(3, 0.01), (3, 0.1), (4, 0.01), (4, 0.1)]


def test_the_repeats_of_a_trial_follow_each_other_however_long_they_are(tmp_path):
    varied = ["training.epochs=1,3", "fusion.alpha=interval(0,1)", "study.n_trials=4", "study.sampler=random"]
    succeed(*STUDY, *varied, "study.seeds=2", "study.pruner=median", "hydra.sweep.dir=sweep", "-m", cwd=tmp_path)
    steps = {trial.params["training.epochs"]: sorted(trial.intermediate_values) for trial in trials(tmp_path / "sweep")}
    assert steps == {1: [1, 4], 3: [1, 2, 3, 4, 5, 6]}


def test_another_seed_of_the_sampler_is_another_study(tmp_path):
    def place(*arguments):
        return succeed(*TINY, "fusion.alpha=interval(0,1)", *arguments, "study.dry_run=true", "-m", cwd=tmp_path).stdout

    assert place() == place("study.seed=0") == place("study.workers=2")
    assert place() != place("study.seed=1")


def test_a_study_that_runs_is_not_put_aside(start, tmp_path):
    running = start(*LONG, "fusion.alpha=0.3")
    wait_for(tmp_path / "sweep" / "0" / "metrics.jsonl", running)
    stop_outside_the_journal(running, tmp_path / "sweep" / "study.journal.flock")
    assert "is run now by process" in fail(*LONG, "fusion.alpha=0.3", "study.fresh=true", cwd=tmp_path)
    running.send(signal.SIGCONT)
    done = running.end()
    assert done.returncode == 0, done.stdout + done.stderr


def test_fresh_leaves_the_folder_of_another_storage_alone(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3", "study.storage=sqlite:///a.db", "study.name=mine", cwd=tmp_path)
    for storage in ("null", "sqlite:///b.db"):
        fresh = [f"study.storage={storage}", "study.name=mine", "study.fresh=true"]
        succeed(*ONE, "fusion.alpha=0.3", *fresh, cwd=tmp_path)
        assert not [*tmp_path.glob("sweep.before-*")]


@pytest.mark.parametrize("signed", [0.0, 1e9])
def test_a_trial_of_another_machine_is_alive_while_it_signs(signed):
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    trial.user_attrs = {"owner": {"machine": "elsewhere", "pid": 1, "start": 0.0}, "alive": signed}
    assert not is_alive(trial, 60)
    trial.user_attrs["alive"] = time.time() - 30
    assert is_alive(trial, 60)


def test_a_trial_is_signed_when_it_is_taken():
    study = optuna.create_study()
    study.enqueue_trial({}, user_attrs={"slot": 0})
    assert time.time() - take(study).user_attrs["alive"] < 60


def test_fresh_starts_over_where_the_journal_is_gone(tmp_path):
    succeed(*ONE, "fusion.alpha=0.3", cwd=tmp_path)
    (tmp_path / "sweep" / "study.journal").unlink()
    succeed(*ONE, "fusion.alpha=0.3", "study.fresh=true", cwd=tmp_path)
    (old,) = tmp_path.glob("sweep.before-*")
    assert list(finished(old)) == ["0"]


def test_a_study_that_was_moved_goes_on_under_its_name(tmp_path):
    succeed(*TINY, "study.name=mine", "fusion.alpha=0.3", "-m", cwd=tmp_path)
    (tmp_path / "outputs" / "studies" / "mine").rename(tmp_path / "moved")
    again = [*TINY, "hydra.sweep.dir=moved", "fusion.alpha=0.3", "-m"]
    assert "study.name=mine goes on with it" in fail(*again, cwd=tmp_path)
    assert "1 done, 0 to run" in succeed(*again, "study.name=mine", cwd=tmp_path).stdout
    assert "goes on with it" not in fail(*again, "fusion.alpha=0.4", cwd=tmp_path)


def test_study_json_keeps_no_password(tmp_path):
    urls = [
        "postgresql+psycopg://me:hunter2@db/x",
        "postgresql://:hunter2@db/x",
        "postgresql://db/x?password=hunter2&a=b",
    ]
    typed = [f"study.storage={url}" for url in urls]
    settings = StudySettings(storage=urls[0])
    space = Space({}, (), None, False, {})
    plan = SimpleNamespace(
        settings=settings, space=space, command=Command(typed, typed), name="a", identity={}, folder=tmp_path
    )
    Plan.describe(plan)
    text = (tmp_path / "study.json").read_text()
    assert "hunter2" not in text
    assert "study.storage=postgresql+psycopg://me:***@db/x" in shlex.split(json.loads(text)["command"])


def test_a_look_that_fails_once_is_tried_again(caplog):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise OSError(116, "Stale file handle")

    with every(0.01, look):
        deadline = time.monotonic() + 10
        while len(looks) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(looks) >= 3
    assert "Stale file handle" in caplog.text
