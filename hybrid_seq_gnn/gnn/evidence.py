"""The evidence memory: what the directed item graph says of the next item; nothing is learned.

Ours. `rows` is a Markov chain of order `last` with geometric weights, in the family of item-transition neighbours that
Ludewig & Jannach 2018 (arXiv:1803.09587) call sequential rules. `bayes` reads the same counts as naive Bayes does: each
recent item is a piece of evidence that multiplies the popularity of a candidate.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.pairs import successors
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited, Positive, Weight

log = logging.getLogger(__name__)

UNIFORM = 1e-6  # share of the uniform distribution in `rows`, so that no item has probability 0
UNSEEN = 0.01  # events of an item that training never saw
EDGES_AT_A_TIME = 1 << 22  # that are gathered for some rows
MOST_EDGES = 1 << 25  # that are kept
LEAST = 1e-6  # of a row sum; less is rounding, and nothing

Read = Literal["both", "bayes", "rows"]


class Evidence(Limited, nn.Module):
    """Distribution of the next item, from what followed the user's last items in the training part.

        C_ij = sum over training pairs of events s < t <= s + window with items i != j of decay ** (t - s - 1)
        R_i  = sum_j C_ij        p_j = share of item j among training events

        bayes(j) = p_j * prod_k (1 + C[i_k, j] / (kappa * p_j)) ** (bayes_recency ** k)  /  the sum of it over items
        rows(j)  = sum_k recency ** k * C[i_k, j] * R[i_k] ** -exponent                  /  the sum of it over items
        read=both:  (bayes + rows) / 2

    with i_0 the user's latest item, i_1 the one before, and k < last. An item that followed none of them keeps its
    popularity in `bayes`, and so does every item in `rows` where no i_k was ever followed by anything.

    In training the row of the target itself is in C ("train on train"): the pairs that lead from i_k to it, one of
    weight decay ** l for each l < window with i_l = i_k, are taken out of C and R again, and one event out of its
    popularity, so that the memory is as good as it will be on new events.

    At the embedding level the rows (exponent 1) smooth the item table: out_i = sum_j C_ij / R_i items_j.

    Args:
        sequences, split: the training part is remembered.
        read: which of the two, or their mean.
        window: most steps from an item to one that follows it.
        decay: weight of one more step.
        last: latest items of the user that are looked up.
        recency: of `rows`, weight of one item further back.
        exponent: of the row sums; 1 averages rows that sum to 1, less trusts items more the more often they were seen.
        bayes_recency: of `bayes`, weight of one item further back.
        kappa: how many training events a candidate's popularity counts for, as a share: large is sceptical.
        top_k: keep the heaviest so many successors of each item; None keeps all, as far as memory allows.

    Shape:
        See `Batch`; M positions, N items with padding. Cost of R rows: R * last * successors of an item, and R * N.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        read: Read = "both",
        window: AtLeast1 = 10,
        decay: Decay = 0.8,
        last: AtLeast1 = 20,
        recency: Decay = 0.8,
        exponent: Weight = 0.75,
        bayes_recency: Decay = 0.5,
        kappa: Positive = 200.0,
        top_k: AtLeast1 | None = None,
    ) -> None:
        super().__init__()
        self.read, self.window, self.decay, self.last = read, window, decay, last
        self.exponent, self.kappa = exponent, kappa
        self.size = sequences.num_items + 1
        first, then, weight, kept = successors(sequences, split, window, decay, top_k, MOST_EDGES)
        if kept is not None and kept != top_k:
            log.info("gnn.top_k=%d: the heaviest successors of each item, so that the memory fits", kept)
        events = sequences.training_counts(split)
        total = np.bincount(first, weights=weight, minlength=self.size)
        self.register_buffer("start", torch.from_numpy(np.searchsorted(first, np.arange(self.size + 1))))
        self.register_buffer("then", torch.from_numpy(then.astype(np.int32)))
        self.register_buffer("count", torch.from_numpy(weight).float())
        self.register_buffer("total", torch.from_numpy(total).float())
        self.register_buffer("events", torch.from_numpy(events).float())
        self._key: Tensor | None = None
        steps = torch.arange(last, dtype=torch.float32)
        if read != "rows":
            gain = torch.log1p(self.count / (kappa * self.prior()[self.then.long()]))
            self.register_buffer("gain", gain, persistent=False)  # follows from what is saved, and the settings
        self.register_buffer("recency", recency**steps, persistent=False)
        self.register_buffer("bayes_recency", bayes_recency**steps, persistent=False)

    start: Tensor
    then: Tensor
    count: Tensor
    total: Tensor
    events: Tensor
    gain: Tensor
    recency: Tensor
    bayes_recency: Tensor

    def prior(self) -> Float[Tensor, "N"]:
        """p, with a hundredth of an event for items that training never saw; padding has none."""
        events = self.events.clamp(min=UNSEEN)
        events = torch.cat([events.new_zeros(1), events[1:]])
        return events / events.sum()

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Each item's embedding becomes the mean of what followed it."""
        share = self.count / self.total.clamp(min=1e-12).repeat_interleave(self.start.diff())
        ends = self.start.to(self.then.dtype)
        return F.embedding_bag(
            self.then, items, ends, per_sample_weights=share.to(items.dtype), mode="sum", include_last_offset=True
        )

    def recent(self, batch: Batch) -> Int[Tensor, "M last"]:
        """The latest items at each position, latest first; 0 where there are none."""
        padded = F.pad(batch.items, (self.last - 1, 0))
        return padded.unfold(1, self.last, 1)[batch.items > 0].flip(1)

    def own_pairs(self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"]) -> Float[Tensor, "R last"]:
        """What each row's own target adds to C[i_k, target] and to R[i_k].

        An item that stands near the target more than once leads to it by more than one pair.
        """
        near = recent[:, : self.window]
        pair = self.decay ** torch.arange(near.shape[1], device=near.device) * (near != targets.unsqueeze(1))
        return ((recent.unsqueeze(2) == near.unsqueeze(1)) * pair.unsqueeze(1)).sum(2)

    def count_of(self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"]) -> Float[Tensor, "R last"]:
        """C[i_k, target] of each row."""
        if self._key is None or self._key.device != self.then.device:  # i * N + j of every edge, ascending
            items = torch.arange(self.size, device=self.then.device)
            self._key = items.repeat_interleave(self.start.diff()) * self.size + self.then
        key = recent * self.size + targets.unsqueeze(1)
        place = torch.searchsorted(self._key, key).clamp_(max=max(len(self._key) - 1, 0))
        return torch.where(self._key[place] == key, self.count[place], 0.0) if len(self._key) else key * 0.0

    def weights(self, recent: Int[Tensor, "R last"], total: Float[Tensor, "R last"]) -> Float[Tensor, "R last"]:
        """recency ** k of `rows`, 0 where the item was never followed by anything."""
        return torch.where((recent > 0) & (total > LEAST), self.recency, 0.0)

    @torch.no_grad()
    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at each position; `leave_out` takes each position's own pairs out, as in training."""
        recent = self.recent(batch)
        if self.read == "rows":
            own = self.own_pairs(recent, targets) if leave_out else torch.zeros_like(recent, dtype=torch.float32)
            total = (self.total[recent] - own).clamp(min=0.0)
            weight, total = self.weights(recent, total), total.clamp(min=LEAST)
            above = weight * (self.count_of(recent, targets) - own).clamp(min=0.0) * total**-self.exponent
            below = weight * total ** (1 - self.exponent)
            return self.smoothed(above.sum(1), below.sum(1), self.prior()[targets])
        found = self.total.new_zeros(len(targets))
        for some in self.chunks(recent):
            column = targets[some].unsqueeze(1)
            found[some] = self.of_rows(recent[some], column[:, 0] if leave_out else None).gather(1, column)[:, 0]
        return found

    @torch.no_grad()
    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of every item at some positions, padding none; with targets, each row's own pairs are left out."""
        recent = self.recent(batch)[rows]
        found = [self.of_rows(recent[some], None if targets is None else targets[some]) for some in self.chunks(recent)]
        return torch.cat(found) if found else self.total.new_zeros(0, self.size)

    def chunks(self, recent: Int[Tensor, "R last"]) -> Iterator[slice]:
        """Rows by so many that few enough edges are gathered, and scores held, at a time."""
        edges = self.start.diff()[recent].sum(1).cumsum(0).tolist()
        begin = 0
        while begin < len(recent):
            before = edges[begin - 1] if begin else 0
            end = begin + 1
            while end < len(recent) and edges[end] - before <= EDGES_AT_A_TIME:
                end += 1
            yield slice(begin, end)
            begin = end

    def of_rows(self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"] | None) -> Float[Tensor, "R N"]:
        """p of every item, given each row's latest items."""
        degree = torch.where(recent > 0, self.start.diff()[recent], 0).flatten()
        lookup = torch.arange(len(degree), device=recent.device).repeat_interleave(degree)  # the i_k of each edge
        edge = torch.arange(len(lookup), device=recent.device) - (degree.cumsum(0) - degree)[lookup]
        edge += self.start[recent.flatten()][lookup]
        edges = Edges(edge, lookup, (lookup // self.last) * self.size + self.then[edge], targets)
        parts = [self.rows(recent, edges)] if self.read != "bayes" else []
        parts += [self.bayes(recent, edges)] if self.read != "rows" else []
        p = parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2
        p[:, 0] = 0.0
        return p

    def rows(self, recent: Int[Tensor, "R last"], edges: "Edges") -> Float[Tensor, "R N"]:
        """The average of the rows of C."""
        own = self.own_pairs(recent, edges.targets) if edges.targets is not None else 0.0
        total = (self.total[recent] - own).clamp(min=0.0)
        weight, total = self.weights(recent, total), total.clamp(min=LEAST)
        scale = weight * total**-self.exponent
        above = self.total.new_zeros(len(recent) * self.size)
        above.index_add_(0, edges.place, self.count[edges.edge] * scale.flatten()[edges.lookup])
        above = above.view(len(recent), self.size)
        if edges.targets is not None:
            column = edges.targets.unsqueeze(1)
            mine = above.gather(1, column) - (own * scale).sum(1, keepdim=True)
            above.scatter_(1, column, mine.clamp(min=0.0))
        below = (weight * total ** (1 - self.exponent)).sum(1, keepdim=True)
        return self.smoothed(above, below, self.prior())

    def bayes(self, recent: Int[Tensor, "R last"], edges: "Edges") -> Float[Tensor, "R N"]:
        """Popularity times the evidence of each recent item."""
        prior = self.prior()
        score = prior.log().repeat(len(recent))
        weight = self.bayes_recency.repeat(len(recent))
        score.index_add_(0, edges.place, self.gain[edges.edge] * weight[edges.lookup])
        score = score.view(len(recent), self.size)
        if edges.targets is not None:
            column = edges.targets.unsqueeze(1)
            left = (self.events[column] - 1).clamp(min=UNSEEN) / self.events[1:].clamp(min=UNSEEN).sum()
            counts = (self.count_of(recent, edges.targets) - self.own_pairs(recent, edges.targets)).clamp(min=0.0)
            mine = left.log() + (self.bayes_recency * torch.log1p(counts / (self.kappa * left))).sum(1, keepdim=True)
            score.scatter_(1, column, mine)
        return score.softmax(1)

    def smoothed(self, above: Tensor, below: Tensor, prior: Tensor) -> Tensor:
        """above / below, with a little of the uniform distribution; the prior where nothing is known."""
        known = torch.where(below > 0, above / below.clamp(min=1e-12), prior)
        return (1 - UNIFORM) * known + UNIFORM / (self.size - 1)


@dataclass(frozen=True)
class Edges:
    """All edges that lead from the latest items of R rows.

    Attributes:
        edge: (G,) which.
        lookup: (G,) the place in the (R, last) latest items from which it leads.
        place: (G,) row * N + j, where it leads to in (R, N).
        targets: (R,) items whose own pairs are left out; None leaves all in.
    """

    edge: Int[Tensor, "G"]
    lookup: Int[Tensor, "G"]
    place: Int[Tensor, "G"]
    targets: Int[Tensor, "R"] | None
