"""The graph side of a hybrid as a standalone recommender, for the first stage of two-stage training."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.once import OncePerRanking
from hybrid_seq_gnn.model.scores import DotScores, item_scores


class GraphSide(nn.Module):
    """Scores of the next item from the graph table alone; the weights are shared with the hybrid.

        score = g_t . G[j],   g_t the recency-weighted mean of the user's last items in G, see `Hybrid`

    Where the embeddings are mixed, the encoder's prior is added, as it will be in the hybrid.

    Raises:
        UserError: the hybrid's graph side has no weights (a memory with fusion.level=score).
    """

    def __init__(self, hybrid: Hybrid) -> None:
        super().__init__()
        if hybrid.graph_items is None:
            raise UserError(
                "training=two_stage: with fusion.level=score this gnn is a memory without weights to train; use "
                "another gnn, or training=post_hoc."
            )
        self.graph_items = hybrid.graph_items
        self.gnn = hybrid.gnn
        self.once: OncePerRanking[Tensor] = OncePerRanking()
        self.max_length, self.cosine = hybrid.max_length, hybrid.encoder.cosine
        self.prior = hybrid.encoder.prior if hybrid.fusion.level == "embedding" else None
        self._queries = hybrid.graph_queries

    def graph_table(self) -> Float[Tensor, "N D"]:
        """G of the hybrid."""
        return self.once.call(self, lambda: self.gnn(self.graph_items.weight))

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "M"], Int[Tensor, "M"]]:
        """Scores at every position, the next item there, and the user."""
        graph = self.graph_table()
        return item_scores(self._queries(batch, graph), graph, self.cosine, self.prior), targets, batch.users[batch.row]

    def next_item_scores(self, batch: Batch) -> DotScores:
        """Scores of the item after each user's latest event, (B, N)."""
        graph = self.graph_table()
        return item_scores(self._queries(batch, graph)[batch.last], graph, self.cosine, self.prior)
