"""Settings of a sweep, checked when they are created. They change no run's numbers."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.evaluation.metrics import NAMES
from hybrid_seq_gnn.limits import AtLeast0, AtLeast1, Limited
from hybrid_seq_gnn.results.runs import FinishedRun


@dataclass(frozen=True, kw_only=True)
class StudySettings(Limited):
    """Settings of a sweep (-m).

    Attributes:
        name: of the study, and of its folder below outputs/studies; null makes one from the search space, the
            configuration and the data, so that the same command continues the same study.
        storage: where Optuna keeps the trials: null is study.journal in the study's folder; sqlite:///studies.db or
            postgresql+psycopg://user@host/database may hold many studies.
        n_trials: trials of a search (where a setting has an interval); a grid has as many as it has points.
        seeds: repeats of every configuration, with seed, seed + 1, ...; seed=0,1,2 on the command line says the same.
        objective: validation metric that is maximised: NDCG@10, HR@20, MRR@5/long ...; several give a Pareto front.
        sampler: of a search.
        seed: of the sampler.
        pruner: stops a run whose validation is worse than that of the others (`median`: of half of them; `hyperband`:
            Li et al. 2018, arXiv:1603.06560); `none` lets every run end.
        pruner_startup: trials that must be complete before the first one is pruned.
        pruner_warmup: epochs that every run has.
        max_failures: stop with an error after more failed runs than this; null goes on to the end.
        retry_failed: a run that failed is tried again when the command is given again.
        workers: processes or tasks at work at once; null is as many as have a core and 2 GiB of free memory each, and 1
            with CUDA. With 1, the trials of a search depend on nothing but its seed. Launchers of clusters want a
            number.
        grace: seconds without a sign of life after which the run of a process on another machine counts as lost and
            is taken up by somebody else. Processes on the same machine are known to be dead at once.
        fresh: put the study of this name aside and start anew.
        dry_run: only say what would be run, and where.

    Raises:
        UserError: a value is out of range, or settings do not go together.
    """

    name: str | None = None
    storage: str | None = None
    n_trials: AtLeast1 = 20
    seeds: AtLeast1 = 1
    objective: str | tuple[str, ...] = "NDCG@10"
    sampler: Literal["tpe", "random", "gp", "cmaes", "nsga2"] = "tpe"
    seed: AtLeast0 = 0
    pruner: Literal["none", "median", "hyperband"] = "none"
    pruner_startup: AtLeast0 = 5
    pruner_warmup: AtLeast0 = 5
    max_failures: AtLeast0 | None = None
    retry_failed: bool = True
    workers: AtLeast1 | None = None
    grace: Annotated[float, Ge(10)] = 120.0
    fresh: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Check what no annotation says, in the words of the command line."""
        if self.name is not None and not re.fullmatch(r"[\w][\w.@+=-]*", self.name):
            raise UserError(f"study.name={self.name}: expected letters, digits and . _ - + = @; it names a folder.")
        if self.storage is not None and "://" not in self.storage:
            raise UserError(
                f"study.storage={self.storage}: expected a URL such as sqlite:///studies.db or "
                "postgresql+psycopg://user@host/database, or null."
            )
        if not self.objectives:
            raise UserError("study.objective=[]: expected a validation metric such as NDCG@10.")
        for objective in self.objectives:
            metric, _, group = objective.partition("/")
            if metric not in NAMES or group not in ("", *LengthGroups.names):
                raise UserError(
                    f"study.objective={objective}: expected a validation metric, one of {', '.join(NAMES)}, of all "
                    f"users or of a group, as in NDCG@10/{LengthGroups.names[0]} ({', '.join(LengthGroups.names)}). "
                    "The test split is never an objective."
                )
        if len(self.objectives) > 1 and self.pruner != "none":
            raise UserError(f"study.pruner={self.pruner} wants one study.objective; several have no order to prune by.")
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise UserError("study.sampler=cmaes searches for one study.objective; use tpe or nsga2 for several.")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The metrics that are maximised."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)


def value_of(objective: str, run: FinishedRun) -> float:
    """A validation metric of a finished run.

    Raises:
        UserError: its group has no user.
    """
    if (value := run.metric(f"validation {objective}")) is None:
        raise UserError(f"study.objective={objective}: no user of the validation split is in this group")
    return value
