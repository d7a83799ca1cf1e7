"""The bipartite graph of users and their training items."""

from dataclasses import dataclass

import numpy as np

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.items import ItemGraph


@dataclass(frozen=True, kw_only=True)
class Bipartite:
    """The user-item graph of the LightGCN paper: an edge of weight 1 between a user and each item of their history.

    Source: He et al. 2020, "LightGCN" (arXiv:2002.02126), Sec. 3.1. The graph network learns an embedding per user.
    """

    def build(self, sequences: Sequences, split: Split) -> ItemGraph:
        """Build the graph from the training part; held-out events do not affect it."""
        user, item = sequences.training(split)
        stride = sequences.num_items + 1
        user, item = np.divmod(np.unique(user * stride + item), stride)
        node = user + stride
        source, target = np.concatenate([item, node]), np.concatenate([node, item])
        order = np.lexsort((target, source))
        return ItemGraph(
            sequences.num_items, source[order], target[order], np.ones(len(source)), num_users=sequences.num_users
        )
