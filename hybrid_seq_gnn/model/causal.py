"""The base class of models that read a history from left to right and score items by a dot product."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.encoder import Encoder, Reading
from hybrid_seq_gnn.model.layers import last_positions


class CausalModel(Encoder):
    """Scores of the next item: score_j = h_t . items[j], where h_t = encode(items up to t).

    Args:
        num_items, embedding_dim, max_length: see `Encoder`.
    """

    def encode(self, inputs: Float[Tensor, "M D"], items: Int[Tensor, "B T"]) -> Float[Tensor, "M D"]:
        """The state after each position.

        Args:
            inputs: item embeddings of the packed positions.
            items: (B, T) items of the batch, which give the place of each position.
        """
        raise TypeError(f"{type(self).__name__} must implement encode().")

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "M"], Int[Tensor, "M"]]:
        """Request every position; also return the next item and the user of each."""
        return Reading(batch, None, None, batch.length[batch.items > 0]), targets, batch.users_of_positions

    def to_rank(self, batch: Batch) -> Reading:
        """Request the latest position of each user."""
        mask = batch.items > 0
        last = last_positions(mask)
        return Reading(batch, last, last, batch.length[mask][last])

    def encode_last(self, inputs: Float[Tensor, "M D"], items: Int[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        """The state after the latest position of each user, in evaluation mode."""
        return self.encode(inputs, items)[last_positions(items > 0)]

    def read(self, inputs: Float[Tensor, "M D"], reading: Reading) -> Float[Tensor, "R D"]:
        """The states after the requested positions: all, or the latest of each user."""
        items = reading.batch.items
        return self.encode(inputs, items) if reading.rows is None else self.encode_last(inputs, items)


def initialise(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.02, zero biases, and a zero row for padding."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
