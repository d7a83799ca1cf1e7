"""The self-attention block shared by the sequence models."""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Block(nn.Module):
    """A pre-norm Transformer block.

        x <- x + dropout(attention(norm(x)))
        x <- x + dropout(feed_forward(norm(x)))

    Source: Vaswani et al. 2017; pre-norm as in Xiong et al. 2020 (arXiv:2002.04745).
    Ours differs: dropout acts on the output of attention, not on its weights (five times faster on CPU), and everything
    except attention itself works on packed positions, so padding costs almost nothing.

    Args:
        embedding_dim: D, width of a position.
        num_heads: attention heads; must divide D.
        dropout: share of activations set to zero in training.
        feed_forward_dim: width of the hidden layer.
        causal: a position attends to itself and earlier positions; otherwise to the whole history.

    Shape:
        x: (M, D) packed positions. mask: (B, T), true at the M positions; padding is on the right.
        Returns (M, D).
    """

    def __init__(
        self, embedding_dim: int, num_heads: int, dropout: float, feed_forward_dim: int, causal: bool = True
    ) -> None:
        super().__init__()
        self.num_heads, self.causal = num_heads, causal
        self.attention_norm = nn.LayerNorm(embedding_dim)
        self.qkv = nn.Linear(embedding_dim, 3 * embedding_dim)
        self.project = nn.Linear(embedding_dim, embedding_dim)
        self.feed_forward_norm = nn.LayerNorm(embedding_dim)
        self.expand = nn.Linear(embedding_dim, feed_forward_dim)
        self.contract = nn.Linear(feed_forward_dim, embedding_dim)
        self.dropout = nn.Dropout(dropout)

    def attend(self, x: Float[Tensor, "M D"], row: Int[Tensor, "M"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "M D"]:
        """Multi-head attention. Padding is never attended to: it is in the future, or masked."""
        (users, positions), width = mask.shape, x.shape[-1]
        packed = self.qkv(x)
        qkv = packed.new_zeros(users * positions, 3 * width).index_copy(0, row, packed)
        q, k, v = qkv.view(users, positions, 3, self.num_heads, width // self.num_heads).permute(
            2, 0, 3, 1, 4
        )  # each (B, heads, T, D/heads)
        attn_mask = None if self.causal else mask[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, is_causal=self.causal)
        mixed: Tensor = self.project(out.transpose(1, 2).reshape(users * positions, width).index_select(0, row))
        return mixed

    def forward(self, x: Float[Tensor, "M D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "M D"]:
        return self.at_rows(x, mask.flatten().nonzero()[:, 0], mask)

    def at_rows(
        self, x: Float[Tensor, "M D"], row: Int[Tensor, "M"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "M D"]:
        """`forward` given the index of each position in B * T. Shapes depend only on sizes, not on values."""
        x = x + self.dropout(self.attend(self.attention_norm(x), row, mask))
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)))
        change: Tensor = self.dropout(self.contract(self.dropout(hidden)))
        return x + change


def last_positions(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B"]:
    """(B,) index of each user's latest position among the packed positions."""
    return mask.sum(1).cumsum(0) - 1
