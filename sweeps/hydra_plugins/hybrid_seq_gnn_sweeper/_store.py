"""Where a sweep remembers: its Optuna study, in a journal file of the sweep's folder unless told otherwise."""

import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import optuna
from hydra_plugins.hybrid_seq_gnn_sweeper._space import Space, text
from hydra_plugins.hybrid_seq_gnn_sweeper._trials import is_lost
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from hybrid_seq_gnn.files import write_json
from hybrid_seq_gnn.run import record
from hybrid_seq_gnn.run.identity import counts, flatten
from hybrid_seq_gnn.study.settings import StudySettings

log = logging.getLogger(__name__)

LONGEST_NAME = 60
MOST_TRIES = 10  # to open a database whose tables others are making


def identity(
    space: Space,
    configurations: Iterable[dict[str, Any]],
    splits: Iterable[str],
    seeds: Iterable[int],
    settings: StudySettings,
) -> dict[str, str]:
    """What makes a sweep this one and no other, each setting in the words of the command line.

    Args:
        space: what varies.
        configurations: one of each combination of options, checked.
        splits: hashes of the data sets and their splits.
        seeds: of the repeats.
        settings: the objective, and in a search the sampler and the pruner, are part of what the trials mean.
    """
    values: dict[str, set[str]] = {}
    for configuration in configurations:
        for key, value in flatten(configuration):
            values.setdefault(key, set()).add(str(value))
    kept = {key: each for key, each in values.items() if counts(key)}
    found = {key: " or ".join(sorted(each)) for key, each in kept.items()}
    found |= {name: text(distribution) for name, distribution in space.distributions.items()}
    found |= {f"study.variants.{label}": " ".join(lines) for label, lines in space.variants.items()}
    found["data"] = " and ".join(sorted(split[:16] for split in splits))
    found["study.objective"] = ",".join(settings.objectives)
    if space.searched:
        found |= {"study.sampler": settings.sampler, "study.pruner": settings.pruner}
    return found | {"seed": ",".join(map(str, seeds))}


def name_of(space: Space, settings: dict[str, str], title: str | None) -> str:
    """A name for a study that has none: its title or what varies, and a hash of all that makes it."""
    varying = [name.rpartition(".")[2] for name in space.distributions] + ["seed"] * (space.seeds is not None)
    words = title or re.sub(r"[^\w.+-]", "-", "_".join(varying) or "run")[:LONGEST_NAME]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{words}-{digest[:8]}"


