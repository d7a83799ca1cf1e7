"""From overrides to what a sweep varies: a grid of points, or intervals to search; and what exists beside what."""

import copy
import functools
import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hybrid_seq_gnn.app.arguments import last_of_each, quoted
from hybrid_seq_gnn.app.sweep.values import distribution, plain_value
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.limits import conform
from hybrid_seq_gnn.results.labels import words
from hybrid_seq_gnn.run.build import GROUPS, TOP_LEVEL, checked
from hybrid_seq_gnn.run.check import check_node
from hybrid_seq_gnn.run.identity import Config
from hybrid_seq_gnn.study.space import Space, choices, ends

VARIANT = "variant"  # the parameter that chooses among the variants of a study
MOST_TRIED = 1000  # combinations of values, before the first run
NEVER_SWEPT = ("study", "hydra", "debug", "name", "logger")


def parse(arguments: list[str], variants: Mapping[str, str], loader: ConfigLoader | None = None) -> Space:
    """The search space of a command line. A setting that is given twice has its last value, as everywhere in Hydra.

    Args:
        arguments: overrides.
        variants: overrides of each label, side by side in a text.
        loader: finds the options that a glob(…) stands for.

    Raises:
        UserError: something varies that belongs to the sweep itself.
    """
    parser = OverridesParser.create(loader)
    last = {o.get_key_element().removeprefix("++"): o for o in parser.parse_overrides(arguments)}
    searched = any(override.is_interval_sweep() for name, override in last.items() if name != "seed")
    of_label = {label: text.split() for label, text in variants.items()}
    for override in (o for lines in of_label.values() for o in parser.parse_overrides(lines)):
        key = override.get_key_element().removeprefix("++")
        if override.is_sweep_override():
            raise UserError(f"{override.input_line} must have one value in a variant.")
        if key in ("seed", "name") or top(key) in ("study", "hydra"):
            raise UserError(f"{override.input_line} cannot be in a variant: give it for the whole study.")
        if key in last and last[key].is_sweep_override():
            raise UserError(f"{last[key].input_line} cannot vary here: a variant sets it, {override.input_line}.")
    distributions: dict[str, BaseDistribution] = {VARIANT: CategoricalDistribution(list(of_label))} if of_label else {}
    fixed, seeds = [], None
    for name, override in last.items():
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
            continue
        if top(name) in NEVER_SWEPT:
            raise UserError(f"{name} belongs to the sweep itself and cannot vary in it.")
        if name == "seed" and override.is_interval_sweep():
            raise UserError("a seed is repeated and not searched for: give seed=0,1,2 or study.seeds=3.")
        found = distribution(override, searched and name != "seed")
        if name == "seed":
            seeds = tuple(conform(name, plain_value(seed), TOP_LEVEL[name]) for seed in choices(found))
        elif isinstance(found, CategoricalDistribution) and len(found.choices) == 1:
            fixed.append(f"{name}={found.choices[0]}")
        else:
            distributions[name] = found
    return Space(distributions, tuple(fixed), seeds, searched, of_label)


class Beside(NamedTuple):
    """What there is beside some options.

    Attributes:
        matter: parameters that have an effect.
        fixed: the shared overrides that exist.
        config: a checked configuration.
    """

    matter: frozenset[str]
    fixed: tuple[str, ...]
    config: Config


