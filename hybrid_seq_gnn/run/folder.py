"""Lock a run folder for one process, and write files other than results.json to it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.evaluate import Ranking
from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.files import atomic, locked, read_yaml, refuse_links, remove_unfinished
from hybrid_seq_gnn.limits import refuse_bytes
from hybrid_seq_gnn.run.check import PACKAGE
from hybrid_seq_gnn.run.identity import Config

OF_A_RUN = ("config.yaml", "metrics.jsonl", "model.pt", "per_user.parquet")


@contextmanager
def lock_folder(folder: Path, *, wait: bool) -> Iterator[None]:
    """Lock a run folder against other processes.

    Raises:
        UserError: another process is running there, and `wait` is false.
    """
    refuse_bytes(str(folder))
    refuse_links(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", wait, f"is running in {folder}"))
        except BlockingIOError as error:
            raise UserError(
                f"another process is running in {folder}; wait for it or choose another folder with hydra.run.dir=…"
            ) from error
        remove_unfinished(folder)
        yield


def refuse_foreign(folder: Path) -> None:
    """Raise UserError where a run would replace files of somebody else."""
    there = [folder / name for name in OF_A_RUN if (folder / name).exists()]
    if not there:
        return
    config = None
    with suppress(UserError):
        config = read_yaml(folder / "config.yaml")
    data = config.get("data") if isinstance(config, dict) else None
    if not isinstance(data, dict) or not str(data.get("_target_")).startswith(PACKAGE):
        raise UserError(
            f"{there[0]} is there, and no run wrote it: this one would replace it. Choose another folder with "
            "hydra.run.dir=…"
        )


def write_per_user(path: Path, prepared: Prepared, test: Ranking, groups: LengthGroups) -> None:
    """One row per test user, with original ids: user, target, length, group, rank, alpha (null if there is none)."""
    sequences = prepared.sequences
    target = sequences.items[sequences.indptr[test.users] + test.lengths]
    table = pd.DataFrame(
        {
            "user": sequences.user_ids[test.users],
            "target": sequences.item_ids[target - 1],
            "length": test.lengths,
            "group": groups.group_of(test.lengths),
            "rank": test.ranks,
            "alpha": np.full(len(test.users), np.nan) if test.alpha is None else test.alpha.astype(np.float64),
        }
    )
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def as_yaml(config: Config) -> str:
    """The configuration as YAML text that can be read back."""
    plain = json.loads(json.dumps(config))  # tuples become lists, as YAML has no tuples
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
