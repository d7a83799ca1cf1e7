"""SASRec: self-attention over a user's history.

Source: Kang & McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv:1808.09781), Sec. 3.
Ours differs: pre-norm blocks with GELU; padding on the right, with positions counted back from the latest event (the
same positions as the left padding of the paper); by default trained with cross-entropy over all items at every position
(Klenitskiy & Vasilev 2023, arXiv:2309.07602) rather than with one negative.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.layers import CausalBlock, last_positions
from hybrid_seq_gnn.model.scores import DotScores


class SASRec(nn.Module):
    """Scores of the next item from causal self-attention over item and position embeddings.

        x_t   = dropout(items[i_t] + positions[t])      t = 0 for the latest event that is read, 1 before it, ...
        h     = norm(block_L(... block_1(x)))
        score = h_t . items[j]                          for every item j

    Args:
        num_items: items without padding.
        embedding_dim: D, width of all embeddings.
        num_blocks: Transformer blocks.
        num_heads: attention heads a block; must divide `embedding_dim`.
        feed_forward_multiplier: hidden width of the feed-forward layers, in units of `embedding_dim`.
        max_length: latest events that the model reads.
        dropout: share of activations set to zero in training, in [0, 1).

    Shape:
        See `Batch`: B users of at most T <= max_length events, M positions in all.

    Raises:
        ValueError: a size is not positive, heads do not divide the width, or dropout is outside [0, 1).
    """

    def __init__(
        self,
        num_items: int,
        *,
        embedding_dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        feed_forward_multiplier: int = 1,
        max_length: int = 50,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        for name, value in (
            ("embedding_dim", embedding_dim),
            ("num_blocks", num_blocks),
            ("num_heads", num_heads),
            ("feed_forward_multiplier", feed_forward_multiplier),
            ("max_length", max_length),
        ):
            if value < 1:
                raise ValueError(f"model.{name}={value}: must be 1 or more.")
        if embedding_dim % num_heads:
            raise ValueError(f"model.num_heads={num_heads} does not divide model.embedding_dim={embedding_dim}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout}: must lie in [0, 1).")
        self.max_length = max_length
        self.items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            CausalBlock(embedding_dim, num_heads, dropout, feed_forward_multiplier * embedding_dim)
            for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.apply(initialise)

    def encode(self, inputs: Float[Tensor, "M D"], items: Int[Tensor, "B T"]) -> Float[Tensor, "M D"]:
        """The state after each position.

        Args:
            inputs: item embeddings of the packed positions.
            items: (B, T) the batch, which says where each position stands.
        """
        places = items > 0
        place = (places.sum(1, keepdim=True) - places.cumsum(1))[places]  # 0 for the latest event
        x = self.dropout(inputs + self.positions(place))
        for block in self.blocks:
            x = block(x, places)
        states: Tensor = self.norm(x)
        return states

    def training_scores(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[DotScores, Int[Tensor, "M"]]:
        """Scores at every position, and the item that came next there."""
        states = self.encode(self.items(batch.items[batch.items > 0]), batch.items)
        return DotScores(states, self.items.weight), targets

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of what comes after each user's latest event, (B, N)."""
        places = batch.items > 0
        states = self.encode(self.items(batch.items[places]), batch.items)
        return DotScores(states[last_positions(places)], self.items.weight)


def initialise(module: nn.Module) -> None:
    """Normal weights of standard deviation 0.02, zero biases, and a zero row for padding."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
