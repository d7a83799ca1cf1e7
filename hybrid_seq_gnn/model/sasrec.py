"""SASRec: self-attention over a user's history.

Source: Kang & McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv:1808.09781), Sec. 3.
Ours differs: pre-norm blocks with GELU; padding on the right, with positions counted back from the latest event (the
same positions as with the left padding of the paper); the default loss is a softmax over all items at every position
(Klenitskiy & Vasilev 2023, arXiv:2309.07602), without those the user has had, instead of one with a single negative.
"""

from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.limits import AtLeast1, Share, Temperature
from hybrid_seq_gnn.model.causal import CausalModel, initialise
from hybrid_seq_gnn.model.dropout import Dropout
from hybrid_seq_gnn.model.encoder import Init, Prior
from hybrid_seq_gnn.model.layers import AttentionLayout, Block


class SASRec(CausalModel):
    """Scores of the next item from causal self-attention over item and position embeddings.

        x_t   = dropout(items[i_t] + positions[t])      t = 0 for the latest event, 1 for the one before, ...
        h     = norm(block_L(... block_1(x)))
        score = h_t . items[j]                          for every item j

    Args:
        num_items: items without padding.
        embedding_dim: D, width of all embeddings.
        num_blocks: number of Transformer blocks.
        num_heads: attention heads per block; must divide `embedding_dim`.
        feed_forward_multiplier: hidden width of the feed-forward layers, in units of `embedding_dim`.
        max_length: number of latest events that the model reads.
        dropout: share of activations set to zero in training, in [0, 1).
        cosine: temperature of cosine scores, None for dot products; see `Encoder`.
        prior, init: what is added to the scores, and the first item embeddings; see `Encoder`.

    Shape:
        See `Batch`: B users with at most T <= max_length events, M positions in total.

    Raises:
        UserError: a size is not positive, num_heads does not divide embedding_dim, or dropout is outside [0, 1).
    """

    def __init__(
        self,
        num_items: int,
        *,
        embedding_dim: AtLeast1 = 64,
        num_blocks: AtLeast1 = 2,
        num_heads: AtLeast1 = 1,
        feed_forward_multiplier: AtLeast1 = 1,
        max_length: AtLeast1 = 50,
        dropout: Share = 0.3,
        cosine: Temperature | None = None,
        prior: Prior = "popularity",
        init: Init = "cooccurrence",
    ) -> None:
        super().__init__(num_items, embedding_dim, max_length, cosine, prior, init)
        self.positions = nn.Embedding(max_length, embedding_dim)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(embedding_dim, num_heads, dropout, feed_forward_multiplier * embedding_dim) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.apply(initialise)

    def encode(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "M D"]:
        x, layout = self.embed(inputs, batch)
        for block in self.blocks:
            x = block(x, layout)
        states: Tensor = self.norm(x)
        return states

    def encode_last(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "B D"]:
        """The last block needs to compute the latest position only."""
        x, layout = self.embed(inputs, batch)
        for block in self.blocks[:-1]:
            x = block.ranking(x, layout)  # type: ignore[operator]
        states: Tensor = self.norm(self.blocks[-1].at_last(x, layout))  # type: ignore[operator]
        return states

    def embed(self, inputs: Float[Tensor, "M D"], batch: Batch) -> tuple[Float[Tensor, "M D"], AttentionLayout]:
        """What the first block reads."""
        return self.dropout(inputs + self.positions(batch.back)), AttentionLayout(batch)
