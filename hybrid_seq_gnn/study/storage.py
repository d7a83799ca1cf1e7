"""Where a sweep remembers: its Optuna study, in a journal file of the sweep's folder unless told otherwise."""

import fcntl
import itertools
import json
import logging
import os
import re
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.files import lockable, locked, read_json, short_path
from hybrid_seq_gnn.run import record
from hybrid_seq_gnn.run.identity import digest
from hybrid_seq_gnn.study.queue import COMPLETE, RUNNING, is_alive, whereabouts
from hybrid_seq_gnn.study.settings import StudySettings

log = logging.getLogger(__name__)

BLOCK = 1 << 16
MOST_TRIES = 10  # to open a database whose tables others are making


def storage_of(folder: Path, url: str | None) -> BaseStorage:
    """The journal file of the folder, or the database of a URL, in which Optuna makes its tables if there are none.

    Raises:
        UserError: the database cannot be reached, or its driver is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        return journal(folder / "study.journal")
    for tries in itertools.count(1):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except ImportError as error:
            raise UserError(
                f"study.storage={without_password(url)} needs a driver that is not installed ({error}); for "
                "PostgreSQL: pip install 'hybrid_seq_gnn[postgres]' and postgresql+psycopg://…"
            ) from error
        except SQLAlchemyError as error:
            # of two processes that make tables at the same moment one is refused, and finds them when it tries again
            others = isinstance(error, IntegrityError) or re.search("already exists|deadlock", str(error))
            if not others or tries > MOST_TRIES:
                reason = str(error).splitlines()[0]
                raise UserError(f"study.storage={without_password(url)} cannot be opened: {reason}") from error
            time.sleep(0.2)
    raise AssertionError("unreachable")


def one_at_a_time(folder: Path, url: str | None) -> AbstractContextManager[object]:
    """What to hold while a trial is taken: SQLite locks no row, so that two processes could take the same one.

    Args:
        folder: of the study.
        url: of its storage.
    """
    return locked(folder / ".lock") if url is not None and url.startswith("sqlite") else nullcontext()


def without_password(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(password=)[^&]*", r"\1***", re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", url))


class JournalLock(JournalFileOpenLock):
    """Holds a journal while a line is written; the lock goes when the process does, however it ends.

    Optuna's own lock is a file that a killed process leaves behind; everybody then waits 30 seconds for it.
    """

    def __init__(self, path: Path) -> None:
        self.journal, self.path = path, path.with_name(f"{path.name}.flock")  # .lock is the one of Optuna
        self.process: int | None = None

    def acquire(self) -> bool:
        """Wait until no other process holds it. One that this process still holds, after Ctrl+C, is no obstacle."""
        if self.process != os.getpid():  # a fork would share the lock of its parent
            self.handle, self.process = lockable(self.path), os.getpid()
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        try:
            cut_half_line(self.journal)
        except BaseException:
            self.release()
            raise
        return True

    def __del__(self) -> None:
        if self.process == os.getpid():
            os.close(self.handle)

    def __reduce__(self) -> tuple[Any, ...]:
        return JournalLock, (self.journal,)

    def release(self) -> None:
        """Let the next one in."""
        fcntl.flock(self.handle, fcntl.LOCK_UN)


class JournalFile(JournalFileBackend):
    """The journal as a file; an error in writing it says which."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=JournalLock(path))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write some lines.

        Raises:
            OSError: the disk is full, or may not be written.
        """
        try:
            super().append_logs(logs)
        except OSError as error:
            error.filename = error.filename or str(self.path)
            raise


def cut_half_line(path: Path) -> None:
    """Cut a last line whose writer was killed or ran out of disk; Optuna would append to it and never read it again."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            file.seek(start)
            block = file.read(end - start)
            if (newline := block.rfind(b"\n")) >= 0:
                if start + newline + 1 < file.seek(0, os.SEEK_END):
                    file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)


def journal(path: Path) -> JournalStorage:
    """The journal file as a storage.

    Raises:
        UserError: a line cannot be read; the message says which.
    """
    backend, lock = JournalFile(path), JournalLock(path)
    lock.acquire()
    lock.release()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}, line {number} is damaged ({error}). The lines before it are whole: keep a copy of the "
                    "file, and cut it there."
                ) from error
    with as_user_error(f"{path} is no journal of Optuna; keep a copy of it"):
        return JournalStorage(backend)


