"""What the tests of sweeps share: a world of a few users, and looks into the folder of a sweep."""

import time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.commands import SMALL, results

STUDY = [*SMALL, "+experiment=study/embeddings", "study.workers=1"]  # every trial trains: these are about sweeps
ONE = [*STUDY, "training.epochs=1", "hydra.sweep.dir=sweep", "-m"]
TINY = [*STUDY, "training.epochs=1"]
LONG = [*STUDY, "data.users=400", "training.epochs=4", "training.patience=0", "hydra.sweep.dir=sweep", "-m"]


def alphas(folder):
    return {p.parent.name: results(p.parent)["config"]["fusion"]["alpha"] for p in folder.glob("sweep/*/results.json")}


def load(folder):
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="sweep", storage=storage)


def trials(folder):
    return load(folder).trials


def finished(folder):
    """Settings of every finished run, by its folder."""
    return {path.parent.name: results(path.parent)["config"] for path in folder.glob("*/results.json")}


def standing(folder):
    """States of the trials that were not dropped."""
    return [trial.state.name for trial in trials(folder) if "dropped" not in trial.user_attrs]


def wait_for(path, running, longer_than=0):
    """Until the running process has written more than so many bytes to a file."""
    deadline = time.monotonic() + 100
    while not (path.exists() and path.stat().st_size > longer_than):
        assert time.monotonic() < deadline
        assert running.poll() is None, "ended before it could be stopped"
        time.sleep(0.005)
