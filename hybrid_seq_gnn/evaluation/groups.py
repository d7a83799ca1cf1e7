"""Users by how long their history is."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hybrid_seq_gnn.evaluation.metrics import metrics

OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class LengthGroups:
    """short <= `short` < medium <= `long` < long, by events before the held-out item, counted before any truncation.

    Attributes:
        short: events; a history of at most this many is short.
        long: events; a history of more than this many is long.

    Raises:
        ValueError: the limits are not in order.
    """

    short: int = 10
    long: int = 50
    names: ClassVar[tuple[str, ...]] = ("short", "medium", "long")

    def __post_init__(self) -> None:
        if not 0 < self.short < self.long:
            raise ValueError(
                f"evaluation.groups.short={self.short} evaluation.groups.long={self.long}: "
                "expected 0 < short < long, in events."
            )

    def group_of(self, length: np.ndarray) -> np.ndarray:
        """The name of each length's group.

        Example:
            >>> LengthGroups().group_of(np.array([10, 11, 50, 51])).tolist()
            ['short', 'medium', 'medium', 'long']
        """
        return np.array(self.names)[np.searchsorted([self.short, self.long], length, side="left")]

    def members(self, length: np.ndarray) -> dict[str, np.ndarray]:
        """For each group, and for all, which rows belong to it."""
        group = self.group_of(length)
        return {name: group == name for name in self.names} | {OVERALL: np.ones(len(length), dtype=bool)}


def grouped_metrics(
    ranks: np.ndarray, lengths: np.ndarray, groups: LengthGroups
) -> dict[str, dict[str, float | int | None]]:
    """All metrics and the number of users, by group and overall; an empty group has count 0 and null metrics."""
    return {name: {**metrics(ranks[rows]), "count": int(rows.sum())} for name, rows in groups.members(lengths).items()}
