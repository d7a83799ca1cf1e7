"""The sweeper that `hydra/sweeper=hybrid_seq_gnn` names. Imports nothing heavy: Hydra loads this at every start."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConfig:
    """What Hydra needs to know of the sweeper; the settings of a sweep are the group `study`."""

    _target_: str = "hydra_plugins.hybrid_seq_gnn_sweeper.sweeper.StudySweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="hybrid_seq_gnn", node=SweeperConfig, provider="hybrid_seq_gnn"
)


class StudySweeper(Sweeper):
    """Runs a grid point by point, or lets Optuna search; see `_study`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.config, self.hydra_context = config, hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Run all trials of the search space that `arguments` describe."""
        from hydra_plugins.hybrid_seq_gnn_sweeper._study import run_study

        assert self.config is not None and self.hydra_context is not None
        return run_study(self.config, self.hydra_context, arguments)
