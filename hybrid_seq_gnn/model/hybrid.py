"""A sequence model and a graph network that share the work of describing an item."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.model.layers import last_positions
from hybrid_seq_gnn.model.protocol import Fusion, GraphNetwork
from hybrid_seq_gnn.model.sasrec import SASRec, initialise
from hybrid_seq_gnn.model.scores import DotScores


class Hybrid(nn.Module):
    """SASRec whose item embeddings are mixed with those of a graph network.

        G      = gnn(graph_items, adjacency)
        x_t    = alpha(n_t) * E[i_t] + (1 - alpha(n_t)) * G[i_t]          input side
        h      = encoder(x)
        score  = h_t . (alpha(n_t) * E[j] + (1 - alpha(n_t)) * G[j])      candidate side

    E is the encoder's item table and n_t the number of events up to and including position t, counted before
    truncation, in training as at serving. With alpha = 1 this is the encoder alone; with alpha = 0 the encoder's own
    item table is not used.

    Args:
        num_items: items without padding.
        gnn: from (N, D) item embeddings and the item graph to (N, D).
        fusion: alpha, and the sides on which it acts.
        adjacency: (N, N) normalised item graph of the training part.
        tied: the graph network smooths the encoder's own table (graph_items = E) rather than a table of its own.
        embedding_dim, num_blocks, num_heads, feed_forward_multiplier, max_length, dropout: see `SASRec`.
    """

    def __init__(
        self,
        num_items: int,
        gnn: GraphNetwork,
        fusion: Fusion,
        adjacency: SparseMatrix,
        *,
        tied: bool = False,
        embedding_dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        feed_forward_multiplier: int = 1,
        max_length: int = 50,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.encoder = SASRec(
            num_items,
            embedding_dim=embedding_dim,
            num_blocks=num_blocks,
            num_heads=num_heads,
            feed_forward_multiplier=feed_forward_multiplier,
            max_length=max_length,
            dropout=dropout,
        )  # first, so that a seed gives it the weights of a plain SASRec
        self.max_length = max_length
        self.gnn = gnn
        self.fusion = fusion
        self.adjacency = adjacency
        self.graph_items = self.encoder.items
        if not tied:
            self.graph_items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)
            self.graph_items.apply(initialise)

    def tables(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
        """The two views of every item: of the sequence model and of the graph network."""
        return self.encoder.items.weight, self.gnn(self.graph_items.weight, self.adjacency)

    def encode(
        self, batch: Batch, seq: Float[Tensor, "N D"], graph: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "M D"], Int[Tensor, "M"]]:
        """The state after each position, and the length of the history there."""
        places = batch.items > 0
        items, length = batch.items[places], batch.length[places]
        inputs = self.fusion.mix(seq[items], graph[items], length) if self.fusion.fuses_inputs else seq[items]
        return self.encoder.encode(inputs, batch.items), length

    def score(
        self,
        states: Float[Tensor, "M D"],
        length: Int[Tensor, "M"],
        seq: Float[Tensor, "N D"],
        graph: Float[Tensor, "N D"],
    ) -> DotScores:
        """Scores of all items for each state; an adaptive alpha moves from the table to the query.

        h . (alpha * E[j] + (1 - alpha) * G[j]) = [alpha * h, (1 - alpha) * h] . [E[j], G[j]]
        """
        alpha = self.fusion.alpha(length)
        if not self.fusion.fuses_candidates:
            return DotScores(states, seq, alpha)
        if not self.fusion.adaptive:
            return DotScores(states, self.fusion.mix(seq, graph, length.new_zeros(len(seq))), alpha)
        query = torch.cat([alpha[:, None] * states, (1 - alpha)[:, None] * states], dim=1)
        return DotScores(query, torch.cat([seq, graph], dim=1), alpha)

    def training_scores(self, batch: Batch, targets: Int[Tensor, "M"]) -> tuple[DotScores, Int[Tensor, "M"]]:
        """Scores at every position, and the item that came next there."""
        seq, graph = self.tables()
        states, length = self.encode(batch, seq, graph)
        return self.score(states, length, seq, graph), targets

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of what comes after each user's latest event, (B, N)."""
        seq, graph = self.tables()
        states, length = self.encode(batch, seq, graph)
        last = last_positions(batch.items > 0)
        return self.score(states[last], length[last], seq, graph)