class Conditions:
    """Which parameters matter beside which options: fusion.alpha exists for fusion=fixed, and nothing of it for SASRec.

    Args:
        space: of the sweep.
        compose: from overrides to a configuration, as plain values.
        rehearse: raises what is wrong with a checked configuration.
    """

    def __init__(
        self, space: Space, compose: Callable[[list[str]], Config], rehearse: Callable[[Config], None]
    ) -> None:
        self.space, self.compose, self.rehearse = space, compose, rehearse
        self.known: dict[tuple[Any, ...], Beside] = {}
        for options in self.product(space.options):
            self.beside(options)
        self.check_values()
        for line in space.fixed:
            if not any(line in beside.fixed for beside in self.known.values()):
                compose([line])  # says what is wrong with it
                raise UserError(f"{line} fits none of the options that vary.")
        for name in space.distributions:
            if name not in space.options and not any(name in beside.matter for beside in self.known.values()):
                compose([f"{name}={self.first(name)}"])
                raise UserError(f"{name} has no effect in any run: these models and losses do not use {top(name)}.")

    def check_values(self) -> None:
        """Refuse, before the first run, values that no run can have, and values that do not go together.

        Of an interval both ends are tried; each value once, then in all combinations, up to `MOST_TRIED` in all.

        Raises:
            UserError: a value has another type than its setting, is out of range, or does not go with another one.
        """
        for options, (matter, _, config) in self.known.items():
            names = [name for name in self.space.distributions if name in matter and "." in name]
            values = [ends(self.space.distributions[name]) for name in names]
            first = tuple(each[0] for each in values)
            singly = ((*first[:k], value, *first[k + 1 :]) for k, each in enumerate(values) for value in each)
            tried = itertools.islice(itertools.chain(singly, itertools.product(*values)), MOST_TRIED)
            try:
                for chosen in dict.fromkeys(tried):
                    self.rehearse(with_values(config, dict(zip(names, chosen, strict=True))))
                for name in names:
                    refuse_whole_numbers(name, self.space.distributions[name], config)
            except UserError as error:
                among = words(zip(self.space.options, options, strict=True))
                raise UserError(f"{among}: {error}" if among else str(error)) from error

    def first(self, name: str) -> Any:
        """A value of a parameter."""
        return choices(self.space.distributions[name])[0]

    def product(self, names: list[str]) -> list[dict[str, Any]]:
        """Every combination of the values of some parameters, the last one varying fastest."""
        values = (choices(self.space.distributions[name]) for name in names)
        return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]

    def beside(self, params: Mapping[str, Any]) -> Beside:
        """What exists beside the options in `params`; beside the first value of each option that is not in them.

        Raises:
            UserError or a Hydra error: the configuration cannot be composed, or a value of it is bad.
        """
        options = {name: params.get(name, self.first(name)) for name in self.space.options}
        key = tuple(options.values())
        if key not in self.known:
            chosen = self.lines([f for f in self.space.fixed if "." not in f.partition("=")[0]], options)
            base = self.compose(chosen) if options else {}  # without options, nothing stands beside only some
            fixed = tuple(f for f in self.space.fixed if self.may_be(base, f))
            here = [name for name in self.space.distributions if name not in options and self.may_be(base, name)]
            whole = self.lines(fixed, options | {name: self.first(name) for name in here})
            config = checked(base if base and whole == chosen else self.compose(whole), whole)
            unused = {group for group in GROUPS if config[group] is None}
            matter = frozenset(name for name in [*options, *here] if top(name) not in unused)
            self.known[key] = Beside(matter, fixed, config)
        return self.known[key]

    def may_be(self, config: Config, override: str) -> bool:
        """Whether a configuration has this setting.

        One of a group whose option does not vary is kept in any case: if it does not exist, it is mistyped, and the run
        says so.
        """
        group = top(override)
        if override.startswith(("+", "~")) or (group not in self.space.options and VARIANT not in self.space.options):
            return True
        node: Any = config
        for key in override.partition("=")[0].split("."):
            if not isinstance(node, dict) or key not in node:
                return "." not in override.partition("=")[0]
            node = node[key]
        return True

    def lines(self, fixed: list[str] | tuple[str, ...], params: Mapping[str, Any]) -> list[str]:
        """The command line of some parameters; a later override wins."""
        mine = [f"{name}={value}" for name, value in params.items() if name != VARIANT]
        if VARIANT in params:
            mine = [*self.space.variants[params[VARIANT]], f"name={quoted(params[VARIANT])}", *mine]
        return last_of_each([*fixed, *mine])

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The command line of one configuration, without what does not exist for it."""
        return self.lines(self.beside(params).fixed, params)

    def points(self) -> list[dict[str, Any]]:
        """Of a grid: every different configuration once."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for point in self.product(list(self.space.distributions)):
            matter = self.beside(point).matter
            kept = {name: value for name, value in point.items() if name in matter}
            found.setdefault(tuple(kept.items()), kept)
        return list(found.values())

    def configurations(self) -> list[Config]:
        """One checked configuration for each combination of options."""
        return [beside.config for beside in self.known.values()]

    def data(self) -> list[Config]:
        """The settings of every data set of the sweep."""
        of_data = [name for name in self.space.distributions if top(name) == "data" and "." in name]
        nodes = [config["data"] for config in self.configurations()]
        if of_data:
            values = self.product(of_data)
            nodes = [
                with_values(beside.config, {k: value for k, value in each.items() if k in beside.matter})["data"]
                for beside in self.known.values()
                for each in values
            ]
        return list({json.dumps(node, sort_keys=True): node for node in nodes}.values())


def refuse_whole_numbers(name: str, distribution: BaseDistribution, config: Config) -> None:
    """Refuse to search a setting that takes whole numbers in an interval of numbers.

    Raises:
        UserError: it would fail in nearly all runs.
    """
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        low, high = distribution.low, distribution.high
        try:
            with_values(config, {name: low + (high - low) / math.pi})
        except UserError as error:
            raise UserError(f"{error} {name}=int(interval({low:g},{high:g})) searches whole numbers.") from error


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A checked configuration with other values of some settings, checked too."""
    changed = copy.deepcopy(config)
    for name, value in values.items():
        group, *path, last = name.split(".")
        functools.reduce(dict.__getitem__, path, changed[group])[last] = plain_value(value)
    return changed | {group: check_node(group, changed[group]) for group in set(map(top, values))}


def top(name: str) -> str:
    """The group that a parameter is of."""
    return re.split(r"[.=/@]", name.lstrip("+~"), maxsplit=1)[0]
