"""Weights & Biases, offline: nothing leaves the machine until `wandb sync FOLDER/wandb/offline-run-*`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.logger.protocol import Record, require, scalars, summary


class WandB:
    """Log settings as the configuration, metrics per epoch, and the test metrics as the summary.

    A resumed run is written again from the start, so no epoch appears twice.

    Args:
        project: name of the W&B project.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], name: str, *, project: str = "hybrid_seq_gnn"
    ) -> None:
        require("wandb", "wandb")
        self.folder, self.settings, self.name, self.project = folder, settings, name, project
        self.run: Any = None
        self.logged = 0
        self.finished = False

    def epochs(self, history: list[Record]) -> None:
        if self.run is None:
            import wandb

            shutil.rmtree(self.folder / "wandb", ignore_errors=True)
            self.run = wandb.init(
                project=self.project,
                dir=str(self.folder),
                name=self.name,
                mode="offline",
                config=dict(self.settings),
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
            )
        for record in history[self.logged :]:
            self.run.log(dict(scalars(record)), step=record["epoch"])
        self.logged = len(history)

    def finish(self, results: Record) -> None:
        self.run.summary.update(summary(results))
        self.finished = True

    def close(self) -> None:
        if self.run is not None:
            self.run.finish(exit_code=0 if self.finished else 1)
