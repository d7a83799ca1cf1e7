"""The sequence models that a hybrid can have inside."""

from typing import Any, Literal

from hybrid_seq_gnn.model.bert4rec import BERT4Rec
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.sasrec import SASRec

Name = Literal["sasrec", "gru4rec", "bert4rec"]


def make_encoder(
    name: Name,
    num_items: int,
    *,
    num_blocks: int,
    num_heads: int,
    feed_forward_multiplier: int,
    mask_share: float,
    **shared: Any,
) -> Encoder:
    """The encoder of that name; each takes of a hybrid's settings what it knows.

    Args:
        name: which one.
        num_items: items without padding.
        num_blocks: for gru4rec the number of layers.
        num_heads, feed_forward_multiplier: of the attention blocks of sasrec and bert4rec.
        mask_share: of bert4rec.
        shared: embedding_dim, max_length, dropout, cosine.
    """
    if name == "gru4rec":
        return GRU4Rec(num_items, num_layers=num_blocks, **shared)
    shared |= {
        "num_blocks": num_blocks,
        "num_heads": num_heads,
        "feed_forward_multiplier": feed_forward_multiplier,
    }
    return BERT4Rec(num_items, mask_share=mask_share, **shared) if name == "bert4rec" else SASRec(num_items, **shared)
