"""What a sequence model is to a hybrid: it reads a history, and knows a state wherever it is asked what comes."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.limits import Limited
from hybrid_seq_gnn.model.scores import DotScores, item_scores


@dataclass(frozen=True)
class Reading:
    """What is read of a batch, and where in it a model is asked for an item.

    Attributes:
        batch: the histories as they are read; a model that fills gaps reads one place more than it was given.
        rows: (R,) positions of `batch`, packed, whose states are asked for; None is all of them.
        after: (R,) positions of the batch that was given, packed, after which each asked item stands; -1 where nothing
            stands before it; None is all of them.
        length: (R,) events before each asked item, counted before truncation.
        hidden: (M,) positions of `batch` whose items are not seen; None where all are.
    """

    batch: Batch
    rows: Int[Tensor, "R"] | None
    after: Int[Tensor, "R"] | None
    length: Int[Tensor, "R"]
    hidden: Bool[Tensor, "M"] | None = None

    @property
    def items(self) -> Int[Tensor, "M"]:
        """The items of all positions."""
        return self.batch.items[self.batch.items > 0]


class Encoder(Limited, nn.Module):
    """A sequence model that scores items by comparing them with a state.

        score_j = state . items[j],   or with a temperature `cosine`   cos(state, items[j]) / cosine

    The scores that are trained, by any loss, are those that are ranked and mixed: the temperature is part of the model.
    (`loss.temperature` is not: it divides once more, in training only.)

    Args:
        num_items: items without padding.
        embedding_dim: D, width of an item's embedding and of a state.
        max_length: latest events that the model reads.
        cosine: see above; > 0, or None for dot products.

    Raises:
        ValueError: cosine is not positive.
    """

    def __init__(self, num_items: int, embedding_dim: int, max_length: int, cosine: float | None = None) -> None:
        super().__init__()
        self.max_length, self.cosine = max_length, cosine
        self.items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """What is read in training, the items asked for, and the users of whom they are."""
        raise TypeError(f"{type(self).__name__} does not say what it learns from.")

    def to_rank(self, batch: Batch) -> Reading:
        """What is read to say what comes after each user's latest event; one asked item a user."""
        raise TypeError(f"{type(self).__name__} does not say what it reads.")

    def read(self, inputs: Float[Tensor, "M D"], reading: Reading) -> Float[Tensor, "R D"]:
        """The states that are asked for, given an embedding of every item that is read."""
        raise TypeError(f"{type(self).__name__} does not say how it reads.")

    def scores(self, reading: Reading) -> DotScores:
        """Scores of all items where they are asked for."""
        return item_scores(self.read(self.items(reading.items), reading), self.items.weight, self.cosine)

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """Scores wherever there is something to learn, the items that were there, and the users."""
        reading, targets, users = self.to_learn(batch, targets)
        return self.scores(reading), targets, users

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of what comes after each user's latest event, (B, N)."""
        return self.scores(self.to_rank(batch))
