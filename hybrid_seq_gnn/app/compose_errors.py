"""Hydra's composition errors in our words, with what was probably meant."""

import difflib
import re
from collections.abc import Iterator
from contextlib import suppress

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from hybrid_seq_gnn.app.arguments import LAUNCHERS, quoted
from hybrid_seq_gnn.app.help import groups
from hybrid_seq_gnn.errors import suggest
from hybrid_seq_gnn.files import package_folder
from hybrid_seq_gnn.run.identity import flatten
from hybrid_seq_gnn.run.options import options

EXTRAS = {"joblib": "parallel", "ray": "ray", "submitit_slurm": "slurm", "submitit_local": "slurm"}


def explain_composition(error: BaseException, arguments: list[str]) -> str:
    """One message for an override that Hydra cannot apply."""
    text = str(error)
    if several := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?:\n| requires)", text):
        return f"{several.group(1)}: several values are a sweep; add -m."
    if unread := re.search(r"Error when parsing index: \d+, string: (.*?) out of \[", text, re.DOTALL):
        key, is_set, value = unread.group(1).partition("=")
        if not is_set:
            return f"{key}: expected a setting and its value, such as model=sasrec."
        reason = text.splitlines()[1] if "\n" in text else ""
        reason = "a sign in it has no place there" if "Exception: " in reason else reason
        return f'{unread.group(1)}: {reason}. If the value is meant as it stands, quote it: "{key}={quoted(value)}"'
    if refused := re.search(r"Target '(.+?)'.*full_key: (hydra\S+)", text, re.DOTALL):
        return (
            f"{refused.group(2)}._target_={refused.group(1)}: Hydra may only make handlers of logging here, and no "
            "callbacks; logger=… records runs elsewhere."
        )
    if option := re.search(r"Could not find '([^']+)'", text):
        group, _, name = option.group(1).rpartition("/")
        if group.startswith("experiment"):  # it has options in folders
            group, _, name = option.group(1).partition("/")
        if group == "hydra/launcher" and (extra := EXTRAS.get(name)):
            return f"{group}={name} needs pip install 'hybrid_seq_gnn[{extra}]'."
        known = LAUNCHERS if group == "hydra/launcher" else options(group)
        if not known:
            return f"{group or name}: there is no such group. Groups: {', '.join(groups())}."
        group = group.replace("experiment", "+experiment")
        hint = suggest(name, known, f"{group}=")
        return f"{group}={name}: there is no such option. {hint}Options of {group}: {', '.join(known)}."
    if key := re.search(r"Could not (?:override|append to config|delete from config)\.?.*?'([^'=]+)", text, re.DOTALL):
        name = key.group(1).lstrip("+~")
        if re.search("not in struct|not in|No match in the defaults list", text + str(error.__cause__ or "")):
            if name == "experiment":
                own = next((a for a in arguments if a.startswith("experiment=")), "experiment=NAME")
                return f"{own}: an experiment is added to the options, with a plus: +{own}."
            return unknown_key(name, arguments)
    cause = error.__cause__
    return text.strip() + (f"\n{cause}" if cause is not None and str(cause) not in text else "")


def unknown_key(name: str, arguments: list[str]) -> str:
    """Say what a key that does not exist may have meant: the same setting elsewhere, or a like name."""
    keys = list(known_keys([a for a in arguments if name not in a]))
    same_leaf = [k for k in keys if k.rpartition(".")[2] == name.rpartition(".")[2]]
    near = same_leaf or nearest(name, keys)
    if "." not in name and (groups_like := nearest(name, [*groups(), "sweeps"], 0.75)):
        typed = [a.lstrip("+").partition("=") for a in arguments]
        near = [f"{groups_like[0]}={value}" for key, _, value in typed if key == name]
    group = name.split(".", maxsplit=1)[0]
    siblings = [k for k in keys if k.startswith(f"{group}.")]
    message = f"{name}: there is no such setting."
    if near:
        message += f" Did you mean {' or '.join(near)}?"
    if siblings:
        message += f" Settings of {group} here: {', '.join(siblings)}."
    return message + " (python -m hybrid_seq_gnn --cfg job shows all.)"


def nearest(name: str, known: list[str], cutoff: float = 0.6) -> list[str]:
    """Up to three known names that resemble a name, each nearly as much as the best of them."""

    def like(one: str) -> float:
        return difflib.SequenceMatcher(None, one, name).ratio()

    found = difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
    return [one for one in found if like(one) > like(found[0]) - 0.1]


def known_keys(arguments: list[str]) -> Iterator[str]:
    """Every setting of the configuration that the other arguments give, or as many of them as can be applied."""
    GlobalHydra.instance().clear()
    overrides = [a for a in arguments if "=" in a and not a.startswith(("-", "hydra", "~")) and "," not in a]
    chosen = [a for a in overrides if "." not in a.partition("=")[0]]  # options of groups
    with initialize_config_dir(str(package_folder("conf"))):
        for attempt in (overrides, chosen, []):  # another argument may be wrong too
            with suppress(Exception):
                config = compose("config", attempt)
                break
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    yield from (key for key, _ in flatten({str(key): value for key, value in plain.items()}))
