"""Groups of users by history length."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.metrics import metrics

OVERALL = "overall"
GROUPS = (OVERALL, "short", "medium", "long")


@dataclass(frozen=True, kw_only=True)
class LengthGroups:
    """Short, medium and long histories, by the number of events before the held-out item, before truncation.

    Attributes:
        short: a history of at most this many events is short.
        long: a history of more than this many events is long.

    Raises:
        UserError: not 0 < short < long.
    """

    short: int = 10
    long: int = 50
    names: ClassVar[tuple[str, ...]] = GROUPS[1:]

    def __post_init__(self) -> None:
        if not 0 < self.short < self.long:
            raise UserError(
                f"evaluation.groups.short={self.short} evaluation.groups.long={self.long}: "
                "expected 0 < short < long, in events."
            )

    def group_of(self, length: np.ndarray) -> np.ndarray:
        """The group name of each length.

        Example:
            >>> LengthGroups().group_of(np.array([10, 11, 50, 51])).tolist()
            ['short', 'medium', 'medium', 'long']
        """
        return np.array(self.names)[np.searchsorted([self.short, self.long], length, side="left")]

    def members(self, length: np.ndarray) -> dict[str, np.ndarray]:
        """A boolean mask over the rows for each group, and for `overall`."""
        group = self.group_of(length)
        return {name: in_group(group, name) for name in (*self.names, OVERALL)}


def in_group(groups: np.ndarray, name: str) -> np.ndarray:
    """Which users belong to one of `GROUPS`, from the name of each one's group: a boolean mask."""
    return np.ones(len(groups), dtype=bool) if name == OVERALL else groups == name


def grouped_metrics(
    ranks: np.ndarray, lengths: np.ndarray, groups: LengthGroups
) -> dict[str, dict[str, float | int | None]]:
    """All metrics and the number of users, by group and overall; an empty group has count 0 and metrics None."""
    return {name: {**metrics(ranks[rows]), "count": int(rows.sum())} for name, rows in groups.members(lengths).items()}
