"""Where a sweep remembers: its Optuna study, in a journal file of the sweep's folder unless told otherwise."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Space, text
from omegaconf import DictConfig, OmegaConf
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from hybrid_seq_gnn.results.leaderboard import Run, flatten

CHANGES_NO_NUMBER = ("debug", "training.resume")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a sweep's folder against other processes; the lock goes when the process does, however it ends.

    The file stays: removing it would let two others lock two different files of that name.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another process is running the sweep in {folder}; wait for it or choose another folder with "
                "hydra.sweep.dir=…"
            ) from error
        yield


def open_study(
    folder: Path, settings: dict[str, Any], *, name: str | None, storage: str | None, seed: int
) -> optuna.Study:
    """The study of a sweep, new or as it was left.

    Args:
        folder: of the sweep, held by this process.
        settings: what makes it this sweep and no other, see `identity`.
        name: of the study; by default `sweep`, which is enough where each has a file of its own.
        storage: an Optuna URL such as sqlite:///studies.db; by default study.journal in `folder`.
        seed: of the search. A continued search draws on, and not the same points again.

    Raises:
        ValueError: the study was made with other settings; the message names them.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage is not None and name is None:
        raise ValueError("hydra.sweeper.storage may hold many studies: name this one with hydra.sweeper.study_name=…")
    if storage is not None:  # the runs and their checkpoints are in the folder, so both must be continued together
        settings = {**settings, "hydra.sweep.dir": str(folder.resolve())}
    study = optuna.create_study(
        study_name=name or "sweep",
        storage=journal(folder / "study.journal") if storage is None else storage,
        direction="maximize",
        load_if_exists=True,
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    known = study.user_attrs.get("settings")
    if known is None:
        study.set_user_attr("settings", settings)
    elif known != settings:
        keys = [key for key in {**known, **settings} if known.get(key) != settings.get(key)]
        changed = "; ".join(f"{key} was {known.get(key)} and is {settings.get(key)}" for key in keys[:5])
        raise ValueError(
            f"{folder} holds a sweep over other settings: {changed}{'; …' if keys[5:] else ''}. "
            "Give the same ones to continue it, or another folder with hydra.sweep.dir=…"
        )
    return study


def journal(path: Path) -> JournalStorage:
    """The journal file as a storage, without a last line that was cut off in the middle of writing.

    Optuna would append to such a line, and could not read the file from then on.
    """
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path)))


def identity(space: Space, config: DictConfig) -> dict[str, Any]:
    """The settings of a sweep: those of its first run, and the choices or the interval where they vary."""
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    named = {str(key): value for key, value in plain.items() if key != "hydra"}
    chosen = {key: option for key, option in config.hydra.runtime.choices.items() if key in named}
    settings = {**chosen, **dict(flatten(named)), **{name: text(d) for name, d in space.distributions.items()}}
    return {key: value for key, value in settings.items() if key not in CHANGES_NO_NUMBER}


def clear_leftovers(study: optuna.Study) -> None:
    """End the trials of a process that was killed: nobody runs them any more."""
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.ask()  # enqueued and never begun
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def latest(study: optuna.Study) -> dict[str, FrozenTrial]:
    """The last trial in each run folder: a run may be tried again where it was killed or failed."""
    return {trial.user_attrs["folder"]: trial for trial in study.trials if "folder" in trial.user_attrs}


def failed(study: optuna.Study) -> list[Run]:
    """The runs whose last trial ended with an error."""
    return [
        Run(folder, None, trial.user_attrs["error"], {key: str(value) for key, value in trial.params.items()})
        for folder, trial in latest(study).items()
        if trial.state == TrialState.FAIL and "error" in trial.user_attrs
    ]
