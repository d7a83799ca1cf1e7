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

    def cross_entropy(self, targets: Int[Tensor, "M"], smoothing: float = 0.0) -> Float[Tensor, ""]:
        """Mean of -log softmax over all items at the target."""
        ...


@runtime_checkable
class Scalable(Scores, Protocol):
    """Scores that are dot products, and so can be scaled."""

    def scaled(self, temperature: float) -> Scores:
        """Scores divided by a temperature."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws K items a row that the row's user did not choose."""

    num_negatives: int

    def __call__(
        self, users: Int[Tensor, "M"], targets: Int[Tensor, "M"], scores: Scores
    ) -> tuple[Int[Tensor, "M K"], Float[Tensor, "M K"]]:
        """Ids, and the log of the probability with which each was drawn."""
        ...


def scaled(scores: Scores, temperature: float) -> Scores:
    """The scores, sharpened or flattened.

    Raises:
        ValueError: they are no dot products (fusion.level=score).
    """
    if temperature == 1:
        return scores
    if not isinstance(scores, Scalable):
        raise ValueError("loss.temperature does not go with fusion.level=score; leave it at 1.")
    return scores.scaled(temperature)
