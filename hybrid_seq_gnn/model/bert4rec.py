"""BERT4Rec: attention in both directions, trained to fill gaps.

Source: Sun et al. 2019, "BERT4Rec" (arXiv:1904.06690). Ours differs: pre-norm blocks, and the last item is masked in
every history, as it will be at serving (their fine-tuning samples, always).
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.model.causal import check_dropout, check_sizes, initialise
from hybrid_seq_gnn.model.layers import Block, last_positions
from hybrid_seq_gnn.model.scores import DotScores


class BERT4Rec(nn.Module):
    """Scores of hidden items from what stands on both sides; the next item is a hidden one at the end.

        x_t   = dropout(items[i_t] or mask + positions[t]),  t = 0 for the latest place
        score = norm(blocks(x))_t . items[j]                 for every hidden place t

    Args:
        num_items: items without padding.
        embedding_dim, num_blocks, num_heads, feed_forward_multiplier, dropout: see `SASRec`.
        max_length: latest events that the model reads, the hidden one not counted.
        mask_share: probability with which an item is hidden in training, in (0, 1).

    Raises:
        ValueError: a value is out of range.
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
        mask_share: float = 0.3,
    ) -> None:
        super().__init__()
        check_sizes(
            embedding_dim=embedding_dim,
            num_blocks=num_blocks,
            num_heads=num_heads,
            feed_forward_multiplier=feed_forward_multiplier,
            max_length=max_length,
        )
        if embedding_dim % num_heads:
            raise ValueError(f"model.num_heads={num_heads} does not divide model.embedding_dim={embedding_dim}.")
        check_dropout(dropout)
        if not 0 < mask_share < 1:
            raise ValueError(f"model.mask_share={mask_share}: must lie between 0 and 1.")
        self.max_length, self.mask_share = max_length, mask_share
        self.items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)
        self.mask = nn.Parameter(0.02 * torch.randn(embedding_dim))
        self.positions = nn.Embedding(max_length + 1, embedding_dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(embedding_dim, num_heads, dropout, feed_forward_multiplier * embedding_dim, causal=False)
            for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.apply(initialise)

    def extended(self, batch: Batch, last: Int[Tensor, "B"]) -> Int[Tensor, "B T1"]:
        """The histories with one more item at the end of each."""
        size = (batch.items > 0).sum(1, keepdim=True)
        longer = torch.cat([batch.items, torch.zeros_like(batch.items[:, :1])], dim=1)
        return longer.scatter(1, size, last.unsqueeze(1))

    def scores_of_hidden(self, items: Int[Tensor, "B T1"], hidden: Bool[Tensor, "B T1"]) -> DotScores:
        """Scores of all items at every hidden place."""
        places = items > 0
        place = (places.sum(1, keepdim=True) - places.cumsum(1))[places]
        known = torch.where(hidden[places].unsqueeze(1), self.mask, self.items(items[places]))
        x = self.dropout(known + self.positions(place))
        for block in self.blocks:
            x = block(x, places)
        return DotScores(self.norm(x)[hidden[places]], self.items.weight)

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "H"], Int[Tensor, "H"]]:
        """Hide some items of each history, and always its last; scores there, the items themselves, and the users."""
        last = last_positions(batch.items > 0)
        items = self.extended(batch, targets[last])
        hidden = (torch.rand(items.shape, device=items.device) < self.mask_share) & (items > 0)
        hidden.scatter_(1, (batch.items > 0).sum(1, keepdim=True), True)
        return self.scores_of_hidden(items, hidden), items[hidden], batch.users.repeat_interleave(hidden.sum(1))

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of a hidden item after each history, (B, N)."""
        size = (batch.items > 0).sum(1, keepdim=True)
        items = self.extended(batch, torch.ones_like(batch.users))  # any item: it is hidden
        hidden = torch.zeros_like(items, dtype=torch.bool).scatter_(1, size, True)
        return self.scores_of_hidden(items, hidden)
