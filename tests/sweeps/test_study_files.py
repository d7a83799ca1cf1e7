"""Study files are passed around: what one may set, and what is read of it."""

import pytest

from hybrid_seq_gnn.app.arguments import read_study
from tests.commands import fail

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
        ("question: 'x", "is not YAML"),
        ("[question]", "no table"),
        ("question: x?\noverrides: seed=1\n", "expected a list"),
    ],
)
def test_what_is_no_study_is_refused_before_it_costs_anything(text, words, tmp_path):
    study(tmp_path, text)
    assert words in fail("sweeps=study.yaml", cwd=tmp_path)
