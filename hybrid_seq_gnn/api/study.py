"""A sweep in Python."""

from pathlib import Path

import pandas as pd

from hybrid_seq_gnn.api.frames import plain
from hybrid_seq_gnn.api.run import LoadedRun
from hybrid_seq_gnn.leaderboard.board import Entry, table
from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import require_comparable


class LoadedStudy:
    """The finished runs of a sweep.

    Args:
        runs: at least one.
    """

    def __init__(self, runs: list[LoadedRun]) -> None:
        self.runs = runs

    def __repr__(self) -> str:
        return f"<study of {len(self.runs)} runs, the first in {self.runs[0].folder}>"

    def best(self) -> LoadedRun:
        """The run with the best validation NDCG@10. What `evaluate` wrote has no model, and is one only if all are.

        Raises:
            UserError: they were not trained on the same data.
        """
        runs = [run for run in self.runs if "evaluated" not in run.results] or self.runs
        require_comparable([run._run for run in runs])
        return max(runs, key=lambda run: run._run.validation)

    def leaderboard(self) -> pd.DataFrame:
        """A row per run, best validation first: settings that differ, alpha, test metrics overall and by length."""
        return table([Entry(str(run.folder), run._run) for run in self.runs])


def load_study(path: str | Path) -> LoadedStudy:
    """The finished runs below a folder, or of a glob.

    Raises:
        UserError: there is none.
    """
    return LoadedStudy([LoadedRun(run) for run in load([conform("path", plain(path), str)]).runs])
