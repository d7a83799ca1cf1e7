"""Options and settings as plain values, without Hydra: what conf/ says, and `group=option group.setting=value`."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from hybrid_seq_gnn.errors import UserError, as_user_error
from hybrid_seq_gnn.files import package_folder
from hybrid_seq_gnn.run.check import check_node
from hybrid_seq_gnn.run.identity import Config


def options(group: str) -> list[str]:
    """Names of a group's options, such as `study/gat` of `experiment`; a base begins with an underscore and is none."""
    folder = package_folder("conf") / group
    paths = folder.rglob("*.yaml") if group else ()
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in paths if not path.stem.startswith("_"))


def option(group: str, name: str, *, base: bool = False) -> Config:
    """The node of an option, with what it inherits; of a base, which is no option, only if told so.

    Raises:
        UserError: there is no such option.
    """
    path = package_folder("conf") / group / f"{name}.yaml"
    if not path.is_file() or (name.startswith("_") and not base):
        raise UserError(f"{group}={name}: there is no such option. Options of {group}: {', '.join(options(group))}.")
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    node: Config = {}
    for other in own.pop("defaults", ["_self_"]):
        node |= own if other == "_self_" else option(group, other, base=True)
    return node


def main_config() -> Config:
    """The content of conf/config.yaml."""
    config: Config = yaml.safe_load((package_folder("conf") / "config.yaml").read_text(encoding="utf-8"))
    return config


def default_options() -> dict[str, str]:
    """The option of each group in conf/config.yaml."""
    pairs = [pair for entry in main_config()["defaults"] if isinstance(entry, dict) for pair in entry.items()]
    return {group: name for group, name in pairs if not group.startswith("override") and group != "study"}


def changed(group: str, node: Config, settings: Iterable[str]) -> Config:
    """The node of a group with settings as typed: `data=table data.path=log.csv`. An option starts from its defaults.

    Raises:
        UserError: a word is no setting of this group, or a value is none.
    """
    pairs = [read_setting(group, word) for word in settings]
    for name, value in pairs:
        if not name:
            node = option(group, value)
    return updated(group, node, {name: value for name, value in pairs if name})


def updated(group: str, node: Config, values: Mapping[str, Any]) -> Config:
    """The node with other values, checked; `groups.short` names a value inside."""
    node = {key: dict(value) if isinstance(value, dict) else value for key, value in node.items()}
    for name, value in values.items():
        inner, _, last = name.rpartition(".")
        place = node.get(inner) if inner else node
        if not isinstance(place, dict):
            raise UserError(f"{group}.{name}: there is no such setting.")
        if isinstance(value, Mapping) and isinstance(place.get(last), dict):
            place[last] |= value
        else:
            place[last] = value
    return check_node(group, node)


def read_setting(group: str, word: str) -> tuple[str, Any]:
    """Name and value of `group.name=value`; the name of `group=option` is empty."""
    key, equals, text = word.partition("=")
    if not equals or key.partition(".")[0] != group:
        raise UserError(f"{word}: expected a setting of {group}, such as {group}.path=FILE.")
    name = key.partition(".")[2]
    if not name:
        return "", text
    try:
        return name, json.loads(text)
    except ValueError:
        pass
    with as_user_error(f"{word} cannot be read"):
        return name, yaml.safe_load(text) if text[:1] in ("[", "'") else text


def warn_unused(config: dict[str, Any], overrides: list[str]) -> None:
    """Say which of the user's settings have no effect with this model and loss, or in a single run."""
    log = logging.getLogger(__name__)
    for override in overrides:
        group = re.split(r"[=.@]", override.lstrip("+~"), maxsplit=1)[0]
        if group == "study":  # a sweep keeps it to itself
            log.warning("%s has no effect: this is one run; -m makes it a sweep.", override)
        elif group in config and config[group] is None and override != "name=null":
            log.warning("%s has no effect: this model and loss do not use %s.", override, group)
        elif group == "training" and not takes(config["training"], override):
            log.warning("%s has no effect: this model has no fusion to fit, and is trained as it is.", override)


def takes(node: dict[str, Any], override: str) -> bool:
    """Whether a part has the setting of an override, or is the option that it chooses."""
    key, _, value = override.lstrip("+~").partition("=")
    return key.partition(".")[2] in node if "." in key else node["_target_"].split(".")[-2] == value
