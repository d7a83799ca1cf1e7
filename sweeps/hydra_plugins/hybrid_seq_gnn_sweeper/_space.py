"""What a sweep tries: a grid of points, or intervals to search."""

import itertools
import json
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json


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

    def identity(self) -> str:
        """The space as text: two sweeps with the same one try the same."""
        varying = {name: distribution_to_json(d) for name, d in self.distributions.items()}
        return json.dumps({"varying": varying, "fixed": sorted(self.fixed)}, sort_keys=True)

    def overrides(self, params: dict[str, Any]) -> list[str]:
        """The command line of one run."""
        return [*(f"{name}={value}" for name, value in params.items()), *self.fixed]


def parse(arguments: list[str]) -> Space:
    """The search space of a command line, by the rules of Hydra's own Optuna sweeper."""
    distributions, fixed, deletions = create_params_from_overrides(arguments)
    searched = any(override.is_interval_sweep() for override in OverridesParser.create().parse_overrides(arguments))
    points = None
    if not searched:
        choices = {name: unique(OptunaSweeperImpl._to_grid_sampler_choices(d)) for name, d in distributions.items()}
        distributions = {name: CategoricalDistribution(values) for name, values in choices.items()}
        points = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    shared = (*(f"{name}={value}" for name, value in fixed.items()), *deletions)
    return Space(distributions, shared, points)


def unique(values: Any) -> list[Any]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))
