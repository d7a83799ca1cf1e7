"""A run folder: held by one process, and what is written to it beside results.json."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid_seq_gnn.app.build import Config
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.evaluation.evaluate import Ranking


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes; the lock goes when the process does, however it ends.

    The file stays: removing it would let two others lock two different files of that name.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"another process is running in {folder}; wait for it or choose another folder with hydra.run.dir=…"
            ) from error
        yield


def write_per_user(path: Path, prepared: Prepared, test: Ranking, group: np.ndarray) -> None:
    """One row a test user, with the ids of the source: user, target, length, group, rank, alpha (null if none)."""
    sequences = prepared.sequences
    target = sequences.items[sequences.indptr[test.users] + test.lengths]
    table = pd.DataFrame(
        {
            "user": sequences.user_ids[test.users],
            "target": sequences.item_ids[target - 1],
            "length": test.lengths,
            "group": group,
            "rank": test.ranks,
            "alpha": np.full(len(test.users), np.nan) if test.alpha is None else test.alpha.astype(np.float64),
        }
    )
    beside = path.with_name(f".{path.name}.tmp")
    table.to_parquet(beside, index=False)
    beside.replace(path)


def yaml(config: Config) -> str:
    """The configuration as a file that can be read back."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(config))
