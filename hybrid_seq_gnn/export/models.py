"""Each model as a module of one history that `torch.export` can trace."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.export.counts import OfOneHistory, PlainMarkov, PlainSum
from hybrid_seq_gnn.export.encoders import STATES, last_state, state_of
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.ensemble import Ensemble
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.model.markov import Markov
from hybrid_seq_gnn.model.popularity import PopularityRecommender
from hybrid_seq_gnn.model.scores import DotScores, MixtureScores, item_scores


class PlainEncoder(nn.Module):
    """An encoder that scores items on its own."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def next_item_scores(self, batch: Batch) -> DotScores:
        return self.encoder.compare(last_state(self.encoder, batch.items))


class PlainHybrid(Hybrid):
    """A hybrid without its graph network: the table that the network makes is constant, and is kept instead."""

    def __init__(self, hybrid: Hybrid) -> None:
        nn.Module.__init__(self)
        self.encoder, self.fusion = hybrid.encoder, hybrid.fusion
        self.embedding_dim, self.max_length = hybrid.embedding_dim, hybrid.max_length
        self.graph_recency, self.scores_from_memory = hybrid.graph_recency, hybrid.scores_from_memory
        if hybrid.scores_from_memory:
            self.memory = hybrid.gnn
        self.register_buffer("table", hybrid.graph_table())

    table: Tensor | None

    def next_item_scores(self, batch: Batch) -> DotScores | MixtureScores:
        history, length = batch.items, batch.length[:, -1]
        if self.table is None:
            side = OfOneHistory(self.memory, batch, torch.zeros(1, dtype=torch.int64))  # type: ignore[arg-type]
            return self.mix_scores(last_state(self.encoder, history), side, length)
        if self.fusion.level == "score":
            return self.mix_scores(last_state(self.encoder, history), self.graph_scores(history), length)
        inputs = self.encoder.items(history[0])
        if self.fusion.fuses_inputs:
            inputs = self.fusion.mix(inputs, self.table[history[0]], batch.length[0])
        mixed = self.mixed_table(self.encoder.items.weight, self.table)
        return self.mix_embeddings(state_of(self.encoder, inputs), length, self.table, mixed)

    def graph_scores(self, history: Int[Tensor, "1 T"]) -> DotScores:
        """`graph_side` after the latest event."""
        assert self.table is not None
        weight = self.graph_recency ** torch.arange(history.shape[1], dtype=self.table.dtype).flip(0)
        query = (weight / weight.sum()) @ self.table[history[0]]
        return item_scores(query.unsqueeze(0), self.table, self.encoder.cosine)


def traceable(model: nn.Module) -> Any:
    """The model in a form that can be traced.

    Raises:
        UserError: there is none.
    """
    encoder = model.encoder if type(model) is Hybrid else model
    one = encoder.members[0] if isinstance(encoder, Ensemble) else encoder
    if type(model) is Hybrid and type(one) in STATES:
        return PlainHybrid(model)
    if type(model) in STATES:
        return PlainEncoder(model)  # type: ignore[arg-type]
    if type(model) is Markov:
        return PlainMarkov(model)
    if type(model) in (EASE, ItemKNN):
        return PlainSum(model)  # type: ignore[arg-type]
    if type(model) is PopularityRecommender:
        return model
    known = ", ".join(sorted(cls.__name__ for cls in (*STATES, Hybrid, Markov, EASE, ItemKNN, PopularityRecommender)))
    raise UserError(
        f"{type(one).__name__} cannot be exported: it cannot score a history alone, or was added to this package. "
        f"What can: {known}. Load the run itself to serve it."
    )


class Best(nn.Module):
    """The k best items for one history.

    Args:
        model: as `traceable` gives it.
        k: number of items.

    Shape:
        history: (1, T) numbers of items, oldest first, without padding. seen: (1, H) items that are no candidates; 0
        is none. length: (1,) events of the user, of which the history holds the latest T.
        Returns items (1, k), 0 where there are too few candidates, and scores (1, k), -inf there.
    """

    def __init__(self, model: nn.Module, k: int) -> None:
        super().__init__()
        self.model, self.k = model, k

    def forward(
        self, history: Int[Tensor, "1 T"], seen: Int[Tensor, "1 H"], length: Int[Tensor, "1"]
    ) -> tuple[Int[Tensor, "1 k"], Float[Tensor, "1 k"]]:
        events = history.shape[1]
        lengths = length - events + 1 + torch.arange(events)
        batch = Batch(torch.zeros(1, dtype=torch.int64), history, lengths.unsqueeze(0), torch.arange(events))
        scores = self.model.next_item_scores(batch).all()  # type: ignore[operator]
        scores = torch.where(scores.isnan(), -torch.inf, scores)
        scores = scores.scatter(1, torch.cat([torch.zeros_like(seen[:, :1]), seen], dim=1), -torch.inf)
        best, items = scores.topk(self.k, dim=1)
        return torch.where(best == -torch.inf, 0, items), best
