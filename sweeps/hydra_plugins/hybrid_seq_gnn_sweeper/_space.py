"""What a sweep tries: a grid of points, or intervals to search."""

import itertools
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


@dataclass(frozen=True)
class Space:
    """A parsed command line.

    Attributes:
        distributions: what varies, in the order of the command line.
        fixed: overrides that all runs share.
        points: of a grid, every combination once, the last setting varying fastest; None if there is an interval.
    """

    distributions: dict[str, BaseDistribution]
    fixed: tuple[str, ...]
    points: list[dict[str, Any]] | None

    def overrides(self, params: dict[str, Any]) -> list[str]:
        """The command line of one run."""
        return [*(f"{name}={value}" for name, value in params.items()), *self.fixed]

    def samples(self) -> list[dict[str, Any]]:
        """Points whose configurations, if all can be composed, show that every run's can.

        All points of a grid; for a search every choice once, beside the lower ends of the intervals.
        """
        if self.points is not None:
            return self.points
        first = {name: values(d)[0] for name, d in self.distributions.items()}
        return [{**first, name: value} for name, d in self.distributions.items() for value in values(d)]


def parse(arguments: list[str]) -> Space:
    """The search space of a command line, by the rules of Hydra's own Optuna sweeper.

    A setting that is given twice has its last value, as everywhere in Hydra.
    """
    parser = OverridesParser.create()
    last = {override.get_key_element(): override for override in parser.parse_overrides(arguments)}
    arguments = [override.input_line for override in last.values() if override.input_line is not None]
    distributions, fixed, deletions = create_params_from_overrides(arguments)
    points = None
    if not any(override.is_interval_sweep() for override in last.values()):
        choices = {name: unique(OptunaSweeperImpl._to_grid_sampler_choices(d)) for name, d in distributions.items()}
        distributions = {name: CategoricalDistribution(choice) for name, choice in choices.items()}
        points = [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]
    shared = (*(f"{name}={value}" for name, value in fixed.items()), *deletions)
    return Space(distributions, shared, points)


def values(distribution: BaseDistribution) -> list[Any]:
    """All choices, or the lower end of an interval."""
    if isinstance(distribution, CategoricalDistribution):
        return unique(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low]


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


def unique(choices: Any) -> list[Any]:
    """Each value once, in order."""
    return list(dict.fromkeys(choices))
