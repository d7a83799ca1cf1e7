"""The base class of sequence models, which also serve as encoders of a hybrid: a state for each requested item."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.spectral import spectral_vectors
from hybrid_seq_gnn.limits import Limited
from hybrid_seq_gnn.model.item_table import ItemTable
from hybrid_seq_gnn.model.scores import DotScores, item_scores

Prior = Literal["popularity", "none"]
Init = Literal["cooccurrence", "random"]
OWN_SCORE = 3.2  # first score of an item after itself, for a state of variance 1, on average


@dataclass(frozen=True)
class Reading:
    """The histories that a model reads, and the places at which it must predict an item.

    Attributes:
        batch: the histories that are read; a model of masked items appends one item to each original history.
        after: (R,) packed position of the original batch just before each requested item, -1 if there is none; None
            requests the item after every position.
        length: (R,) events before each requested item, counted before truncation.
        hidden: (M,) true at positions of `batch` whose items are masked; None if no item is.
    """

    batch: Batch
    after: Int[Tensor, "R"] | None
    length: Int[Tensor, "R"]
    hidden: Bool[Tensor, "M"] | None = None

    @property
    def items(self) -> Int[Tensor, "M"]:
        """The items of all positions."""
        return self.batch.packed(self.batch.items)


class Encoder(Limited, nn.Module):
    """A sequence model that scores items by comparing their embeddings with a state.

        score_j = state . items[j] + prior_j,   with a temperature `cosine`   cos(state, items[j]) / cosine + prior_j
        prior_j = log((1 + n_j) / mean over items of (1 + n)),   n_j: training events of item j

    With the prior, training starts at the popularity of the items, and only has to learn how a user differs from it.
    Source: Menon et al. 2021, "Long-tail learning via logit adjustment" (arXiv:2007.07314), Sec. 5.2. Ours differs:
    theirs ranks without the prior, to favour rare classes; a held-out item is as popular as others, so ours keeps it.

    With `init=cooccurrence`, training also starts at which items occur near each other: the items' first embeddings are
    their spectral vectors, see `graph.spectral`, turned at random and scaled to a norm of 3.2 / sqrt(D) on average. An
    item without a neighbour keeps its random one.

    The same scores are used for training (with any loss), ranking and mixing: the temperature is part of the model.
    (`loss.temperature` is not: it divides the scores once more, in training only.)

    Args:
        num_items: items without padding.
        embedding_dim: D, width of an item's embedding and of a state.
        max_length: number of latest events that the model reads.
        cosine: see above; > 0, or None for dot products.
        prior: `popularity`, or `none` for 0.
        init: first item embeddings: `cooccurrence`, or `random`.

    Attributes:
        prior: (N,) buffer, set by `set_prior`, 0 before; None for `none`.

    Raises:
        UserError: cosine is not positive.
    """

    prior: Float[Tensor, "N"] | None

    def __init__(
        self,
        num_items: int,
        embedding_dim: int,
        max_length: int,
        cosine: float | None = None,
        prior: Prior = "none",
        init: Init = "random",
    ) -> None:
        super().__init__()
        self.max_length, self.cosine, self.init = max_length, cosine, init
        self.items = ItemTable(num_items, embedding_dim)
        self.register_buffer("prior", torch.zeros(num_items + 1) if prior == "popularity" else None)

    def set_prior(self, events: Float[Tensor, "N"]) -> None:
        """Set the prior from the number of training events of each item."""
        if self.prior is not None:
            self.prior[1:] = torch.log((1 + events[1:]) / (1 + events[1:]).mean())

    @torch.no_grad()
    def init_items(self, sequences: Sequences, split: Split) -> None:
        """Set the first item embeddings from the training part. A run calls it before it trains the encoder."""
        if self.init == "random":
            return
        width = self.items.embedding_dim
        vectors = spectral_vectors(sequences, split, width).to(self.items.weight)
        known = vectors.any(dim=1).nonzero()[:, 0]
        turn = torch.linalg.qr(torch.randn(width, width)).Q.to(vectors)
        norm = vectors[known].square().sum(1).mean().sqrt()
        self.items.weight[known] = vectors[known] @ turn * (OWN_SCORE / width**0.5 / norm)

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """What to read in training, the correct item of each request, and its user."""
        raise TypeError(f"{type(self).__name__} must implement to_learn().")

    def to_rank(self, batch: Batch) -> Reading:
        """What to read to predict the item after each user's latest event; one request per user."""
        raise TypeError(f"{type(self).__name__} must implement to_rank().")

    def read(self, inputs: Float[Tensor, "M D"], reading: Reading) -> Float[Tensor, "R D"]:
        """The requested states, computed from the embedding of every item in the reading."""
        raise TypeError(f"{type(self).__name__} must implement read().")

    def states(self, reading: Reading) -> Float[Tensor, "R D"]:
        """The requested states, computed from the encoder's own item embeddings."""
        return self.read(self.items(reading.items), reading)

    def compare(self, states: Float[Tensor, "R D"]) -> DotScores:
        """Scores of all items for each state."""
        if self.cosine is None:
            return DotScores(states, self.items.weight, owner=self.items, bias=self.prior)
        return item_scores(states, self.items.weight, self.cosine, self.prior)

    def scores(self, reading: Reading) -> DotScores:
        """Scores of all items for each request."""
        return self.compare(self.states(reading))

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """Scores at all places to learn from, the correct items and their users."""
        reading, targets, users = self.to_learn(batch, targets)
        return self.scores(reading), targets, users

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of the item after each user's latest event, (B, N)."""
        return self.scores(self.to_rank(batch))
