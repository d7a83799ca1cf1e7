"""A sequence model and a graph network that share the work of knowing what comes next."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.interfaces import Fusion, GraphNetwork, Memory
from hybrid_seq_gnn.model.causal import initialise
from hybrid_seq_gnn.model.encoder import Reading
from hybrid_seq_gnn.model.encoders import Name, make_encoder, node_alone
from hybrid_seq_gnn.model.memory_scores import MemoryScores
from hybrid_seq_gnn.model.scores import DotScores, MixtureScores, item_scores


class Hybrid(nn.Module):
    """A sequence model mixed with a graph network, at the level of embeddings or of scores.

    With E the encoder's item table, G = gnn(graph_items), and n_t the number of events up to and including position t,
    counted before truncation, in training as at serving; score and p are of the item after position t:

        fusion.level=embedding   x_t   = alpha(n_t) E[i_t] + (1 - alpha(n_t)) G[i_t]                 input side
                                 score = encode(x)_t . (alpha(n_t) E[j] + (1 - alpha(n_t)) G[j])     candidate side
        fusion.level=score       p_seq = softmax(encode(E[i])_t . E)
            mix=geometric        p(j)  = p_seq(j)^alpha(n_t) p_graph(j)^(1 - alpha(n_t)) / Z
            mix=linear           p(j)  = alpha(n_t) p_seq(j) + (1 - alpha(n_t)) p_graph(j)

    p_graph is that of a memory (gnn=transitions), or else softmax(g_t . G) with g_t the mean of the user's last items
    in G, an item one step back weighing `graph_recency` times as much.

    encoder=bert4rec sees both sides of a hidden item, the graph side only what stands before it. So n of a hidden place
    is the number of events before it, the inputs that are mixed are those of the items that it sees, and where nothing
    stands before a hidden item p_graph is uniform.

    With alpha = 1 this is the encoder alone; with alpha = 0 the encoder's own item table is not used (embedding level),
    or the encoder not at all (score level).

    Args:
        num_items: items without padding.
        gnn: from (N, D) item embeddings to (N, D).
        fusion: alpha, and where it acts.
        encoder: the sequence model.
        tied: the graph network smooths the encoder's own table (graph_items = E) rather than a table of its own.
        graph_recency: in (0, 1], see above.
        embedding_dim, num_blocks, num_heads, feed_forward_multiplier, max_length, dropout: see `SASRec`; for gru4rec
            num_blocks is the number of layers, and heads and multiplier have no meaning.
        mask_share: of bert4rec, see there; without meaning for the others.
        cosine: temperature of cosine scores on both sides, None for dot products; at the embedding level the score is
            then alpha cos(h, E[j]) + (1 - alpha) cos(h, G[j]), divided by it.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        num_items: int,
        gnn: GraphNetwork,
        fusion: Fusion,
        *,
        encoder: Name = "sasrec",
        tied: bool = False,
        graph_recency: float = 0.8,
        embedding_dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        feed_forward_multiplier: int = 1,
        max_length: int = 50,
        dropout: float = 0.3,
        mask_share: float = 0.3,
        cosine: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 < graph_recency <= 1:
            raise ValueError(f"model.graph_recency={graph_recency}: must lie in (0, 1].")
        self.encoder = make_encoder(
            encoder,
            num_items,
            embedding_dim=embedding_dim,
            num_blocks=num_blocks,
            num_heads=num_heads,
            feed_forward_multiplier=feed_forward_multiplier,
            max_length=max_length,
            dropout=dropout,
            mask_share=mask_share,
            cosine=cosine,
        )
        # the graph side comes after the encoder, so that a seed gives the encoder the weights that it has alone
        self.max_length = max_length
        self.graph_recency = graph_recency
        self.gnn = gnn
        self.fusion = fusion
        self.remembers = fusion.level == "score" and isinstance(gnn, Memory)
        self.graph_items: nn.Embedding | None = self.encoder.items
        if self.remembers:
            self.graph_items = None
        elif not tied:
            self.graph_items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)
            self.graph_items.apply(initialise)

    encoder_alone = staticmethod(node_alone)  # the configuration of its encoder as a model of its own

    def graph_table(self) -> Float[Tensor, "N D"] | None:
        """G, or None where the graph side is a memory."""
        return None if self.graph_items is None else self.gnn(self.graph_items.weight)

    def read(self, reading: Reading, graph: Float[Tensor, "N D"] | None) -> Float[Tensor, "R D"]:
        """The encoder's states where it is asked, with the graph mixed into what it reads."""
        items = reading.items
        inputs = self.encoder.items(items)
        if self.fusion.fuses_inputs and graph is not None:
            inputs = self.fusion.mix(inputs, graph[items], reading.batch.length[reading.batch.items > 0])
        return self.encoder.read(inputs, reading)

    def mix_embeddings(
        self, states: Float[Tensor, "M D"], length: Int[Tensor, "M"], graph: Float[Tensor, "N D"]
    ) -> DotScores:
        """Scores at the embedding level; an adaptive alpha moves from the table to the query.

        h . (alpha * E[j] + (1 - alpha) * G[j]) = [alpha * h, (1 - alpha) * h] . [E[j], G[j]]
        """
        seq = self.encoder.items.weight
        alpha = self.fusion.alpha(length, states)
        if (cosine := self.encoder.cosine) is not None:
            states, seq, graph = normalize(states) / cosine, normalize(seq), normalize(graph)
        if not self.fusion.fuses_candidates:
            return DotScores(states, seq, alpha)
        if not self.fusion.adaptive:
            return DotScores(states, self.fusion.mix(seq, graph, length.new_zeros(len(seq))), alpha)
        query = torch.cat([alpha[:, None] * states, (1 - alpha)[:, None] * states], dim=1)
        return DotScores(query, torch.cat([seq, graph], dim=1), alpha)

    def graph_queries(self, batch: Batch, graph: Float[Tensor, "N D"]) -> Float[Tensor, "M D"]:
        """g_t: the recency-weighted mean of G over the items up to each position."""
        mask = batch.items > 0
        steps = torch.arange(batch.items.shape[1], device=graph.device)
        back = steps[:, None] - steps
        weight = torch.where(back >= 0, self.graph_recency ** back.clamp(min=0).to(graph.dtype), 0.0)
        weight = weight / weight.sum(1, keepdim=True)  # padding is on the right: every earlier place holds an item
        return (weight @ graph[batch.items])[mask]

    def graph_side(
        self,
        batch: Batch,
        graph: Float[Tensor, "N D"] | None,
        rows: Int[Tensor, "R"] | None,
        own: Int[Tensor, "R"] | None,
    ) -> DotScores | MemoryScores:
        """p_graph after some of the positions; None means all, -1 after nothing.

        A memory leaves out the pairs of `own`, the items that came next.
        """
        if graph is None:
            assert isinstance(self.gnn, Memory)
            if rows is None:
                rows = torch.arange(int((batch.items > 0).sum()), device=batch.items.device)
            return MemoryScores(self.gnn, batch, rows, own)
        query = self.graph_queries(batch, graph)
        query = query if rows is None else nn.functional.pad(query, (0, 0, 0, 1))[rows]
        return item_scores(query, graph, self.encoder.cosine)

    def score(self, batch: Batch, reading: Reading, own: Int[Tensor, "R"] | None = None) -> DotScores | MixtureScores:
        """Scores of all items where the encoder is asked; in training, `own` is what was there."""
        graph = self.graph_table()
        states, length = self.read(reading, graph), reading.length
        if self.fusion.level == "embedding":
            assert graph is not None
            return self.mix_embeddings(states, length, graph)
        seq = item_scores(states, self.encoder.items.weight, self.encoder.cosine)
        side = self.graph_side(batch, graph, reading.after, own)
        return MixtureScores(seq, side, self.fusion.alpha(length, states), states, self.fusion.geometric)

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores | MixtureScores, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """Scores wherever the encoder has something to learn, the items that were there, and the users."""
        reading, targets, users = self.encoder.to_learn(batch, targets)
        return self.score(batch, reading, targets if self.training else None), targets, users

    def next_item_scores(self, batch: Batch) -> DotScores | MixtureScores:
        """Scores of what comes after each user's latest event, (B, N)."""
        return self.score(batch, self.encoder.to_rank(batch))

    def penalty(self) -> Float[Tensor, ""]:
        return self.fusion.penalty()

    def alpha_curve(self, lengths: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        return self.fusion.curve(lengths)