def open_study(
    folder: Path, name: str, identity: dict[str, str], study: StudySettings, fresh: bool = False
) -> optuna.Study:
    """The study of a sweep, new or as it was left.

    Raises:
        UserError: the study was made with other settings (`identity`); the message names them.
    """
    storage = storage_of(folder, study.storage)
    if fresh:
        storage = put_aside(storage, folder, name, study)
    aims = [StudyDirection.MAXIMIZE] * len(study.objectives)
    opened = optuna.create_study(study_name=name, storage=storage, directions=aims, load_if_exists=True)
    known = opened.user_attrs.get("settings")
    if known is None:
        opened.set_user_attr("settings", identity)
    elif known != identity:
        keys = [key for key in {**known, **identity} if known.get(key) != identity.get(key)]
        changed = "; ".join(f"{key} was {known.get(key)} and is {identity.get(key)}" for key in keys[:5])
        raise UserError(
            f"the study {name} in {folder} is over other settings: {changed}{'; …' if keys[5:] else ''}. "
            "Give the same ones to continue it, another folder (study.name=… or hydra.sweep.dir=…), or "
            "study.fresh=true to put it aside."
        )
    return opened


def refuse_folder_of_another(folder: Path, name: str, identity: dict[str, str], study: StudySettings) -> None:
    """Refuse a folder whose runs belong to another study; the leaderboard would mix both.

    A study.json that cannot be read says nothing: it is written anew.

    Raises:
        UserError: study.json has another name, or the same one in another storage, with other settings.
    """
    try:
        about = read_json(folder / "study.json")
        there, storage, known = about["name"], about["storage"], about.get("identity")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return
    moved = storage != (without_password(study.storage) if study.storage else None)
    if there != name or (moved and known not in (None, digest(identity))):
        other = f"the study {there}" + (f" of study.storage={storage or 'null'}" if there == name else "")
        same = f"study.name={there} goes on with it. " if there != name and known == digest(identity) else ""
        raise UserError(
            f"{short_path(folder)} holds {other}, and this is {f'the study {name}' if there != name else 'another one'}"
            f": their runs would be mixed. {same}Give another hydra.sweep.dir, or none."
        )


def put_aside(storage: BaseStorage, folder: Path, name: str, study: StudySettings) -> BaseStorage:
    """Rename what there is of a study, so that nothing is lost; returns the storage to go on with.

    Raises:
        UserError: somebody is at work on it.
    """
    known = name in optuna.get_all_study_names(storage)
    if not known and (study.storage is not None or not is_kept_in_journal(folder)):
        return storage
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False) if known else []
    if busy := [trial for trial in trials if trial.state == RUNNING and is_alive(trial, study.grace)]:
        at_work = f"trial {busy[0].number} of the study {name} is run now by {whereabouts(busy[0])}"
        raise UserError(f"study.fresh=true: {at_work}; end it first.")
    aside = time.strftime("before-%Y%m%d-%H%M%S")
    if known and study.storage is not None:
        to = f"{name}.{aside}"
        optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=to)
        optuna.delete_study(study_name=name, storage=storage)
    moved = folder.with_name(f"{folder.name}.{aside}")
    moved.mkdir()
    for path in folder.iterdir():
        if path.name != ".lock":
            path.rename(moved / path.name)
    log.info("the study %s was put aside in %s", name, moved)
    return storage_of(folder, study.storage)


def is_kept_in_journal(folder: Path) -> bool:
    """Whether study.json says that the folder's journal holds the study, or held it."""
    try:
        return read_json(folder / "study.json")["storage"] is None
    except (OSError, ValueError, LookupError, TypeError):
        return False


def software() -> dict[str, Any]:
    """Version and commit that make a trial's numbers."""
    return {"version": record.versions()["hybrid_seq_gnn"], **record.git_state()}


def warn_other_software(study: optuna.Study) -> None:
    """Say so where finished trials were made by another version or commit."""
    made = [trial.user_attrs.get("software") for trial in study.get_trials(deepcopy=False, states=(COMPLETE,))]
    version, commit = (now := software())["version"], now["commit"]
    others = [each for each in made if each and (each["version"], each["commit"]) != (version, commit)]
    if others:
        log.warning(
            f"{len(others)} of the finished trials were made by version {others[0]['version']}, commit "
            f"{str(others[0]['commit'])[:12]}; this is version {version}, commit {str(commit)[:12]}. "
            "study.fresh=true starts anew."
        )
