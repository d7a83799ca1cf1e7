"""BERT4Rec: bidirectional attention, trained to predict masked items.

Source: Sun et al. 2019, "BERT4Rec" (arXiv:1904.06690). Ours differs: pre-norm blocks, and the last item of every
training history is masked, as at serving (the paper adds separate samples with only the last item masked).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.limits import AtLeast1, Inside, Share, Temperature
from hybrid_seq_gnn.model.causal import initialise
from hybrid_seq_gnn.model.dropout import Dropout
from hybrid_seq_gnn.model.encoder import Encoder, Init, Prior, Reading
from hybrid_seq_gnn.model.layers import AttentionLayout, Block


class BERT4Rec(Encoder):
    """Scores of masked items from the items on both sides; the next item is a masked item at the end.

        x_t   = dropout(items[i_t] or mask + positions[t]),  t = 0 for the latest place
        score = norm(blocks(x))_t . items[j]                 for every masked place t

    Args:
        num_items: items without padding.
        embedding_dim, num_blocks, num_heads, feed_forward_multiplier, dropout: see `SASRec`.
        max_length: number of latest events that the model reads, not counting the masked one.
        mask_share: probability that an item is masked in training, in (0, 1).
        cosine: temperature of cosine scores, None for dot products; see `Encoder`.
        prior, init: what is added to the scores, and the first item embeddings; see `Encoder`.

    Raises:
        UserError: a value is out of range.
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
        mask_share: Inside = 0.3,
        cosine: Temperature | None = None,
        prior: Prior = "popularity",
        init: Init = "cooccurrence",
    ) -> None:
        super().__init__(num_items, embedding_dim, max_length, cosine, prior, init)
        self.mask_share = mask_share
        self.mask = nn.Parameter(0.02 * torch.randn(embedding_dim))
        self.positions = nn.Embedding(max_length + 1, embedding_dim)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(embedding_dim, num_heads, dropout, feed_forward_multiplier * embedding_dim) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.apply(initialise)

    def append(self, batch: Batch, last: Int[Tensor, "B"]) -> Batch:
        """The histories with one item appended to each."""
        longer = torch.cat([batch.items, torch.zeros_like(batch.items[:, :1])], dim=1)
        items = longer.scatter(1, batch.size.unsqueeze(1), last.unsqueeze(1))
        place = torch.arange(items.shape[1], device=items.device)
        return Batch(batch.users, items, torch.where(items > 0, batch.length[:, :1] + place, 0))

    def reading(self, batch: Batch, longer: Batch, hidden: Bool[Tensor, "B T1"]) -> Reading:
        """Request every masked item of the longer histories."""
        user, place = hidden.nonzero().T
        after = torch.where(place > 0, (batch.last - batch.size)[user] + place, -1)
        masked = longer.packed(hidden)
        return Reading(longer, after, longer.length[hidden] - 1, masked)

    def to_learn(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[Reading, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """Mask random items of each history and always the last one, and request them."""
        longer = self.append(batch, targets[batch.last])
        hidden = (torch.rand(longer.items.shape, device=longer.items.device) < self.mask_share) & (longer.items > 0)
        hidden.scatter_(1, batch.size.unsqueeze(1), True)
        reading = self.reading(batch, longer, hidden)
        return reading, longer.items[hidden], batch.users.repeat_interleave(hidden.sum(1))

    def to_rank(self, batch: Batch) -> Reading:
        """Append a masked item to each history and request it."""
        longer = self.append(batch, torch.ones_like(batch.users))  # any item, since it is masked
        hidden = torch.zeros_like(longer.items, dtype=torch.bool).scatter_(1, batch.size.unsqueeze(1), True)
        return self.reading(batch, longer, hidden)

    def read(self, inputs: Float[Tensor, "M D"], reading: Reading) -> Float[Tensor, "R D"]:
        """The states at the masked places."""
        assert reading.hidden is not None
        masked = torch.where(reading.hidden.unsqueeze(1), self.mask, inputs)
        x = self.dropout(masked + self.positions(reading.batch.back))
        layout = AttentionLayout(reading.batch, causal=False)
        for block in self.blocks:
            x = block(x, layout)
        states: Tensor = self.norm(x)[reading.hidden]
        return states
