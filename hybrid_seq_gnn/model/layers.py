"""The self-attention block shared by the sequence models."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.dropout import Dropout

ROWS = 16  # histories that attention pads to the same length


class Layout:
    """How attention sees a batch: histories of like length side by side, each group padded to its longest.

    Attributes:
        cell: (C,) packed position in each cell; padding repeats position 0.
        place: (M,) cell of each packed position.
        groups: per group, its histories, its length and, for attention to both sides, the mask of its positions.

    Args:
        batch: the histories, with padding on the right.
        causal: padding is never attended to because it is in the future, so no mask is needed.
    """

    def __init__(self, batch: Batch, causal: bool = True) -> None:
        self.batch = batch
        if batch.items.device.type == "cpu":
            self.in_groups(causal)
        else:
            self.as_one(causal)

    def as_one(self, causal: bool) -> None:
        """One group of all, for a GPU, which need not wait for the CPU to sort."""
        self.place = self.batch.places
        positions = torch.arange(len(self.place), device=self.place.device)
        self.cell = positions.new_zeros(self.batch.items.numel()).index_copy(0, self.place, positions)
        users, length = self.batch.items.shape
        self.groups = [(users, length, None if causal else (self.batch.items > 0)[:, None, None])]

    def in_groups(self, causal: bool) -> None:
        """Groups of `ROWS` histories of like length, for a CPU."""
        size = self.batch.size.numpy()
        first, order = size.cumsum() - size, np.argsort(-size, kind="stable")
        self.groups, cells = [], []
        place, filled = np.empty(int(size.sum()), dtype=np.int64), 0
        for rows in (order[k : k + ROWS] for k in range(0, len(order), ROWS)):
            column = np.arange(max(int(size[rows[0]]), 1))
            inside = column < size[rows, None]
            cell = np.where(inside, first[rows, None] + column, 0)
            place[cell[inside]] = filled + np.flatnonzero(inside)
            masked = None if causal else torch.from_numpy(inside)[:, None, None]
            self.groups.append((len(rows), len(column), masked))
            cells.append(cell.ravel())
            filled += cell.size
        self.cell, self.place = torch.from_numpy(np.concatenate(cells)), torch.from_numpy(place)


class _ToCells(torch.autograd.Function):
    """x[cell]; the gradient at padding is 0, so that of each position comes from one cell."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.cell)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].index_select(0, ctx.layout.place), None


class _ToPositions(torch.autograd.Function):
    """x[place], the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.place)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        cells = grads[0].new_zeros(len(ctx.layout.cell), grads[0].shape[1])
        return cells.index_copy_(0, ctx.layout.place, grads[0]), None


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
        x: (M, D) packed positions. layout: of the batch, made with the same `causal`.
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
        self.dropout = Dropout(dropout)

    def attend(self, x: Float[Tensor, "M D"], layout: Layout) -> Float[Tensor, "M D"]:
        """Multi-head attention, a group of histories at a time."""
        width = x.shape[-1]
        cells: Tensor = _ToCells.apply(self.qkv(x), layout)  # type: ignore[no-untyped-call]
        mixed = []
        parts = torch.split(cells, [users * length for users, length, _ in layout.groups])
        for part, (users, length, mask) in zip(parts, layout.groups, strict=True):
            qkv = part.view(users, length, 3, self.num_heads, width // self.num_heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (users, heads, length, D / heads)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
            mixed.append(out.transpose(1, 2).reshape(users * length, width))
        packed: Tensor = self.project(_ToPositions.apply(torch.cat(mixed), layout))  # type: ignore[no-untyped-call]
        return packed

    def feed_forward(self, x: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)))
        return self.dropout.add(x, self.contract(self.dropout(hidden)))

    def forward(self, x: Float[Tensor, "M D"], layout: Layout) -> Float[Tensor, "M D"]:
        return self.feed_forward(self.dropout.add(x, self.attend(self.attention_norm(x), layout)))

    def at_last(self, x: Float[Tensor, "M D"], layout: Layout) -> Float[Tensor, "B D"]:
        """`forward` for the latest position of each history only, without dropout: all that ranking needs."""
        batch, width = layout.batch, x.shape[-1]
        users, length = batch.items.shape
        last, normed = batch.last, self.attention_norm(x)
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(normed[last], weight[:width], bias[:width]).view(users, self.num_heads, 1, -1)
        cells = batch.unpacked(F.linear(normed, weight[width:], bias[width:]))
        k, v = cells.view(users, length, 2, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=(batch.items > 0)[:, None, None])
        return self.feed_forward(x[last] + self.project(out.reshape(users, width)))
