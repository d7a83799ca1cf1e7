"""The parts of a run, from its configuration, and what tells one run from another."""

import hashlib
import json
from typing import Any

import torch

from hybrid_seq_gnn.app.build import GROUPS, Config, build
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.graph.sparse import SparseMatrix

NOT_PART_OF_A_RUN = ("debug", "name", "logger")  # settings that change no number
GRAPHS_KEPT = 4  # of the runs of a sweep, which share a process

_graphs: dict[tuple[str, str], tuple[SparseMatrix, dict[str, Any]]] = {}


def identity(config: Config, prepared: Prepared) -> str:
    """What a run is: its settings and its data, without where the data lie and how the run is watched."""
    settings = {key: value for key, value in config.items() if key not in NOT_PART_OF_A_RUN}
    settings["data"] = prepared.split_hash
    settings["training"] = {k: v for k, v in config["training"].items() if k != "resume"}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def part(config: Config, group: str, given: dict[str, Any]) -> Any:
    """What a group stands for, None if it is not in use; each has initial weights of its own from the seed.

    So a hybrid's encoder starts with the weights of the encoder alone, whatever stands beside it.
    """
    if config[group] is None:
        return None
    torch.manual_seed(config["seed"] + (GROUPS.index(group) << 32 if group != "model" else 0))
    return build(config[group], **given)


def graph_of(node: Config, prepared: Prepared) -> tuple[SparseMatrix, dict[str, Any]]:
    """The item graph and its statistics, made once for all runs of this process that want the same."""
    key = json.dumps(node, sort_keys=True), prepared.split_hash
    if key not in _graphs:
        while len(_graphs) >= GRAPHS_KEPT:
            del _graphs[next(iter(_graphs))]
        graph = build(node).build(prepared.sequences, prepared.split)
        _graphs[key] = graph.adjacency(), graph.statistics()
    return _graphs[key]