def storage_of(folder: Path, url: str | None) -> BaseStorage:
    """The journal file of the folder, or the database of a URL.

    Raises:
        ValueError: the database cannot be reached, or its driver is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        return journal(folder / "study.journal")
    try:
        return database(url)
    except ImportError as error:
        raise ValueError(
            f"study.storage={shown(url)} needs a driver that is not installed ({error}); for PostgreSQL: "
            "pip install 'hybrid_seq_gnn[postgres]' and postgresql+psycopg://…"
        ) from error
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"study.storage={shown(url)} cannot be opened: {reason}") from error


def database(url: str) -> RDBStorage:
    """The database of a URL; Optuna makes its tables if there are none.

    Of two processes that make them at the same moment, one is refused, and finds them when it tries again.
    """
    for _ in range(MOST_TRIES):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except SQLAlchemyError as error:
            if not isinstance(error, IntegrityError) and not re.search("already exists|deadlock", str(error)):
                raise
            time.sleep(0.2)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def shown(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"://([^:/@]+):[^@]*@", r"://\1:***@", url)


class JournalLock(BaseJournalFileLock):
    """Holds a journal while a line is written; the lock goes when the process does, however it ends.

    Optuna's own lock is a file that a killed process leaves behind, and everybody waits 30 seconds for it then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.lock")
        self.file: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait until nobody else holds it."""
        file = self.path.open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
        self.file = file
        return True

    def release(self) -> None:
        """Let the next one in."""
        if self.file is not None:
            self.file.close()
            self.file = None


def journal(path: Path) -> JournalStorage:
    """The journal file as a storage, without a last line that was cut off in the middle of writing.

    Optuna would append to such a line, and could not read the file from then on. It is cut while the journal's own lock
    is held, so that no other process is writing.
    """
    lock = JournalLock(path)
    backend = JournalFileBackend(str(path), lock_obj=lock)
    lock.acquire()
    try:
        content = path.read_bytes() if path.exists() else b""
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()
    return JournalStorage(backend)


def open_study(folder: Path, name: str, settings: dict[str, str], study: StudySettings) -> optuna.Study:
    """The study of a sweep, new or as it was left.

    Args:
        folder: of the sweep, held by this process.
        name: of the study.
        settings: see `identity`.
        study: the storage, the number of objectives, and whether to start anew.

    Raises:
        ValueError: the study was made with other settings; the message names them.
    """
    storage = storage_of(folder, study.storage)
    if study.fresh:
        storage = put_aside(storage, folder, name, study)
    opened = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=["maximize"] * len(study.objectives),
        load_if_exists=True,
    )
    known = opened.user_attrs.get("settings")
    if known is None:
        opened.set_user_attr("settings", settings)
    elif known != settings:
        keys = [key for key in {**known, **settings} if known.get(key) != settings.get(key)]
        changed = "; ".join(f"{key} was {known.get(key)} and is {settings.get(key)}" for key in keys[:5])
        raise ValueError(
            f"the study {name} in {folder} is over other settings: {changed}{'; …' if keys[5:] else ''}. "
            "Give the same ones to continue it, another folder (study.name=… or hydra.sweep.dir=…), or "
            "study.fresh=true to put it aside."
        )
    return opened


def put_aside(storage: BaseStorage, folder: Path, name: str, study: StudySettings) -> BaseStorage:
    """Rename what there is of a study, so that nothing is lost; returns the storage to go on with.

    Raises:
        ValueError: somebody is at work on it.
    """
    if name not in {summary.study_name for summary in optuna.get_all_study_summaries(storage)}:
        return storage
    old = optuna.load_study(study_name=name, storage=storage)
    running = old.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if busy := [trial.number for trial in running if not is_lost(trial, study.grace)]:
        raise ValueError(f"study.fresh=true: trial {busy[0]} of the study {name} is running now; end it first.")
    aside = time.strftime("before-%Y%m%d-%H%M%S")
    if study.storage is not None:
        optuna.copy_study(
            from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=f"{name}.{aside}"
        )
        optuna.delete_study(study_name=name, storage=storage)
    moved = folder.with_name(f"{folder.name}.{aside}")
    moved.mkdir()
    for path in folder.iterdir():
        if path.name != ".lock":
            path.rename(moved / path.name)
    log.info("the study %s was put aside in %s", name, moved)
    return storage_of(folder, study.storage)


def describe(folder: Path, name: str, space: Space, study: StudySettings, command: str) -> None:
    """Write study.json: what a reader of the folder needs to open the study and to know what it asked."""
    write_json(
        folder / "study.json",
        {
            "name": name,
            "storage": None if study.storage is None else shown(study.storage),
            "question": study.question,
            "objective": list(study.objectives),
            "space": {key: text(distribution) for key, distribution in space.distributions.items()},
            "variants": {label: " ".join(lines) for label, lines in space.variants.items()},
            "fixed": list(space.fixed),
            "seeds": list(space.seeds) if space.seeds is not None else study.seeds,
            "searched": space.searched,
            "n_trials": study.n_trials if space.searched else None,
            "sampler": study.sampler if space.searched else None,
            "pruner": study.pruner,
            "command": command,
        },
    )


def software() -> dict[str, Any]:
    """Version and commit that make a trial's numbers."""
    return {"version": record.versions()["hybrid_seq_gnn"], **record.git_state()}
