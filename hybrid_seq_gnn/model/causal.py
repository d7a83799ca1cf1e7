"""The base class of models that read a history from left to right and score items by a dot product."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.encoder import Encoder, Reading


class CausalModel(Encoder):
    """Scores of the next item: score_j = h_t . items[j] + prior_j, where h_t = encode(items up to t).

    Args:
        num_items, embedding_dim, max_length, cosine, prior, init: see `Encoder`.
    """

    def encode(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "M D"]:
        """The state after each position, from the item embeddings of the packed positions."""
        raise TypeError(f"{type(self).__name__} must implement encode().")

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "M"], Int[Tensor, "M"]]:
        """Request every position; also return the next item and the user of each."""
        return Reading(batch, None, batch.packed(batch.length)), targets, batch.users[batch.row]

    def to_rank(self, batch: Batch) -> Reading:
        """Request the latest position of each user."""
        return Reading(batch, batch.last, batch.packed(batch.length)[batch.last])

    def encode_last(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "B D"]:
        """The state after the latest position of each user, in evaluation mode."""
        return self.encode(inputs, batch)[batch.last]

    def read(self, inputs: Float[Tensor, "M D"], reading: Reading) -> Float[Tensor, "R D"]:
        """The states after the requested positions: all, or the latest of each user."""
        encode = self.encode if reading.after is None else self.encode_last
        return encode(inputs, reading.batch)


def initialise(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.02, zero biases, and a zero row for padding."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
