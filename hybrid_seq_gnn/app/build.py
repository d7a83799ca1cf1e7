"""From a checked configuration to objects."""

from typing import Any

from hydra.utils import instantiate

from hybrid_seq_gnn.app.check import check_node, conform, needs_of, target_class

Config = dict[str, Any]
TOP_LEVEL: dict[str, Any] = {"seed": int, "name": str | None, "debug": bool}
GROUPS = ("data", "graph", "gnn", "fusion", "model", "negatives", "loss", "training", "evaluation", "logger")
OF_A_SWEEP = "study"  # says how runs are made, and is no part of one
BRINGS = {"gnn": "gnn", "fusion": "fusion", "adjacency": "graph", "negatives": "negatives"}


def build(node: Config, **given: Any) -> Any:
    """The object that a checked node describes; `given` is what the program adds to its settings.

    Only what its constructor asks for is passed on, so that a class takes part by naming a parameter.
    """
    needs = needs_of(target_class("", node))
    return instantiate(
        node, **{name: given[name] for name in needs}, _convert_="all", _execution_whitelist_=("hybrid_seq_gnn.*",)
    )


def groups_in_use(config: Config) -> set[str]:
    """The groups that matter, found from what the model and the loss ask for."""
    used = {"data", "training", "evaluation", "logger"}
    found = ["model", "loss"]
    while found:
        group = found.pop()
        used.add(group)
        found += [BRINGS[need] for need in needs_of(target_class(group, config[group])) if need in BRINGS]
    return used


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
    whole = {key: check_node(key, config[key]) if key in GROUPS else top[key] for key in config}
    return {key: value if key not in GROUPS or key in used else None for key, value in whole.items()}
