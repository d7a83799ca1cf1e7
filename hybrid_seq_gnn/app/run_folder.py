"""A single run that is refused leaves no folder behind, of those that Hydra made for it."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from hybrid_seq_gnn.files import locked

OF_A_REFUSAL = {"train.log", ".lock", "config.yaml", "hydra.yaml", "overrides.yaml"}  # the last three are Hydra's

_made: list[Path] = []  # the folder of the run and those above it, as far as the run made them


class RunFolder(Callback):
    """Called by Hydra before it makes the folder of a single run."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note which folders are not there yet."""
        folder = Path(config.hydra.run.dir).absolute()
        _made[:] = [path for path in (folder, *folder.parents) if not path.exists()]


def remove_if_refused() -> None:
    """Remove the folders that this run made, unless it has begun to train, or somebody else is at work there."""
    if not _made:
        return
    folder, *above = _made
    begun = (folder / "config.yaml").exists()  # Hydra's own is in a folder of its own
    with suppress(OSError), locked(folder / ".lock", wait=False):
        if not begun and all(path.is_dir() or path.name in OF_A_REFUSAL for path in folder.rglob("*")):
            shutil.rmtree(folder)
            for path in above:
                path.rmdir()
