"""A trained model, read back from a run folder without its data.

`model.pt` holds everything a model needs: weights, counts, graph, configuration and item ids. The model is built for a
catalogue without events; then every parameter and buffer is put in the place of the empty one.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from hybrid_seq_gnn.data.columns import EXACT
from hybrid_seq_gnn.data.events import text_of
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError, printable
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.results.load import load
from hybrid_seq_gnn.results.runs import FinishedRun, require_comparable
from hybrid_seq_gnn.run.build import build_parts
from hybrid_seq_gnn.run.check import check_node, settings_of, target_class
from hybrid_seq_gnn.run.identity import Config
from hybrid_seq_gnn.run.record import change_of
from hybrid_seq_gnn.training import checkpoint
from hybrid_seq_gnn.training.settings import device_of

log = logging.getLogger(__name__)

BEYOND = 1 << 63  # int64 ends before it
NONE = np.zeros(0, dtype=np.int64)
PARTS = ("model", "fusion", "gnn")  # of the configuration, which scores depend on
WHOLE = re.compile(r"(-?\d{1,19})(?:\.0)?")  # as text, also where it was a float
ADJACENCY = "adjacency.first"  # end of a buffer's name in the state of a model that has a graph


@dataclass(frozen=True)
class Trained:
    """A trained model in evaluation mode, with the ids of its items.

    Attributes:
        folder: of the run.
        config: of the run.
        model: scores items 1..N; 0 is padding.
        item_ids: (N,) `item_ids[i - 1]` is the id of item i in the source.
        counts: (N + 1,) events of each item in training.
        split_hash: of the data it was trained on.
        device: of the model.
    """

    folder: Path
    config: Config
    model: nn.Module
    item_ids: np.ndarray
    counts: np.ndarray
    split_hash: str
    device: torch.device

    @property
    def num_items(self) -> int:
        """N, without padding."""
        return len(self.item_ids)

    @property
    def max_length(self) -> int:
        """Number of latest events that the model reads."""
        return int(self.model.max_length)  # type: ignore[arg-type]

    @property
    def mask_history(self) -> bool:
        """Whether the run was evaluated without the items that a user has had."""
        return bool(self.config["evaluation"]["mask_history"])

    @property
    def has_user_embeddings(self) -> bool:
        """Whether the model has learned a vector for each user of its training data, and can serve no others."""
        return bool(getattr(self.model, "has_user_embeddings", False))

    @cached_property
    def _index(self) -> "pd.Index[Any]":
        index: pd.Index[Any] = pd.Index(self.item_ids)
        return index

    @cached_property
    def codes(self) -> np.ndarray:
        """(N,) a hash of each item id, as text."""
        return np.asarray(pd.util.hash_array(self.item_ids.astype(str).astype(object)))

    def numbers(self, ids: Any) -> np.ndarray:
        """The number of each item id, 0 for unknown ones, see `places`."""
        return places(self._index, ids) + 1


def places(known: "pd.Index[Any]", ids: Iterable[Any]) -> np.ndarray:
    """The position of each id among the known ones; -1 for an unknown id and for a missing one.

    Text, whole numbers and whole floats, which pandas makes of them, are the same: "12" and 12.0 are 12.
    """
    if isinstance(ids, np.ndarray) and ids.dtype.kind == known.dtype.kind == "i":
        return np.asarray(known.get_indexer(pd.Index(ids)))
    given = np.fromiter(ids.tolist() if isinstance(ids, np.ndarray) else ids, dtype=object)
    if known.dtype.kind == "i":
        numbers = [whole(one) for one in given]
        lost = np.array([one is None for one in numbers], dtype=bool)
        found = known.get_indexer(pd.Index([one or 0 for one in numbers], dtype=np.int64))
    else:
        lost = np.asarray(pd.isna(given))
        found = known.get_indexer(pd.Index([str(one) for one in given], dtype=object))
        others = np.flatnonzero(found < 0)
        found[others] = known.get_indexer(pd.Index([text_of(one) for one in given[others]], dtype=object))
    return np.where(lost, -1, found)


def whole(one: Any) -> int | None:
    """The whole number that an id is, or says; None if it is none, or may have been rounded to one."""
    if isinstance(one, float | np.floating):
        return int(one) if float(one).is_integer() and abs(float(one)) < EXACT else None
    if type(one) is int:
        number = one
    elif match := WHOLE.fullmatch(str(one).strip()):
        number = int(match[1])
    else:
        return None
    return number if -BEYOND <= number < BEYOND else None


def choose(paths: str | Path | list[str]) -> FinishedRun:
    """The finished run that paths name; of several with a model, the one with the best validation metric.

    What lies among them and cannot be used, and may have been better, is logged as a warning. What `evaluate` wrote
    there has no model, and is not.

    Raises:
        UserError: there is none, or they were not trained on the same data.
    """
    found = load(paths if isinstance(paths, list) else [paths])
    with_model = [run for run in found.runs if (run.folder / "model.pt").is_file()]
    runs = with_model or found.runs
    lost = [run.folder for run in found.runs if run not in runs and "evaluated" not in run.results]
    for problem in (*found.left_out, *(f"{folder} has no model.pt: run it again to make one." for folder in lost)):
        log.warning("left out: %s", printable(problem))
    require_comparable(runs)
    return max(runs, key=lambda run: run.validation)


def load_trained(run: FinishedRun, device: str = "auto") -> Trained:
    """The model of a finished run.

    Args:
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: there is no model.pt, it is damaged or foreign, or another version wrote it.
    """
    where = device_of(device, "--device")
    state = read_state(run, where)
    try:
        config, weights = state["config"], state["model"]
        known = settings_of(target_class("model", config["model"]))
        before = {name: value for name, value in checkpoint.BEFORE.items() if name in known}
        config = {**config, "model": {**before, **config["model"]}}
        item_ids, counts = ids_of(state["item_ids"]), np.asarray(state["item_counts"])
        nodes = {part: config[part] and check_node(part, config[part]) for part in PARTS}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{run.folder / 'model.pt'} is not the model.pt of a run: {error!r}.") from error
    except UserError as error:
        version = (run.results.get("versions") or {}).get("hybrid_seq_gnn")
        raise UserError(
            f"{run.folder / 'model.pt'} was written by version {version} of hybrid_seq_gnn, and this one cannot use "
            f"it: {error} Install that version, or train again."
        ) from error
    model = built({**config, **nodes, "negatives": None, "loss": None}, item_ids, weights)
    put(model, weights, run.folder / "model.pt")
    model.to(where).eval().requires_grad_(False)
    return Trained(run.folder, config, model, item_ids, counts, str(state.get("split_hash")), where)


def ids_of(ids: list[Any]) -> np.ndarray:
    """Item ids as an array of whole numbers or of text."""
    numbers = bool(ids) and all(isinstance(one, int) and -BEYOND <= one < BEYOND for one in ids)
    return np.array(ids if numbers else [str(one) for one in ids], dtype=np.int64 if numbers else object)


def read_state(run: FinishedRun, device: torch.device) -> dict[str, Any]:
    """The content of model.pt, if it is the one that the run wrote."""
    path = run.folder / "model.pt"
    if not path.is_file():
        raise UserError(f"{run.folder} has no model.pt; it is needed to score items. Run it again to make one.")
    if change := change_of(path, run.results):
        raise UserError(change)
    return checkpoint.load(path, device, "Run it again to make another one.")


def built(config: Config, item_ids: np.ndarray, weights: dict[str, Tensor]) -> nn.Module:
    """The model of a configuration for a catalogue without events, with the graph of its state."""
    sequences = Sequences(np.zeros(1, dtype=np.int64), NONE, None, NONE, item_ids)
    adjacency = next((matrix_of(weights, name[: -len("first")]) for name in weights if name.endswith(ADJACENCY)), None)
    model: nn.Module = build_parts(config, sequences, Split(NONE, NONE, NONE), adjacency)["model"]
    return model


def matrix_of(weights: dict[str, Tensor], prefix: str) -> SparseMatrix:
    """The sparse matrix with the buffers PREFIX + first, column and value."""
    first, column, value = (weights[prefix + name].cpu() for name in ("first", "column", "value"))
    row = torch.arange(len(first) - 1).repeat_interleave(first.long().diff())
    return SparseMatrix(row.numpy(), column.numpy(), value.numpy(), len(first) - 1)


def put(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Replace parameters and buffers by those of a state, whatever their sizes.

    Raises:
        UserError: one is missing, or has no place.
    """
    modules = dict(model.named_modules(remove_duplicate=False))  # a tied table has two names
    missing = set(model.state_dict()) - set(weights)
    for name, value in weights.items():
        place, _, short = name.rpartition(".")
        if place not in modules or missing:
            raise UserError(f"{path} does not fit its configuration: {name if place not in modules else min(missing)}.")
        if short in modules[place]._parameters:
            setattr(modules[place], short, nn.Parameter(value))
        else:
            modules[place].register_buffer(short, value)
    for module in modules.values():
        if hasattr(module, "derive"):
            module.derive()
