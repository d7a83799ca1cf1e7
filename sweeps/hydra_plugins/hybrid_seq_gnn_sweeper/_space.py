"""What a sweep tries: a grid of points, or intervals to search; and which settings exist beside which options."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_seq_gnn.app.arguments import quoted
from hybrid_seq_gnn.run.build import GROUPS, checked

VARIANT = "variant"  # the parameter that chooses among study.variants
NEVER_SWEPT = ("study", "hydra", "debug", "name", "logger")


@dataclass(frozen=True)
class Space:
    """A parsed command line.

    Attributes:
        distributions: what varies, in the order of the command line; the seed is not among them.
        fixed: overrides that all runs share.
        seeds: of seed=0,1,2; None where the seed does not vary.
        searched: whether there is an interval, so that Optuna chooses; otherwise every point is run once.
        variants: overrides of each label of study.variants.
    """

    distributions: dict[str, BaseDistribution]
    fixed: tuple[str, ...]
    seeds: tuple[int, ...] | None
    searched: bool
    variants: dict[str, list[str]] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """Parameters that decide which other settings there are: choices among the options of a group, and variants."""
        return [name for name in self.distributions if "." not in name]

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The command line of one configuration; a later override wins."""
        mine = [f"{name}={spelled(value)}" for name, value in params.items() if name != VARIANT]
        if VARIANT in params:
            mine = [*self.variants[params[VARIANT]], f"name={quoted(params[VARIANT])}", *mine]
        last = {line.partition("=")[0].lstrip("+"): line for line in (*self.fixed, *mine)}
        return list(last.values())


def parse(arguments: list[str], variants: Sequence[str] = ()) -> Space:
    """The search space of a command line, by the rules of Hydra's own Optuna sweeper.

    A setting that is given twice has its last value, as everywhere in Hydra.

    Raises:
        ValueError: something varies that belongs to the sweep itself.
    """
    parser = OverridesParser.create()
    last = {override.get_key_element(): override for override in parser.parse_overrides(arguments)}
    lines = [override.input_line for override in last.values() if override.input_line is not None]
    distributions, fixed, deletions = create_params_from_overrides(lines)
    for name in distributions:
        if re.split(r"[./@]", name.lstrip("+~"))[0] in NEVER_SWEPT:
            raise ValueError(f"{name} belongs to the sweep itself and cannot vary in it.")
    searched = any(o.is_interval_sweep() for name, o in last.items() if name != "seed")
    seeds = None
    if (given := distributions.pop("seed", None)) is not None:
        if last["seed"].is_interval_sweep():
            raise ValueError("a seed is repeated and not searched for: give seed=0,1,2 or study.seeds=3.")
        seeds = tuple(int(seed) for seed in choices(given))
    if not searched:
        distributions = {name: CategoricalDistribution(choices(d)) for name, d in distributions.items()}
    for name, distribution in list(distributions.items()):
        if isinstance(distribution, CategoricalDistribution) and len(choices(distribution)) == 1:
            del distributions[name]
            fixed[name] = alone(str(last[name].input_line))
    of_label = dict(parse_variant(variant) for variant in variants)
    if of_label:
        distributions = {VARIANT: CategoricalDistribution(list(of_label)), **distributions}
    shared = (*(f"{name}={value}" for name, value in fixed.items()), *deletions)
    return Space(distributions, shared, seeds, searched, of_label)


def alone(override: str) -> str:
    """The value of an override with a single choice, as it was written."""
    value = override.partition("=")[2].strip()
    inside = re.fullmatch(r"choice\((.*)\)", value, re.DOTALL)
    return inside.group(1) if inside else value.split(",")[0]


def spelled(value: Any) -> str:
    """A choice as the value of an override; Hydra's choice('a,b') forgets the quotes."""
    try:
        if not OverridesParser.create().parse_override(f"x={value}").is_sweep_override():
            return str(value)
    except HydraException:
        pass
    return quoted(str(value))


def parse_variant(variant: str) -> tuple[str, list[str]]:
    """The label of a variant, and its overrides.

    Raises:
        ValueError: an override names a choice or an interval itself.
    """
    label, _, overrides = variant.partition(":")
    label, lines = label.strip(), overrides.split()
    for override in OverridesParser.create().parse_overrides(lines):
        if override.is_sweep_override():
            raise ValueError(f"study.variants: {label}: {override.input_line} must have one value.")
    return label, lines


