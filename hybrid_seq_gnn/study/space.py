"""What a sweep varies, and what makes it this sweep and no other."""

import re
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_seq_gnn.run.identity import affects_results, classes, digest, flatten
from hybrid_seq_gnn.study.settings import StudySettings

LONGEST_NAME = 60


@dataclass(frozen=True)
class Space:
    """What a sweep varies, what it fixes, and its seeds.

    Attributes:
        distributions: what varies, in the order of the command line; the seed is not among them.
        fixed: overrides that all runs share.
        seeds: of seed=0,1,2; None where the seed does not vary.
        searched: whether there is an interval, so that Optuna chooses; otherwise every point is run once.
        variants: overrides of each label of the study's variants.
    """

    distributions: dict[str, BaseDistribution]
    fixed: tuple[str, ...]
    seeds: tuple[int, ...] | None
    searched: bool
    variants: dict[str, list[str]]

    @property
    def options(self) -> list[str]:
        """Parameters that decide which other settings there are: choices among the options of a group, and variants."""
        return [name for name in self.distributions if "." not in name]

    def identity(
        self, configurations: list[dict[str, Any]], splits: set[str], seeds: tuple[int, ...], settings: StudySettings
    ) -> dict[str, str]:
        """What makes a sweep this one and no other, each setting in the words of the command line.

        The objective, the pruner if there is one, and the sampler of a search are part of what the trials mean.
        """
        values: dict[str, set[str]] = {}
        for configuration in configurations:
            for key, value in (*classes(configuration), *flatten(configuration)):
                values.setdefault(key, set()).add(str(value))
        found = {key: " or ".join(sorted(each)) for key, each in values.items() if affects_results(key)}
        found |= {name: text(distribution) for name, distribution in self.distributions.items()}
        found |= {f"study.variants.{label}": " ".join(lines) for label, lines in self.variants.items()}
        found["data"] = " and ".join(sorted(split[:16] for split in splits))
        found["study.objective"] = ",".join(settings.objectives)
        if self.searched:
            found["study.sampler"] = settings.sampler
            if settings.seed:  # 0 is left out, as it was before the seed counted
                found["study.seed"] = str(settings.seed)
        if self.searched or settings.pruner != "none":
            found["study.pruner"] = settings.pruner
        return found | {"seed": ",".join(map(str, seeds))}

    def name(self, identity: dict[str, str], title: str | None) -> str:
        """A name for a study that has none: its title or what varies, and a hash of all that makes it."""
        varying = [name.rpartition(".")[2] for name in self.distributions] + ["seed"] * (self.seeds is not None)
        words = title or re.sub(r"[^\w.+-]", "-", "_".join(varying) or "run")[:LONGEST_NAME]
        return f"{words}-{digest(identity)[:8]}"


def choices(distribution: BaseDistribution) -> list[Any]:
    """All values of a choice; of an interval its lower end, as an example."""
    return ends(distribution)[: None if isinstance(distribution, CategoricalDistribution) else 1]


def ends(distribution: BaseDistribution) -> list[Any]:
    """All values of a choice; both ends of what is searched."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


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
