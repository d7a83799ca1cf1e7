"""What a loss may ask of a model's scores and of a sampler; models and samplers need not know of it."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Scores(Protocol):
    """Scores of all items for M rows."""

    def at(self, items: Int[Tensor, "M K"]) -> Float[Tensor, "M K"]:
        """The scores of K items a row."""
        ...

    def cross_entropy(self, targets: Int[Tensor, "M"]) -> Float[Tensor, ""]:
        """Mean of -log softmax over all items at the target."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws K items a row that the row's user did not choose."""

    def __call__(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"]
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Ids, and the log of their probability."""
        ...
