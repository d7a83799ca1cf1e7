"""The Optuna studies behind sweeps, read and never written."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from hybrid_seq_gnn.files import read_json
from hybrid_seq_gnn.limits import conform

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


class About(TypedDict, total=False):
    """What is read of study.json."""

    name: str
    storage: str
    question: str
    objective: str | list[str]
    space: dict[str, str]
    variants: dict[str, str]
    fixed: list[str]
    searched: bool
    sampler: str
    pruner: str


@dataclass
class Sweep:
    """A sweep folder's study: a copy in memory, or None and why; and study.json, if there is one."""

    folder: Path
    study: "optuna.Study | None"
    problem: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name, or that of its folder where it was given none."""
        name = self.about.get("name")
        return str(name) if name and name != "sweep" else self.folder.name

    @property
    def objective(self) -> str:
        named = self.about.get("objective")
        first = named[0] if isinstance(named, list) and named else named
        return f"validation {first or 'NDCG@10'}"

    def trials(self, state: str) -> "list[FrozenTrial]":
        """Its trials in a state: COMPLETE, PRUNED or FAIL; an interruption without an error has not failed."""
        every = self.study.trials if self.study else []
        return [t for t in every if t.state.name == state and (state != "FAIL" or "error" in t.user_attrs)]

    @property
    def searched(self) -> bool:
        """Whether an interval was searched, and not only the points of a grid tried."""
        done = self.trials("COMPLETE")
        if len(done) < 3:
            return False
        kinds = {type(d).__name__ for trial in done for d in trial.distributions.values()}
        return bool(self.about.get("searched", kinds - {"CategoricalDistribution"}))


def sweeps(run_folders: Iterable[Path]) -> list[Sweep]:
    """The studies beside run folders: of each folder that holds some of them and a study, in order."""
    folders = dict.fromkeys(folder.resolve().parent for folder in run_folders)
    return [
        read(folder) for folder in folders if (folder / "study.journal").exists() or (folder / "study.json").exists()
    ]


def read(folder: Path) -> Sweep:
    """The study of a sweep folder, as far as it can be read."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from hybrid_seq_gnn.study.queue import not_replaced

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    about: dict[str, Any] = {}
    card, journal = folder / "study.json", folder / "study.journal"
    try:
        about = conform("", read_json(card) if card.exists() else {}, About)
    except ValueError as error:
        return Sweep(folder, None, f"{card} cannot be read: {error}")
    url = about.get("storage")
    try:
        if url is None and not journal.exists():
            return Sweep(folder, None, f"{journal} is not there", about)
        with tempfile.TemporaryDirectory() as beside:
            storage: Any = url
            if url is None:  # a copy without a last line that is still being written: nothing of the user's is touched
                content = journal.read_bytes()
                copy = Path(beside) / "study.journal"
                copy.write_bytes(content[: content.rfind(b"\n") + 1])
                storage = JournalStorage(JournalFileBackend(str(copy)))
            elif url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
                return Sweep(folder, None, f"{url} is not there", about)
            names = optuna.get_all_study_names(storage)
            name = about.get("name") if about.get("name") in names else names[0] if len(names) == 1 else None
            if name is None:
                what = "several studies, and study.json names none of them" if names else "no study"
                return Sweep(folder, None, f"{url or journal} holds {what}", about)
            stored = optuna.load_study(study_name=name, storage=storage)
            study = optuna.create_study(directions=stored.directions)
            study.add_trials(not_replaced(stored.trials))
    except Exception as error:  # a storage has many ways to be out of reach
        return Sweep(folder, None, f"the study in {url or journal} cannot be read: {error!r}"[:300], about)
    return Sweep(folder, study, "", about)
