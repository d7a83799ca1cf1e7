"""TensorBoard: event files in `tensorboard/` in the run folder; `tensorboard --logdir outputs` shows all runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.logger.protocol import Record, require, scalars, summary


class TensorBoard:
    """Log the settings as text, scalars per epoch, and at the end the test metrics at the best epoch.

    A resumed run writes all its events again, so no epoch appears twice.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        require("tensorboard", "tensorboard")
        self.folder = folder / "tensorboard"
        self.settings = settings
        self.writer: Any = None
        self.logged = 0

    def epochs(self, history: list[Record]) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.writer = SummaryWriter(str(self.folder))
            self.writer.add_text("settings", "\n".join(f"    {key}={value}" for key, value in self.settings.items()))
        for record in history[self.logged :]:
            for name, value in scalars(record):
                self.writer.add_scalar(name, value, record["epoch"])
        self.logged = len(history)
        self.writer.flush()

    def finish(self, results: Record) -> None:
        for name, value in summary(results).items():
            self.writer.add_scalar(name, value, results["best_epoch"])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
