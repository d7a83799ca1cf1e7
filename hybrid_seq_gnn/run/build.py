"""Check a configuration and build the objects that it describes."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Interval

from hybrid_seq_gnn.data.cache import FORMAT, get_or_make
from hybrid_seq_gnn.data.prepare import Prepared
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.graph.items import ItemGraph
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.run.check import UNKNOWN, check_node, parts_of, settings_of, target_class
from hybrid_seq_gnn.run.identity import Config, digest

TOP_LEVEL: dict[str, Any] = {"seed": Annotated[int, Interval(ge=0, lt=1 << 31)], "name": str | None, "debug": bool}
GROUPS = ("data", "graph", "gnn", "fusion", "model", "negatives", "loss", "training", "evaluation", "logger")
GRAPHS_KEPT = 4  # graphs in the cache, for runs of a sweep that share a process
OF_A_SWEEP = "study"  # settings of a sweep, not of its runs
GROUP_OF = {"gnn": "gnn", "fusion": "fusion", "adjacency": "graph", "negatives": "negatives"}


def build(node: Config, **parts: Any) -> Any:
    """Build the object that a checked node describes from its settings and from `parts`, which the program adds.

    Only parts that its constructor names are passed, so a class gets a part by naming it as a parameter.
    """
    cls = target_class("", node)
    settings = {name: value for name, value in node.items() if name != "_target_"}
    inner = {name: build(value) for name, value in settings.items() if isinstance(value, dict) and "_target_" in value}
    if unknown := [name for name in parts_of(cls) if name not in parts]:
        raise UserError(
            f"{cls.__name__} asks for {', '.join(unknown)}; the program can give it {', '.join(parts) or 'nothing'}. "
            "With a default, a parameter is a setting."
        )
    return cls(**settings | inner, **{name: parts[name] for name in parts_of(cls)})


def groups_in_use(config: Config) -> set[str]:
    """Names of the groups in use, found by following what the model and the loss need."""
    used = {"data", "training", "evaluation", "logger"}
    pending = ["model", "loss"]
    while pending:
        group = pending.pop()
        used.add(group)
        pending += [GROUP_OF[need] for need in parts_of(target_class(group, config[group])) if need in GROUP_OF]
    return used


def without_fusion(training: Config) -> Config:
    """The training node for a model without a fusion; see `Strategy.alone`."""
    alone: str | None = getattr(target_class("training", training), "alone", None)
    if alone is None:
        return training
    settings = settings_of(target_class("training", {"_target_": alone}))
    return {"_target_": alone} | {name: value for name, value in training.items() if name in settings}


def checked(config: Config, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a run with all values checked, and groups that are not in use set to None.

    Args:
        overrides: from the command line, so that a message can tell what an experiment has set.

    Raises:
        UserError: a setting does not exist, or a value has the wrong type.
    """
    try:
        return _checked(config)
    except UserError as error:
        name = str(error).partition(":")[0]
        frozen = [line for line in overrides if line.startswith("+experiment=")]
        if (
            not frozen
            or UNKNOWN not in str(error)
            or any(line.lstrip("+").startswith(f"{name}=") for line in overrides)
        ):
            raise
        raise UserError(f"{error} {frozen[-1]} sets it, for another option; ~{name} takes it away.") from error


def _checked(config: Config) -> Config:
    config = {key: value for key, value in config.items() if key != OF_A_SWEEP}
    for key in config:
        if key == "experiment":
            raise UserError(f"{key}: {UNKNOWN} The first line of an experiment of your own must be # @package _global_")
        if key not in TOP_LEVEL and key not in GROUPS:
            known = ", ".join((*GROUPS, OF_A_SWEEP, *TOP_LEVEL))
            raise UserError(f"{key}: {UNKNOWN} Top level: {known}.")
    top = {key: conform(key, config.get(key), kind) for key, kind in TOP_LEVEL.items()}
    used = groups_in_use(config)
    if "fusion" not in used and "training" in config:
        config["training"] = without_fusion(config["training"])
    values = {key: check_node(key, config[key]) if key in GROUPS else top[key] for key in config}
    return {key: value if key not in GROUPS or key in used else None for key, value in values.items()}


def build_group(config: Config, group: str, parts: dict[str, Any]) -> Any:
    """The object of a group, or None if the group is not in use.

    Each group draws its initial weights from its own random seed, so a hybrid's encoder starts with the same weights as
    the encoder alone, whatever else the model contains.
    """
    if config[group] is None:
        return None
    torch.manual_seed(config["seed"] + (GROUPS.index(group) << 32 if group != "model" else 0))
    return build(config[group], **parts)


def build_parts(
    config: Config, sequences: Sequences, split: Split, adjacency: SparseMatrix | None = None
) -> dict[str, Any]:
    """The objects that are trained, by group (None if not in use), and all else that a constructor may ask for."""
    parts: dict[str, Any] = {"sequences": sequences, "split": split, "num_items": sequences.num_items}
    parts |= {"embedding_dim": config["model"].get("embedding_dim"), "adjacency": adjacency}
    for group in ("fusion", "gnn", "model", "negatives", "loss"):  # each may ask for those before
        parts[group] = build_group(config, group, parts)
    if hasattr(parts["model"], "set_prior"):
        parts["model"].set_prior(torch.from_numpy(sequences.training_counts(split)).float())
    return parts


_graphs: dict[str, tuple[SparseMatrix, dict[str, Any]]] = {}


def graph_of(node: Config, prepared: Prepared) -> tuple[SparseMatrix, dict[str, Any]]:
    """The item graph and its statistics, cached for other runs in this process; on disk too if it takes long."""
    key, sequences = digest([FORMAT, node, prepared.split_hash]), prepared.sequences

    def made() -> tuple[SparseMatrix, dict[str, Any]]:
        graph = ItemGraph.cached(sequences.cache, key, lambda: build(node).build(sequences, prepared.split))
        return graph.adjacency(), graph.statistics()

    return get_or_make(_graphs, key, made, GRAPHS_KEPT)
