"""Check each value of a configuration against the constructor that receives it.

The settings of a class are the parameters of its constructor that have a default. Parameters without a default come
from the program (the number of items, the graph ...). So each yaml corresponds to one class, and there is no third
place to keep in sync.
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from hybrid_seq_gnn.errors import UserError, suggest
from hybrid_seq_gnn.limits import conform

PACKAGE = "hybrid_seq_gnn."
UNKNOWN = "there is no such setting."


def target_class(key: str, node: Mapping[str, Any]) -> type:
    """The class that `node._target_` names; it must belong to this package."""
    name = str(node.get("_target_", ""))
    if not name.startswith(PACKAGE):
        raise UserError(f"{key}._target_={name}: expected a class of {PACKAGE[:-1]}.")
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{key}._target_={name} cannot be loaded: {error}.") from error
    if not inspect.isclass(target):
        raise UserError(f"{key}._target_={name}: expected a class.")
    return target


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Named parameters of the constructor."""
    parameters = inspect.signature(cls, eval_str=True).parameters
    return {name: p for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def settings_of(cls: type) -> dict[str, inspect.Parameter]:
    """Constructor parameters with a default: the settings of the class."""
    return {name: p for name, p in parameters_of(cls).items() if p.default is not p.empty}


def parts_of(cls: type) -> list[str]:
    """Constructor parameters without a default, which the program must provide."""
    return [name for name, p in parameters_of(cls).items() if p.default is p.empty]


def check_node(key: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """The node with each value converted to the type that the constructor declares.

    Args:
        key: the key of the node on the command line, such as `fusion`.
        node: `_target_` and settings as plain values.

    Raises:
        UserError: a setting does not exist, or a value has the wrong type.
    """
    settings = settings_of(target_class(key, node))
    checked: dict[str, Any] = {"_target_": node["_target_"]}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in settings:
            known = ", ".join(sorted(settings)) or "none"
            hint = suggest(str(name), sorted(settings), f"{key}.")
            raise UserError(f"{key}.{name}: {UNKNOWN} {hint}Settings of {key}: {known}.")
        if isinstance(value, Mapping) and "_target_" in value:
            checked[name] = check_node(f"{key}.{name}", value)
        else:
            checked[name] = conform(f"{key}.{name}", value, settings[name].annotation)
    return checked
