"""The sweeper that `hydra/sweeper=hybrid_seq_gnn` names. Imports nothing heavy: Hydra loads this at every start."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """Run a grid point by point, or let Optuna search; see `hybrid_seq_gnn.app.sweep`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`; `task_function` is the program of `hybrid_seq_gnn.app.cli`."""
        self.config, self.hydra_context, self.program = config, hydra_context, task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Run all trials. The program knows the command line; `arguments`, what Hydra left of it, are not used."""
        from hybrid_seq_gnn.app.cli import Program
        from hybrid_seq_gnn.app.sweep.study import run_study

        assert self.config is not None and self.hydra_context is not None and isinstance(self.program, Program)
        return run_study(self.config, self.hydra_context, self.program.command)
