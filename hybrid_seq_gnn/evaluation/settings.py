"""How a model is evaluated: one field a knob, checked at the door."""

from dataclasses import dataclass

from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.limits import AtLeast1, Limited


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Limited):
    """Settings of the ranking.

    Attributes:
        groups: limits of short, medium and long histories.
        mask_history: leave what a user has had out of the ranking, never the held-out item itself.
        batch_size: users ranked at a time; changes no number.

    Raises:
        ValueError: a value is out of range.
    """

    groups: LengthGroups = LengthGroups()  # noqa: RUF009
    mask_history: bool = True
    batch_size: AtLeast1 = 256
