"""Check every value of a configuration against the constructor that will get it.

A class says what its settings are: the parameters of its constructor that have a default. Parameters without one come
from the program (the number of items, the graph ...). So each yaml has one twin in code and no third place to keep in
step.
"""

import difflib
import importlib
import inspect
import math
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hybrid_seq_gnn.limits import refusal

PACKAGE = "hybrid_seq_gnn."


def target_class(key: str, node: Mapping[str, Any]) -> type:
    """The class that `node._target_` names; only those of this package are accepted."""
    name = str(node.get("_target_", ""))
    if not name.startswith(PACKAGE):
        raise ValueError(f"{key}._target_={name}: expected a class of {PACKAGE[:-1]}.")
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{key}._target_={name} cannot be loaded: {error}.") from error
    if not inspect.isclass(found):
        raise ValueError(f"{key}._target_={name}: expected a class.")
    return found


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Named parameters of a constructor."""
    parameters = inspect.signature(cls, eval_str=True).parameters
    return {name: p for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def settings_of(cls: type) -> dict[str, inspect.Parameter]:
    """Constructor parameters that have a default: what a user may set."""
    return {name: p for name, p in parameters_of(cls).items() if p.default is not p.empty}


def needs_of(cls: type) -> list[str]:
    """Constructor parameters that have none: what the program must give."""
    return [name for name, p in parameters_of(cls).items() if p.default is p.empty]


def check_node(key: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """The node with every value in the type that its constructor names.

    Args:
        key: where the node stands, as on the command line: `fusion`.
        node: `_target_` and settings, as plain values.

    Raises:
        ValueError: an unknown setting or a value of a wrong type, in the words of the command line.
    """
    settings = settings_of(target_class(key, node))
    checked: dict[str, Any] = {"_target_": node["_target_"]}
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in settings:
            raise ValueError(f"{key}.{name}: there is no such setting. {did_you_mean(str(name), settings, key)}")
        if isinstance(value, Mapping) and "_target_" in value:
            checked[name] = check_node(f"{key}.{name}", value)
        else:
            checked[name] = conform(f"{key}.{name}", value, settings[name].annotation)
    return checked


def conform(key: str, value: Any, hint: Any) -> Any:
    """`value` as the annotation `hint` wants it, where nothing is lost by that.

    Raises:
        ValueError: it cannot be that.
    """
    if get_origin(hint) is Annotated:  # the limits are held by whoever is made, see `limits`
        return conform(key, value, get_args(hint)[0])
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) in (Union, types.UnionType):
        for option in sorted(get_args(hint), key=lambda option: option is str):  # text last: it takes anything
            try:
                return conform(key, value, option)
            except ValueError:
                continue
    elif get_origin(hint) in (list, tuple):
        if isinstance(value, list | tuple):
            element = get_args(hint)[0]
            return get_origin(hint)(conform(f"{key}[{i}]", v, element) for i, v in enumerate(value))
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    elif hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ValueError(refusal(key, value, hint))


def did_you_mean(name: str, known: Iterable[str], group: str) -> str:
    """What a mistyped name may have meant, and what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {group}.{near[0]}? " if near else ""
    return f"{hint}Settings of {group}: {', '.join(known) or 'none'}."
