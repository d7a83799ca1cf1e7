"""The private names of Optuna that we use, against the version that is installed."""

import ast
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from hybrid_seq_gnn.study.optuna_private import begin, suggest, trial_of

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "hybrid_seq_gnn" / "study" / "optuna_private.py"
CHANGED = f"Optuna {optuna.__version__} has changed a private name: mend hybrid_seq_gnn/study/optuna_private.py"


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction="maximize")
    made.enqueue_trial({"x": 0.5}, user_attrs={"slot": 0})
    return made


def test_optuna_still_has_what_the_adapter_touches(study):
    (waiting,) = study.trials
    for owner, name in (
        (waiting, "_trial_id"),
        (study, "_storage"),
        (study, "_thread_local"),
        (optuna.Trial, "_suggest"),
    ):
        assert hasattr(owner, name), CHANGED
    assert hasattr(study._thread_local, "cached_all_trials"), CHANGED


def test_a_waiting_trial_is_begun_once_and_has_the_value_that_it_was_given(study):
    (waiting,) = study.trials
    trial = begin(study, waiting)
    assert trial is not None and begin(study, waiting) is None, CHANGED
    assert study.trials[0].state == TrialState.RUNNING
    assert suggest(trial, "x", FloatDistribution(0, 1)) == 0.5, CHANGED
    study.tell(trial, 1.0)
    assert begin(study, waiting) is None, CHANGED
    assert study.best_params == {"x": 0.5}


def test_attributes_of_a_trial_of_another_process_can_be_written_until_it_ends(study):
    begin(study, study.trials[0])
    other = trial_of(study, study.trials[0])
    other.set_user_attr("lost", "elsewhere")
    study.tell(0, state=TrialState.FAIL)
    assert study.trials[0].user_attrs == {"slot": 0, "lost": "elsewhere"}, CHANGED
    with pytest.raises(UpdateFinishedTrialError):
        other.set_user_attr("late", True)


def test_no_other_module_touches_a_private_name_of_optuna():
    private = {node.attr for node in ast.walk(ast.parse(ADAPTER.read_text())) if isinstance(node, ast.Attribute)}
    private = {name for name in private if name.startswith("_")}
    assert private == {"_trial_id", "_storage", "_thread_local", "_suggest"}
    for folder in ("hybrid_seq_gnn", "sweeps"):
        for path in (ROOT / folder).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            used = {node.attr for node in nodes if isinstance(node, ast.Attribute)} & private
            assert path == ADAPTER or not used, path
            modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
            assert not [m for m in modules if m.startswith("optuna.") and "._" in m], path
