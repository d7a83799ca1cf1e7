"""GRU4Rec: a recurrent network over a user's history.

Source: Hidasi et al. 2016, "Session-based Recommendations with Recurrent Neural Networks" (arXiv:1511.06939).
Ours differs: input and output share item embeddings, and the default loss is cross-entropy over all items at every
position instead of a sampled ranking loss.
"""

from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.limits import AtLeast1, Share, Temperature
from hybrid_seq_gnn.model.causal import CausalModel, initialise
from hybrid_seq_gnn.model.encoder import Init, Prior


class GRU4Rec(CausalModel):
    """Scores of the next item from the state of a GRU.

        h_t   = GRU(dropout(items[i_t]), h_{t-1});   score = project(dropout(h_t)) . items[j]

    Args:
        num_items: items without padding.
        embedding_dim: D, width of an item's embedding.
        hidden_dim: width of the GRU's state.
        num_layers: number of GRU layers.
        max_length: number of latest events that the model reads.
        dropout: share of activations set to zero in training, in [0, 1).
        cosine: temperature of cosine scores, None for dot products; see `Encoder`.
        prior, init: what is added to the scores, and the first item embeddings; see `Encoder`.

    Raises:
        UserError: a size is not positive, or dropout is outside [0, 1).
    """

    def __init__(
        self,
        num_items: int,
        *,
        embedding_dim: AtLeast1 = 64,
        hidden_dim: AtLeast1 = 128,
        num_layers: AtLeast1 = 1,
        max_length: AtLeast1 = 50,
        dropout: Share = 0.3,
        cosine: Temperature | None = None,
        prior: Prior = "popularity",
        init: Init = "cooccurrence",
    ) -> None:
        super().__init__(num_items, embedding_dim, max_length, cosine, prior, init)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(embedding_dim, hidden_dim, num_layers, batch_first=True)
        self.project = nn.Linear(hidden_dim, embedding_dim)
        self.apply(initialise)

    def encode(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "M D"]:
        padded = batch.unpacked(self.dropout(inputs))
        hidden, _ = self.gru(padded)  # padding is on the right, so it does not affect any position
        states: Tensor = self.project(self.dropout(batch.packed(hidden)))
        return states
