"""What a hybrid may ask of a fusion and of a graph network; neither needs to know of it."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import Batch


@runtime_checkable
class Fusion(Protocol):
    """Mixes two views of an item, or two distributions of the next one; alpha weighs the sequence side."""

    level: str
    geometric: bool
    fuses_inputs: bool
    fuses_candidates: bool

    @property
    def adaptive(self) -> bool:
        """Whether alpha depends on length or state."""
        ...

    def alpha(self, length: Int[Tensor, "M"], state: Float[Tensor, "M D"] | None = None) -> Float[Tensor, "M"]:
        """Weight of the sequence side."""
        ...

    def mix(
        self, seq: Float[Tensor, "M D"], graph: Float[Tensor, "M D"], length: Int[Tensor, "M"]
    ) -> Float[Tensor, "M D"]:
        """alpha * seq + (1 - alpha) * graph."""
        ...

    def penalty(self) -> Float[Tensor, ""]:
        """What it adds to the loss."""
        ...

    def curve(self, lengths: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """alpha over lengths."""
        ...


@runtime_checkable
class GraphNetwork(Protocol):
    """Item embeddings in, item embeddings that know their neighbours out."""

    def __call__(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """One pass over the item graph."""
        ...


@runtime_checkable
class Memory(Protocol):
    """A graph side that knows the distribution of the next item itself and has no embeddings to learn.

    Attributes:
        size: items with padding.
    """

    size: int

    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at every position; without the pairs of the position itself if `leave_out`."""
        ...

    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of every item at some of the positions; with targets, each row's own pairs are left out, as in training."""
        ...
