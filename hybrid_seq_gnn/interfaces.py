"""What models, graph networks, fusions, losses and samplers see of each other; none imports another.

Letters: B users, M packed positions, R rows that are asked for, N items with padding, D width, K negatives.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch


@runtime_checkable
class Scores(Protocol):
    """Scores of all items for M rows, for the ranking.

    Attributes:
        alpha: (M,) weight of the sequence side, None where nothing is mixed.
    """

    @property
    def alpha(self) -> Float[Tensor, "M"] | None: ...

    def all(self) -> Float[Tensor, "M N"]:
        """Every score; column 0 is padding."""
        ...


@runtime_checkable
class TrainingScores(Scores, Protocol):
    """Scores of all items for M rows that need not be made, for the loss."""

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """The scores of K items a row."""
        ...

    def cross_entropy(self, targets: Int[Tensor, "M"], smoothing: float = 0.0) -> Float[Tensor, ""]:
        """Mean over rows of -log softmax over all items at the target."""
        ...

    def scaled(self, temperature: float) -> "TrainingScores":
        """Scores divided by a temperature. Raises ValueError where they cannot be."""
        ...


@runtime_checkable
class Recommender(Protocol):
    """A model that can be ranked: it reads the latest `max_length` events."""

    max_length: int

    def next_item_scores(self, batch: Batch) -> Scores:
        """Scores of what comes after each user's latest event."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """What a hybrid asks of a fusion; `fusion.base.Fusion` says what each of these means."""

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

    def curve(self, lengths: Int[Tensor, "n"]) -> Float[Tensor, "n"]: ...


@runtime_checkable
class GraphNetwork(Protocol):
    """Item embeddings in, item embeddings that know their neighbours out."""

    def __call__(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]: ...


@runtime_checkable
class Memory(Protocol):
    """A graph side that counts: it knows the distribution of the next item, and learns nothing.

    Attributes:
        size: N.
    """

    size: int

    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at every position; without the pairs of the position itself if `leave_out`."""
        ...

    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of every item at some positions; with targets, each row's own pairs are left out, as in training."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws K items a row that the row's user has not had in training."""

    num_negatives: int

    def __call__(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: TrainingScores
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Ids, and the log of the probability with which each was drawn."""
        ...
