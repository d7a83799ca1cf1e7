"""What a hybrid may ask of a fusion and of a graph network; neither needs to know of it."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.graph.sparse import SparseMatrix


@runtime_checkable
class Fusion(Protocol):
    """Mixes two views of an item; alpha weighs the sequence side."""

    fuses_inputs: bool
    fuses_candidates: bool

    @property
    def adaptive(self) -> bool:
        """Whether alpha depends on the length."""
        ...

    def alpha(self, length: Int[Tensor, "M"]) -> Float[Tensor, "M"]:
        """Weight of the sequence side."""
        ...

    def mix(
        self, seq: Float[Tensor, "M D"], graph: Float[Tensor, "M D"], length: Int[Tensor, "M"]
    ) -> Float[Tensor, "M D"]:
        """alpha * seq + (1 - alpha) * graph."""
        ...


@runtime_checkable
class GraphNetwork(Protocol):
    """Item embeddings in, item embeddings that know their neighbours out."""

    def __call__(self, items: Float[Tensor, "N D"], adjacency: SparseMatrix) -> Float[Tensor, "N D"]:
        """One pass over the item graph."""
        ...
