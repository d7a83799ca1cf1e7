"""From a checked configuration to objects."""

from typing import Any

import torch

from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.run.check import check_node, conform, needs_of, settings_of, target_class
from hybrid_seq_gnn.run.identity import Config, digest

TOP_LEVEL: dict[str, Any] = {"seed": int, "name": str | None, "debug": bool}
GROUPS = ("data", "graph", "gnn", "fusion", "model", "negatives", "loss", "training", "evaluation", "logger")
GRAPHS_KEPT = 4  # of the runs of a sweep, which share a process
OF_A_SWEEP = "study"  # says how runs are made, and is no part of one
BRINGS = {"gnn": "gnn", "fusion": "fusion", "adjacency": "graph", "negatives": "negatives"}


def build(node: Config, **parts: Any) -> Any:
    """The object that a checked node describes; `parts` is what the program adds to its settings.

    Only what its constructor asks for is passed on, so that a class takes part by naming a parameter.
    """
    cls = target_class("", node)
    settings = {name: value for name, value in node.items() if name != "_target_"}
    inner = {name: build(value) for name, value in settings.items() if isinstance(value, dict) and "_target_" in value}
    return cls(**settings | inner, **{name: parts[name] for name in needs_of(cls)})


def groups_in_use(config: Config) -> set[str]:
    """The groups that matter, found from what the model and the loss ask for."""
    used = {"data", "training", "evaluation", "logger"}
    found = ["model", "loss"]
    while found:
        group = found.pop()
        used.add(group)
        found += [BRINGS[need] for need in needs_of(target_class(group, config[group])) if need in BRINGS]
    return used


def without_fusion(training: Config) -> Config:
    """How a model without a fusion is trained, given how one with a fusion would be."""
    alone: str | None = getattr(target_class("training", training), "alone", None)
    if alone is None:
        return training
    known = settings_of(target_class("training", {"_target_": alone}))
    return {"_target_": alone} | {name: value for name, value in training.items() if name in known}


def checked(config: Config) -> Config:
    """Every value of a run checked, and groups that this model and loss do not use set to None.

    Raises:
        ValueError: a setting that does not exist or a value of a wrong type.
    """
    config = {key: value for key, value in config.items() if key != OF_A_SWEEP}
    for key in config:
        if key not in TOP_LEVEL and key not in GROUPS:
            known = ", ".join((*GROUPS, OF_A_SWEEP, *TOP_LEVEL))
            raise ValueError(f"{key}: there is no such setting. Top level: {known}.")
    top = {key: conform(key, config.get(key), kind) for key, kind in TOP_LEVEL.items()}
    if top["seed"] < 0:
        raise ValueError(f"seed={top['seed']}: expected a whole number from 0 up.")
    used = groups_in_use(config)
    if "fusion" not in used and "training" in config:
        config["training"] = without_fusion(config["training"])
    whole = {key: check_node(key, config[key]) if key in GROUPS else top[key] for key in config}
    return {key: value if key not in GROUPS or key in used else None for key, value in whole.items()}


def build_group(config: Config, group: str, parts: dict[str, Any]) -> Any:
    """What a group stands for, None if it is not in use; each has initial weights of its own from the seed.

    So a hybrid's encoder starts with the weights of the encoder alone, whatever stands beside it.
    """
    if config[group] is None:
        return None
    torch.manual_seed(config["seed"] + (GROUPS.index(group) << 32 if group != "model" else 0))
    return build(config[group], **parts)


_graphs: dict[str, tuple[SparseMatrix, dict[str, Any]]] = {}


def graph_of(node: Config, prepared: Prepared) -> tuple[SparseMatrix, dict[str, Any]]:
    """The item graph and its statistics, made once for all runs of this process that want the same."""
    key = digest([node, prepared.split_hash])
    if key not in _graphs:
        while len(_graphs) >= GRAPHS_KEPT:
            del _graphs[next(iter(_graphs))]
        graph = build(node).build(prepared.sequences, prepared.split)
        _graphs[key] = graph.adjacency(), graph.statistics()
    return _graphs[key]
