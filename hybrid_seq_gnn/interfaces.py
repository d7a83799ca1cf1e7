"""Protocols through which models, graph networks, fusions, losses and samplers use each other without imports.

Letters: B users, M packed positions, R requested rows, N items with padding, D width, K negatives.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.seen import Excluded


@runtime_checkable
class Scores(Protocol):
    """Scores of all items for M rows, used for ranking.

    Attributes:
        alpha: (M,) weight of the sequence side; None if nothing is mixed.
    """

    @property
    def alpha(self) -> Float[Tensor, "M"] | None: ...

    def all(self) -> Float[Tensor, "M N"]:
        """All scores; column 0 is padding."""
        ...


@runtime_checkable
class TrainingScores(Scores, Protocol):
    """Scores of all items for M rows, used by the loss, which rarely needs the full (M, N) matrix."""

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """Scores of K items per row."""
        ...

    def cross_entropy(
        self, targets: Int[Tensor, "M"], smoothing: float = 0.0, excluded: Excluded | None = None
    ) -> Float[Tensor, ""]:
        """Mean over rows of -log softmax(scores)[target], over all items that are not excluded."""
        ...

    def scaled(self, temperature: float) -> "TrainingScores":
        """Scores divided by a temperature. Raises UserError if that is not possible."""
        ...


@runtime_checkable
class Recommender(Protocol):
    """A model that can be evaluated by ranking; it reads the latest `max_length` events of a user."""

    max_length: int

    def next_item_scores(self, batch: Batch) -> Scores:
        """Scores of the item after each user's latest event."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """What a hybrid needs from a fusion; documented in `fusion.base.Fusion`."""

    level: str
    geometric: bool
    fuses_inputs: bool
    fuses_candidates: bool

    @property
    def adaptive(self) -> bool: ...

    def alpha(self, length: Int[Tensor, "M"], state: Float[Tensor, "M D"] | None = None) -> Float[Tensor, "M"]: ...

    def mix(
        self, seq: Float[Tensor, "M D"], graph: Float[Tensor, "M D"], length: Int[Tensor, "M"]
    ) -> Float[Tensor, "M D"]: ...

    def penalty(self) -> Float[Tensor, ""]: ...


@runtime_checkable
class GraphNetwork(Protocol):
    """Takes item embeddings and returns item embeddings that include information from their neighbours."""

    def __call__(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]: ...


@runtime_checkable
class Memory(Protocol):
    """A graph side that gives the distribution of the next item from counts; it has no learned weights.

    Attributes:
        size: N.
    """

    size: int

    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at every position; `leave_out` excludes the pairs that the position itself contributed."""
        ...

    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of all items at the positions `rows`; with targets, each row's own pairs are left out, as in training."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws K items per row that the row's user has not seen in training."""

    num_negatives: int

    def __call__(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: TrainingScores
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Item ids, and the log of the probability of each draw."""
        ...
