"""Caser: convolutions over the last items.

Source: Tang & Wang 2018, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding"
(arXiv:1809.07426), Sec. 3.
Ours differs: no user embedding, so that new users can be served, and by default cross-entropy over all items.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.limits import AtLeast1, Share, Temperature
from hybrid_seq_gnn.model.causal import CausalModel, initialise
from hybrid_seq_gnn.model.encoder import Init, Prior


class Caser(CausalModel):
    """Horizontal filters over runs of items and vertical filters over places, in a window of the last L items.

        E_t   = [items[i_{t-L+1}]; ...; items[i_t]]                     (L, D), zeros before the first event
        o     = [max over time of relu(conv_h(E_t)) for h = 1..L;  vertical filters . E_t]
        score = project(dropout(o)) . items[j]

    Args:
        num_items: items without padding.
        embedding_dim: D.
        window: L, number of last items.
        horizontal, vertical: number of horizontal filters of each height, and of vertical filters.
        max_length: number of latest events that the model reads; a prediction uses only the last `window` of them.
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
        window: AtLeast1 = 5,
        horizontal: AtLeast1 = 16,
        vertical: AtLeast1 = 4,
        max_length: AtLeast1 = 50,
        dropout: Share = 0.3,
        cosine: Temperature | None = None,
        prior: Prior = "popularity",
        init: Init = "cooccurrence",
    ) -> None:
        super().__init__(num_items, embedding_dim, max_length, cosine, prior, init)
        self.window = window
        self.horizontal = nn.ModuleList(nn.Conv1d(embedding_dim, horizontal, height + 1) for height in range(window))
        self.vertical = nn.Linear(window, vertical, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(horizontal * window + vertical * embedding_dim, embedding_dim)
        self.apply(initialise)

    def encode(self, inputs: Float[Tensor, "M D"], batch: Batch) -> Float[Tensor, "M D"]:
        padded = F.pad(batch.unpacked(inputs), (0, 0, self.window - 1, 0))
        windows = padded.unfold(1, self.window, 1)[batch.row, batch.column]  # (M, D, L)
        runs = [F.relu(conv(windows)).amax(2) for conv in self.horizontal]
        features = torch.cat([*runs, self.vertical(windows).flatten(1)], dim=1)
        states: Tensor = self.project(self.dropout(features))
        return states
