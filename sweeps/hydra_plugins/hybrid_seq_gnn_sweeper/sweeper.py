"""The sweeper that `hydra/sweeper=hybrid_seq_gnn` names. Imports nothing heavy: Hydra loads this at every start."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConfig:
    """Settings of a sweep.

    Attributes:
        n_trials: runs of a search over intervals; a grid has as many as it has points.
        seed: of the search; a grid needs none.
        max_failures: stop with an error after more failed runs than this; null goes on to the end.
        study_name: of the Optuna study; null calls it `sweep`.
        storage: an Optuna URL such as sqlite:///studies.db; null is study.journal in the folder of the sweep.
        params: choices and intervals, as on the command line.
    """

    _target_: str = "hydra_plugins.hybrid_seq_gnn_sweeper.sweeper.StudySweeper"
    n_trials: int = 20
    seed: int = 0
    max_failures: int | None = None
    study_name: str | None = None
    storage: str | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(
    group="hydra/sweeper", name="hybrid_seq_gnn", node=SweeperConfig, provider="hybrid_seq_gnn"
)


class StudySweeper(Sweeper):
    """Runs a grid point by point, or lets Optuna search; see `_study`."""

    def __init__(
        self,
        n_trials: int,
        seed: int,
        max_failures: int | None,
        study_name: str | None,
        storage: str | None,
        params: dict[str, str] | None,
    ) -> None:
        self.n_trials = n_trials
        self.seed = seed
        self.max_failures = max_failures
        self.study_name = study_name
        self.storage = storage
        self.params = params or {}
        self.launcher: Launcher
        self.config: DictConfig
        self.hydra_context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run all trials of the search space that `arguments` and `params` describe."""
        from hydra_plugins.hybrid_seq_gnn_sweeper._study import run_study

        return run_study(self, [*(f"{key}={value}" for key, value in self.params.items()), *arguments])
