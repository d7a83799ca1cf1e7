"""The values that an override of a sweep stands for."""

import functools
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    Sweep,
    Transformer,
    ValueType,
)
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_seq_gnn.app.arguments import quoted
from hybrid_seq_gnn.errors import UserError


def distribution(override: Override, searched: bool) -> BaseDistribution:
    """What an override varies, for Optuna; in a grid always a choice.

    Raises:
        UserError: there is nothing to choose from, or it has another order each time.
    """
    value = override.value()
    if getattr(value, "shuffle", False):
        raise UserError(
            f"{override.input_line}: leave out shuffle(…). The order of a grid is of no consequence, and a random one "
            "would make a new study each time. Points at random are those of intervals with study.sampler=random."
        )
    if isinstance(value, ChoiceSweep) and any(isinstance(each, Sweep) for each in value.list):
        raise UserError(f"{override.input_line}: an interval or a range stands alone; give it, or only values.")
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None and high is not None
        try:
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            return FloatDistribution(low, high, log=log)
        except ValueError as error:  # its ends are the wrong way round, or it starts at 0 and is logarithmic
            raise UserError(f"{override.input_line}: {error}") from error
    values = list(dict.fromkeys(map(written, override.sweep_iterator())))
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:  # a base that others inherit from is no option
        values = [name for name in values if not name.startswith("_")]
    if not values:
        raise UserError(f"{override.input_line}: there is nothing to choose from.")
    if not (searched and isinstance(value, RangeSweep)) or value.transformers or len(values) == 1:
        return CategoricalDistribution(values)
    if isinstance(value.range(), range):
        return IntDistribution(min(values), max(values), step=abs(int(value.step)))
    return FloatDistribution(min(values), max(values), step=abs(float(value.step)))


def written(value: Any) -> Any:
    """A choice as it stands on the command line, where a text has quotes only if it needs them; numbers as they are."""
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str | QuotedString):
        return Transformer.str(value)
    text = value if isinstance(value, str) else value.text
    try:
        return text if OverridesParser.create().parse_override(f"x={text}").value() == text else quoted(text)
    except HydraException:
        return quoted(text)


@functools.lru_cache(maxsize=1024, typed=True)
def plain_value(value: Any) -> Any:
    """A choice as the command line means it."""
    return OverridesParser.create().parse_override(f"x={value}").value()
