"""A finished run in Python."""

import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hybrid_seq_gnn.api.frames import DataLike, data_of, plain, to_pandas
from hybrid_seq_gnn.compare.table import compare
from hybrid_seq_gnn.data.titles import Titles
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.metrics import METRICS
from hybrid_seq_gnn.limits import AtLeast1, conform
from hybrid_seq_gnn.results.configurations import name_configurations
from hybrid_seq_gnn.results.runs import FinishedRun
from hybrid_seq_gnn.use.evaluate import evaluate, rank_data
from hybrid_seq_gnn.use.histories import Before, of_frame, of_training, typed
from hybrid_seq_gnn.use.load import Trained, choose, load_trained
from hybrid_seq_gnn.use.recommend import recommend
from hybrid_seq_gnn.use.table import rows_of
from hybrid_seq_gnn.use.titles import titles_of


class LoadedRun:
    """A finished run: what it found, and its model.

    Args:
        run: read back from its folder.
        device: for the model, which is loaded when it is first needed: auto, cpu, cuda or cuda:N.
    """

    def __init__(self, run: FinishedRun, device: str = "auto") -> None:
        self._run, self._device = run, device

    def __repr__(self) -> str:
        return f"<run {self.folder}: model={self.results['options']['model']}, seed {self._run.seed}>"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._run.folder

    @property
    def results(self) -> dict[str, Any]:
        """The content of results.json: metrics overall and by length, alpha, times, versions."""
        return self._run.results

    @property
    def config(self) -> dict[str, Any]:
        """Every setting of the run."""
        return dict(self._run.results["config"])

    @property
    def per_user(self) -> pd.DataFrame:
        """A row per test user: user, target, length (events before it), group, rank, alpha."""
        return self._run.per_user

    @cached_property
    def trained(self) -> Trained:
        """The model, and the ids of its items."""
        return load_trained(self._run, self._device)

    @cached_property
    def _titles(self) -> Titles:
        return titles_of(self.config["data"])

    @property
    def items(self) -> np.ndarray:
        """(N,) the ids of the items that it can recommend."""
        return self.trained.item_ids

    def recommend(
        self,
        events: Any = None,
        *,
        history: Iterable[Any] | None = None,
        users: Iterable[Any] | None = None,
        before: Before = "now",
        k: int = 10,
        include_seen: bool | None = None,
        explain: bool = False,
        titles: str | Path | None = None,
    ) -> pd.DataFrame:
        """The k best items: a row per item with user, place from 1, item and score (comparable within a user).

        Args:
            events: a frame with columns user, item and, unless it is in time order, timestamp, read as in training.
            history: item ids of one user, oldest first.
            users: ids of users of the training data; with no argument, all of them.
            before: of those users, `now` reads all events; `test` or `validation` what came before that held-out item.
            include_seen: whether items of the history are candidates; None: as the run was evaluated.
            explain: also columns alpha, sequence (the share of the sequence side in the score) and because (the events
                that speak for the item through the graph).
            titles: a file of titles, as `data.titles`, which is what is used without it; adds a column title.

        Raises:
            UserError: no item is known, a user is not, a value is missing, or k is more than the number of items.
        """
        if sum(given is not None for given in (events, history, users)) > 1:
            raise UserError("recommend: give events, a history or users, and not several of them.")
        if before != "now" and not (events is None and history is None):
            raise UserError(f"recommend: before={before} is for users of the training data.")
        k = conform("k", plain(k), int)
        if history is not None:
            asked = typed(self.trained, several(history))
        elif events is not None:
            asked = of_frame(self.trained, to_pandas(events))
        else:
            asked = of_training(self.trained, None if users is None else several(users), before)
        seen = not self.trained.mask_history if include_seen is None else include_seen
        names = self._titles if titles is None else titles_of(self.config["data"], titles, self.items)
        parts = recommend(self.trained, asked, k, include_seen=seen)
        found = [rows_of(self.trained, part, names, explain) for part in parts]
        return (
            pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["user", "place", "item", "score"])
        )

    def alpha(self, lengths: Iterable[int]) -> np.ndarray:
        """The weight of the sequence side for histories of these lengths, in events.

        Raises:
            UserError: the model mixes nothing, or a length is no whole number from 1 up.
        """
        if not hasattr(self.trained.model, "alpha_curve"):
            raise UserError(f"{self.folder}: this model mixes nothing, so it has no alpha.")
        whole = conform("lengths", plain(several(lengths)), list[AtLeast1])
        events = torch.as_tensor(whole, dtype=torch.int64, device=self.trained.device)
        return np.asarray(self.trained.model.alpha_curve(events).cpu())  # type: ignore[operator]

    def evaluate(self, data: DataLike, folder: str | Path | None = None) -> "LoadedRun":
        """The same model on other data whose items have the same ids; see `python -m hybrid_seq_gnn.evaluate`.

        Args:
            data: a frame, a path, or a dict with settings that differ from those of the training data.
            folder: for its results; None is a folder below outputs/evaluate/.
        """
        with tempfile.TemporaryDirectory() as scratch:
            name, node = data_of(data, Path(scratch), self.config["data"])
            ranked = rank_data(self.trained, node)
            node = {**node, "path": None} if node["path"] and Path(scratch) in Path(node["path"]).parents else node
            config, place = {**self.config, "data": node}, None if folder is None else Path(folder)
            found = evaluate(self._run, config, name, ranked, place)
        return LoadedRun(found, self._device)

    def compare(self, other: "LoadedRun", metrics: Sequence[str] = METRICS) -> pd.DataFrame:
        """This run against another, the baseline: a row per metric and length group, with intervals and p.

        Raises:
            UserError: the two were not evaluated on the same users and items.
        """
        baseline, mine = name_configurations([[other._run], [self._run]])
        return compare(baseline, [mine], several(metrics))


def several(given: Any) -> list[Any]:
    """A list; what is one id or number is a list of one."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def load_run(path: str | Path, device: str = "auto") -> LoadedRun:
    """A finished run: of a run folder, or the best on validation of a sweep folder or a glob.

    Raises:
        UserError: there is none.
    """
    return LoadedRun(choose(conform("path", plain(path), str)), device)
