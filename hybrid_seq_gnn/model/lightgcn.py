"""LightGCN as published: users and items on their bipartite graph; it ignores the order of a history.

Source: He et al. 2020, "LightGCN" (arXiv:2002.02126).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.bipartite import Bipartite
from hybrid_seq_gnn.graph.sparse import propagated
from hybrid_seq_gnn.limits import AtLeast1, Limited, Positive
from hybrid_seq_gnn.model.once import OncePerRanking
from hybrid_seq_gnn.model.scores import DotScores


class LightGCNRecommender(Limited, nn.Module):
    """Dot products of user and item embeddings after smoothing over the user-item graph of the training part.

        X_0 = scale [items; users],  X_k = A_hat X_{k-1},  X = mean(X_0 .. X_K);   score(u, j) = X_u . X_j

    The scale is not in the paper: a step of AdamW moves X_0 by so many learning rates. With 1, a rate that is right for
    the other models leaves this one at the popularity of the items until patience runs out.

    The paper trains it with `loss=bpr`; any loss works. Every training event except a user's first is a target.

    Args:
        num_items: items without padding.
        sequences, split: the training part gives the graph.
        embedding_dim: D.
        num_layers: K, hops of smoothing.
        scale: see above; > 0. X_0 starts with a standard deviation of 0.1, as the authors' code does.

    Raises:
        UserError: a size or the scale is not positive.
    """

    has_user_embeddings = True  # by an embedding each
    max_length = 50  # only affects how training events are cut into windows: a user's embedding stands for the history

    def __init__(
        self,
        num_items: int,
        sequences: Sequences,
        split: Split,
        *,
        embedding_dim: AtLeast1 = 64,
        num_layers: AtLeast1 = 2,
        scale: Positive = 10.0,
    ) -> None:
        super().__init__()
        graph = Bipartite().build(sequences, split)
        self.adjacency = graph.adjacency()
        self.num_nodes, self.num_layers, self.scale = num_items + 1, num_layers, scale
        self.once: OncePerRanking[tuple[Tensor, Tensor]] = OncePerRanking()
        self.nodes = nn.Parameter(0.1 / scale * torch.randn(graph.nodes, embedding_dim))

    def tables(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "users D"]]:
        """Smoothed embeddings of items and users."""
        weights = [1 / (self.num_layers + 1)] * (self.num_layers + 1)
        total = propagated(self.scale * self.nodes, self.adjacency, weights)
        return total[: self.num_nodes], total[self.num_nodes :]

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores, Int[Tensor, "M"], Int[Tensor, "M"]]:
        """Scores for the user of every position, the next item there, and the user."""
        items, users = self.tables()
        of_positions = batch.users[batch.row]
        return DotScores(users[of_positions], items), targets, of_positions

    def next_item_scores(self, batch: Batch) -> DotScores:
        items, users = self.once.call(self, self.tables)
        return DotScores(users[batch.users], items)