class Conditions:
    """Which parameters matter beside which options: fusion.alpha exists for fusion=fixed, and nothing of it for SASRec.

    Args:
        space: of the sweep.
        compose: from overrides to a configuration.
    """

    def __init__(self, space: Space, compose: Callable[[list[str]], DictConfig]) -> None:
        self.space, self.compose = space, compose
        self.known: dict[tuple[Any, ...], tuple[frozenset[str], tuple[str, ...], dict[str, Any]]] = {}
        for chosen in itertools.product(*(choices(space.distributions[name]) for name in space.options)):
            self.look(dict(zip(space.options, chosen, strict=True)))
        for line in space.fixed:
            if not any(line in fixed for _, fixed, _ in self.known.values()):
                compose([line])  # says what is wrong with it
                raise ValueError(f"{line} fits none of the options that vary.")
        for name, distribution in space.distributions.items():
            if name not in space.options and not any(name in here for here, _, _ in self.known.values()):
                compose([f"{name}={choices(distribution)[0]}"])
                raise ValueError(f"{name} has no effect in any run: these models and losses do not use {top(name)}.")

    def look(self, options: Mapping[str, Any]) -> tuple[frozenset[str], tuple[str, ...], dict[str, Any]]:
        """Parameters that matter beside these options, the shared overrides that exist, and the checked configuration.

        Raises:
            ValueError or a Hydra error: the configuration cannot be composed, or a value of it is bad.
        """
        key = tuple(options[name] for name in self.space.options)
        if key in self.known:
            return self.known[key]
        bare = Space({}, (), None, False, self.space.variants)
        first = [f for f in self.space.fixed if "." not in f.partition("=")[0]]
        base = self.compose([*first, *bare.overrides(options)])
        fixed = tuple(f for f in self.space.fixed if f in first or exists(base, f) or not self.elsewhere(f))
        dotted = [name for name in self.space.distributions if name not in self.space.options]
        here = [name for name in dotted if exists(base, name) or not self.elsewhere(name)]
        values = [f"{name}={choices(self.space.distributions[name])[0]}" for name in here]
        config = self.compose([*fixed, *bare.overrides(options), *values])
        effective = checked(plain(config))
        unused = {group for group in GROUPS if effective[group] is None}
        matter = [name for name in [*self.space.options, *here] if top(name) not in unused]
        self.known[key] = frozenset(matter), fixed, effective
        return self.known[key]

    def elsewhere(self, override: str) -> bool:
        """Whether a setting that is missing here may exist beside other options, so that it is none mistyped."""
        group = top(override)
        return not override.startswith(("+", "~")) and (group in self.space.options or VARIANT in self.space.options)

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The command line of one configuration, without what does not exist for it."""
        options = {name: params.get(name, choices(self.space.distributions[name])[0]) for name in self.space.options}
        _, fixed, _ = self.look(options)
        return Space({}, fixed, None, False, self.space.variants).overrides(params)

    def matters(self, options: Mapping[str, Any]) -> frozenset[str]:
        """Parameters that matter beside these options."""
        return self.look(options)[0]

    def points(self) -> list[dict[str, Any]]:
        """Of a grid: every different configuration once, the last setting varying fastest."""
        names = list(self.space.distributions)
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for values in itertools.product(*(choices(self.space.distributions[name]) for name in names)):
            point = dict(zip(names, values, strict=True))
            matter = self.matters({name: point[name] for name in self.space.options})
            point = {name: value for name, value in point.items() if name in matter}
            found.setdefault(tuple(point.items()), point)
        return list(found.values())

    def configurations(self) -> list[dict[str, Any]]:
        """One checked configuration for each combination of options."""
        return [effective for _, _, effective in self.known.values()]


def exists(config: DictConfig, override: str) -> bool:
    """Whether a configuration has the setting that an override sets."""
    name = override.partition("=")[0]
    if name.startswith(("+", "~")) or top(name) == "hydra":
        return True
    parent, _, leaf = name.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def top(name: str) -> str:
    """The group that a parameter is of."""
    return re.split(r"[.=/@]", name.lstrip("+~"), maxsplit=1)[0]


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, without Hydra's own."""
    held = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found = OmegaConf.to_container(held, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def choices(distribution: BaseDistribution) -> list[Any]:
    """All values of a choice or a range, each once and in order; the lower end of what cannot be counted."""
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return [distribution.low]
    if isinstance(distribution, IntDistribution) and distribution.log:
        return [distribution.low]
    return list(dict.fromkeys(OptunaSweeperImpl._to_grid_sampler_choices(distribution)))


def text(distribution: BaseDistribution) -> str:
    """A distribution in the words of the command line."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(str(choice) for choice in distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, IntDistribution) and distribution.step == 1:
        step = None
    ends = f"interval({low},{high})" if step is None else f"range({low},{high},{step}), both ends included"
    return f"tag(log,{ends})" if distribution.log else ends
