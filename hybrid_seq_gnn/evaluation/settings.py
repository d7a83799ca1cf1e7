"""How a model is evaluated: one field a knob, checked at the door."""

from dataclasses import dataclass

from hybrid_seq_gnn.evaluation.groups import LengthGroups


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
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
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Check every value in the words of the command line."""
        if self.batch_size < 1:
            raise ValueError(f"evaluation.batch_size={self.batch_size}: must be 1 or more.")
