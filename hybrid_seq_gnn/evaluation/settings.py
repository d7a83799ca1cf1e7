"""Settings of the evaluation."""

from dataclasses import dataclass

from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.limits import AtLeast1, Limited


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Limited):
    """How models are ranked.

    Attributes:
        groups: limits between short, medium and long histories.
        mask_history: remove the user's history from the ranking, never the held-out item itself.
        batch_size: users ranked at a time; does not affect the results.

    Raises:
        ValueError: a value is out of range.
    """

    groups: LengthGroups = LengthGroups()  # noqa: RUF009
    mask_history: bool = True
    batch_size: AtLeast1 = 64
