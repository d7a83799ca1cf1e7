"""Study files are passed around: what one may set, and what is read of it."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from hybrid_seq_gnn.app.arguments import Command, read_study
from hybrid_seq_gnn.app.cli import explain
from hybrid_seq_gnn.app.sweep.space import parse
from tests.commands import fail
from tests.damage import damaged

SAFE = [
    "hydra.sweep.dir=out",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
    "+hydra.launcher.x=1",
    "fusion.alpha=0.3",
]
UNSAFE = [
    "hydra.job_logging.handlers.file.filename=elsewhere",
    "+hydra.job.env_set.GIT_DIR=elsewhere",
    "hydra/job_logging=custom",
    "hydra.run.dir=elsewhere",
    "~hydra.launcher",
    "hydra@x=y",
    "+experiment@hydra.job=x",
]


def study(tmp_path, text):
    (tmp_path / "study.yaml").write_text(text)
    return str(tmp_path / "study.yaml")


@pytest.mark.parametrize("line", SAFE)
def test_a_study_may_say_where_and_how_it_runs(line, tmp_path):
    assert read_study(study(tmp_path, f"question: x?\noverrides: ['{line}']\n"))["overrides"] == [line]


@pytest.mark.parametrize("line", UNSAFE)
@pytest.mark.parametrize("place", ["overrides: ['{}']", "variants: {{a: '{} seed=1'}}"])
def test_a_study_may_set_nothing_else_of_hydra(line, place, tmp_path):
    with pytest.raises(ValueError, match="on the command line") as error:
        read_study(study(tmp_path, f"question: x?\n{place.format(line)}\n"))
    assert line in str(error.value)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nquestion: *b\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "line 2: aliases"),
        ("question: " + "[" * 5000, "deep nesting"),
        ("question: " + "x" * (1 << 20), "larger than"),
        ("question: 'x", "cannot be read as YAML"),
        ("[question]", "no table"),
        ("question: x?\noverrides: seed=1\n", "expected a list"),
        ("question: x?\noverrides: [--config-dir=elsewhere]\n", "expected a setting and its value"),
        ("question: x?\nvariants: {a: '-m seed=1'}\n", "expected a setting and its value"),
        ("question: x?\nvariants: {a: {b=: c}}\n", "expected a line"),
        ("question: x?\n1: 2\n", "found 1"),
        ("question: 2020-99-99", "cannot be read as YAML"),
    ],
)
def test_what_is_no_study_is_refused_before_it_costs_anything(text, words, tmp_path):
    study(tmp_path, text)
    assert words in fail("sweeps=study.yaml", cwd=tmp_path)


def test_a_path_that_no_system_has_gets_one_message(tmp_path):
    assert "file name too long" in fail(f"sweeps={'x' * 5000}.yaml", cwd=tmp_path)
    assert "there is no such study" in fail("sweeps=~nobody-is-called-so/x.yaml", cwd=tmp_path)
    assert "there is no such file" in fail("data=table", "data.path='~nobody-is-called-so/x.csv'", cwd=tmp_path)


STUDY = {
    "question": "?", "time": "a minute", "read": "so", "overrides": ["seed=0,1", "fusion.alpha=interval(0,1)"],
    "variants": {"a": "loss=bce", "b": "loss=bpr training.lr=0.1"},
}  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged(STUDY, yaml.safe_dump))
def test_any_study_file_is_read_or_refused_in_words(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_bytes(raw)
    try:
        command = Command.read([f"sweeps={path}"])
        assert command.for_hydra == ["-m"]
        parse(command.overrides, command.variants)
    except Exception as error:
        if explain(error, []) is None:
            raise
