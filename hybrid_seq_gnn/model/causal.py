"""What all models share that read a history from left to right and score items by a dot product."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.layers import last_positions
from hybrid_seq_gnn.model.scores import DotScores


class CausalModel(nn.Module):
    """Scores of the next item: score_j = h_t . items[j], where h_t = encode(items up to t).

    Args:
        num_items: items without padding.
        embedding_dim: D, width of an item's embedding and of a state.
        max_length: latest events that the model reads.
    """

    def __init__(self, num_items: int, embedding_dim: int, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length
        self.items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)

    def encode(self, inputs: Float[Tensor, "M D"], items: Int[Tensor, "B T"]) -> Float[Tensor, "M D"]:
        """The state after each position.

        Args:
            inputs: item embeddings of the packed positions.
            items: (B, T) the batch, which says where each position stands.
        """
        raise TypeError(f"{type(self).__name__} does not say how it encodes.")

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "M"], Int[Tensor, "M"]]:
        """Scores at every position, the item that came next there, and the user."""
        states = self.encode(self.items(batch.items[batch.items > 0]), batch.items)
        return DotScores(states, self.items.weight), targets, batch.users_of_positions

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of what comes after each user's latest event, (B, N)."""
        places = batch.items > 0
        states = self.encode(self.items(batch.items[places]), batch.items)
        return DotScores(states[last_positions(places)], self.items.weight)


def check_sizes(**values: int) -> None:
    """Raise ValueError, in the words of the command line, where a size is not positive."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"model.{name}={value}: must be 1 or more.")


def check_dropout(dropout: float) -> None:
    """Raise ValueError, in the words of the command line, where a share is outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(f"model.dropout={dropout}: must lie in [0, 1).")


def initialise(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.02, zero biases, and a zero row for padding."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
