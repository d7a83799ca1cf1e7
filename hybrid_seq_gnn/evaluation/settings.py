"""Settings of the evaluation."""

from dataclasses import dataclass

from hybrid_seq_gnn.evaluation.groups import LengthGroups
from hybrid_seq_gnn.limits import AtLeast1, Limited


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Limited):
    """How models are ranked.

    Attributes:
        groups: limits between short, medium and long histories.
        refit: before the test, train again on the training and the validation part, for as many epochs as were best on
            validation, and fill the graph and memories from both.
        mask_history: remove the user's history from the ranking, never the held-out item itself.
        batch_size: users ranked at a time, up to four times as many with short histories, on a GPU 16 times; does not
            affect the results.

    Raises:
        UserError: a value is out of range.
    """

    groups: LengthGroups = LengthGroups()  # noqa: RUF009
    refit: bool = False
    mask_history: bool = True
    batch_size: AtLeast1 = 64
