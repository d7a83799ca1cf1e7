"""A next-item recommender that mixes a sequence model with a graph network."""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.interfaces import Fusion, GraphNetwork, Memory
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited
from hybrid_seq_gnn.model.causal import initialise
from hybrid_seq_gnn.model.encoder import Init, Prior, Reading
from hybrid_seq_gnn.model.encoders import Name, make_encoder, standalone_config
from hybrid_seq_gnn.model.ensemble import Ensemble
from hybrid_seq_gnn.model.memory_scores import MemoryScores
from hybrid_seq_gnn.model.once import OncePerRanking
from hybrid_seq_gnn.model.scores import DotScores, MixtureScores, item_scores


class Hybrid(Limited, nn.Module):
    """A sequence model mixed with a graph network, at the level of embeddings or of scores.

    E is the encoder's item table, G = gnn(graph_items), and n_t the number of events up to and including position t,
    counted before truncation, in training and at serving. score and p refer to the item after position t:

        fusion.level=embedding   x_t   = alpha(n_t) E[i_t] + (1 - alpha(n_t)) G[i_t]                 input side
                                 score = encode(x)_t . (alpha(n_t) E[j] + (1 - alpha(n_t)) G[j]) + prior_j
                                                                                                     candidate side
        fusion.level=score       p_seq = softmax(encode(E[i])_t . E + prior)
            mix=geometric        p(j)  = p_seq(j)^alpha(n_t) p_graph(j)^(1 - alpha(n_t)) / Z
            mix=linear           p(j)  = alpha(n_t) p_seq(j) + (1 - alpha(n_t)) p_graph(j)

    p_graph comes from a memory (such as gnn=transitions), or is softmax(g_t . G) with g_t the weighted mean of the
    user's last items in G; each step back multiplies the weight of an item by `graph_recency`.

    encoder=bert4rec sees both sides of a masked item, the graph side only the items before it. So n of a masked place
    is the number of events before it, only the inputs of unmasked items are mixed, and p_graph is uniform for a masked
    item with nothing before it.

    With alpha = 1 this is the encoder alone. With alpha = 0 the encoder's item table is not used (embedding level), or
    the encoder is not used at all (score level).

    Args:
        num_items: items without padding.
        gnn: maps (N, D) item embeddings to (N, D).
        fusion: defines alpha and the level at which it mixes.
        encoder: the sequence model.
        members: number of encoders whose scores are averaged, see `Ensemble`; above 1 only with training=post_hoc,
            which trains each alone, with the run's seed and the seeds that follow it.
        tied: the graph network smooths the encoder's table (graph_items = E) instead of a table of its own.
        graph_recency: weight factor per step back, in (0, 1], see above.
        embedding_dim, num_blocks, num_heads, feed_forward_multiplier, max_length, dropout: see `SASRec`. For gru4rec,
            num_blocks is the number of layers, and heads and multiplier are ignored.
        mask_share: see `BERT4Rec`; ignored by the other encoders.
        cosine: temperature of cosine scores on both sides, None for dot products; at the embedding level the score is
            then (alpha cos(h, E[j]) + (1 - alpha) cos(h, G[j])) / cosine.
        prior: what is added to the scores of the sequence side, and at the embedding level to the mixed scores; see
            `Encoder`.
        init: the encoder's first item embeddings, see `Encoder`; those of the graph side are random, unless `tied`.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        num_items: int,
        gnn: GraphNetwork,
        fusion: Fusion,
        *,
        encoder: Name = "sasrec",
        members: AtLeast1 = 1,
        tied: bool = False,
        graph_recency: Decay = 0.8,
        embedding_dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        feed_forward_multiplier: int = 1,
        max_length: int = 50,
        dropout: float = 0.3,
        mask_share: float = 0.3,
        cosine: float | None = None,
        prior: Prior = "popularity",
        init: Init = "cooccurrence",
    ) -> None:
        super().__init__()
        make_one = partial(
            make_encoder,
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
            prior=prior,
            init=init,
        )
        self.encoder = make_one() if members == 1 else Ensemble([make_one() for _ in range(members)])
        # the graph side is built after the encoder, so that a seed gives the encoder the same weights as standalone
        self.embedding_dim, self.max_length = embedding_dim, max_length
        self.graph_recency = graph_recency
        self.gnn = gnn
        self.fusion = fusion
        self.once: OncePerRanking[Tensor] = OncePerRanking()
        self.scores_from_memory = fusion.level == "score" and isinstance(gnn, Memory)
        self.graph_items: nn.Embedding | None = None
        if members > 1 and not self.scores_from_memory:
            raise UserError(
                f"model.members={members} averages the scores of encoders that were trained alone: use "
                "fusion.level=score with a memory such as gnn=evidence, and training=post_hoc."
            )
        if tied and not self.scores_from_memory:
            self.graph_items = self.encoder.items
        elif not self.scores_from_memory:
            self.graph_items = nn.Embedding(num_items + 1, embedding_dim, padding_idx=0)
            self.graph_items.apply(initialise)

    encoder_alone = staticmethod(standalone_config)  # the configuration of the encoder as a standalone model

    def set_prior(self, events: Float[Tensor, "N"]) -> None:
        """Set the prior of the encoder, see there."""
        self.encoder.set_prior(events)

    def init_items(self, sequences: Sequences, split: Split) -> None:
        """Set the encoder's first item embeddings, see there."""
        self.encoder.init_items(sequences, split)

    def graph_table(self) -> Float[Tensor, "N D"] | None:
        """G, or None if the graph side is a memory."""
        graph_items = self.graph_items
        return None if graph_items is None else self.once.call(self, lambda: self.gnn(graph_items.weight))

    def mixed_table(self, seq: Float[Tensor, "N D"], graph: Float[Tensor, "N D"]) -> Float[Tensor, "N D"] | None:
        """alpha E + (1 - alpha) G; None if alpha is adaptive, so that one table does not serve all histories."""
        if self.fusion.adaptive:
            return None
        return self.fusion.mix(seq, graph, torch.zeros(len(seq), dtype=torch.long, device=seq.device))

    def read(
        self, reading: Reading, graph: Float[Tensor, "N D"], mixed: Float[Tensor, "N D"] | None = None
    ) -> Float[Tensor, "R D"]:
        """The encoder's requested states, with the graph mixed into its inputs if the fusion does that."""
        items = reading.items
        if not self.fusion.fuses_inputs:
            return self.encoder.states(reading)
        if mixed is not None:
            return self.encoder.read(embedding(items, mixed), reading)
        length = reading.batch.packed(reading.batch.length)
        return self.encoder.read(self.fusion.mix(self.encoder.items(items), embedding(items, graph), length), reading)

    def mix_embeddings(
        self,
        states: Float[Tensor, "M D"],
        length: Int[Tensor, "M"],
        graph: Float[Tensor, "N D"],
        mixed: Float[Tensor, "N D"] | None,
    ) -> DotScores:
        """Scores at the embedding level. An adaptive alpha is moved from the table to the query:

        h . (alpha * E[j] + (1 - alpha) * G[j]) = [alpha * h, (1 - alpha) * h] . [E[j], G[j]]
        """
        seq, prior = self.encoder.items.weight, self.encoder.prior
        alpha = self.fusion.alpha(length, states)
        if (cosine := self.encoder.cosine) is not None:
            states, seq, graph = normalize(states) / cosine, normalize(seq), normalize(graph)
            mixed = self.mixed_table(seq, graph)  # cosines are mixed, instead of a cosine with the mixture
        if not self.fusion.fuses_candidates:
            return DotScores(states, seq, alpha, bias=prior)
        if mixed is not None:
            return DotScores(states, mixed, alpha, bias=prior)
        query = torch.cat([alpha[:, None] * states, (1 - alpha)[:, None] * states], dim=1)
        return DotScores(query, torch.cat([seq, graph], dim=1), alpha, bias=prior)

    def graph_queries(self, batch: Batch, graph: Float[Tensor, "N D"]) -> Float[Tensor, "M D"]:
        """g_t: the recency-weighted mean of G over the items up to each position."""
        steps = torch.arange(batch.items.shape[1], device=graph.device)
        back = steps[:, None] - steps
        weight = torch.where(back >= 0, self.graph_recency ** back.clamp(min=0).to(graph.dtype), 0.0)
        weight = weight / weight.sum(1, keepdim=True)  # padding is on the right, so all earlier places hold items
        return batch.packed(weight @ graph[batch.items])

    def graph_side(
        self,
        batch: Batch,
        graph: Float[Tensor, "N D"] | None,
        rows: Int[Tensor, "R"] | None,
        own: Int[Tensor, "R"] | None,
    ) -> DotScores | MemoryScores:
        """p_graph after the positions `rows`; None means all positions, -1 no position before.

        A memory leaves out the pairs of `own`, the correct next items.
        """
        if graph is None:
            assert isinstance(self.gnn, Memory)
            if rows is None:
                rows = torch.arange(len(batch.places), device=batch.items.device)
            return MemoryScores(self.gnn, batch, rows, own)
        query = self.graph_queries(batch, graph)
        query = query if rows is None else nn.functional.pad(query, (0, 0, 0, 1))[rows]
        return item_scores(query, graph, self.encoder.cosine)

    def score(self, batch: Batch, reading: Reading, own: Int[Tensor, "R"] | None = None) -> DotScores | MixtureScores:
        """Scores of all items for each request; in training, `own` holds the correct items."""
        graph = self.graph_table()
        if self.fusion.level == "embedding":
            assert graph is not None
            mixed = self.mixed_table(self.encoder.items.weight, graph)
            return self.mix_embeddings(self.read(reading, graph, mixed), reading.length, graph, mixed)
        side = self.graph_side(batch, graph, reading.after, own)
        return self.mix_scores(self.encoder.states(reading), side, reading.length)

    def mix_scores(
        self, states: Float[Tensor, "R D"], side: DotScores | MemoryScores, length: Int[Tensor, "R"]
    ) -> MixtureScores:
        """Scores at the score level, of the encoder's states and the graph side."""
        state = states[:, : self.embedding_dim]  # of the first member
        alpha = self.fusion.alpha(length, state)
        return MixtureScores(self.encoder.compare(states), side, alpha, state, self.fusion.geometric)

    def training_scores(
        self, batch: Batch, targets: Int[Tensor, "M"]
    ) -> tuple[DotScores | MixtureScores, Int[Tensor, "R"], Int[Tensor, "R"]]:
        """Scores at all places the encoder learns from, the correct items and their users."""
        reading, targets, users = self.encoder.to_learn(batch, targets)
        return self.score(batch, reading, targets if self.training else None), targets, users

    def next_item_scores(self, batch: Batch) -> DotScores | MixtureScores:
        """Scores of the item after each user's latest event, (B, N)."""
        return self.score(batch, self.encoder.to_rank(batch))

    def penalty(self) -> Float[Tensor, ""]:
        return self.fusion.penalty()

    def alpha_curve(self, lengths: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """alpha at each length, without gradient, and with a state of zeros where it depends on one."""
        with torch.no_grad():
            return self.fusion.alpha(lengths)
