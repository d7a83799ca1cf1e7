"""The evidence memory: what the directed item graph says of the next item; nothing is learned.

Ours. `rows` is a Markov chain of order `last` with geometric weights, in the family of item-transition neighbours that
Ludewig & Jannach 2018 (arXiv:1803.09587) call sequential rules. `bayes` reads the same counts as naive Bayes does: each
recent item is a piece of evidence that multiplies the popularity of a candidate.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.graph.successors import Edges, Successors
from hybrid_seq_gnn.limits import AtLeast1, Decay, Limited, Positive, Weight

log = logging.getLogger(__name__)

UNIFORM = 1e-6  # share of the uniform distribution in `rows`, so that no item has probability 0
UNSEEN = 0.01  # events of an item that training never saw
AT_A_TIME = 1 << 19  # edges that are gathered, and scores that are held, for some rows; more leave a CPU's cache
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

    At the embedding level the rows (exponent 1) smooth the item table: out_i = sum_j C_ij / R_i items_j. No gradient
    flows through a probability.

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
        top_k: keep the heaviest so many successors of each item; None keeps all, or where they are more than 2 ** 25,
            as many of each item as fit.

    Shape:
        See `Batch`; M positions, N items with padding. Cost of R rows: R * last * successors of an item, and R * N.
        Memory beside the result: AT_A_TIME edges, and as many scores.

    Raises:
        ValueError: a setting is out of range.
    """

    events: Tensor
    prior: Tensor
    gain: Tensor
    recency: Tensor
    bayes_recency: Tensor

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
        self.successors = Successors(sequences, split, window, decay, top_k)
        if self.successors.top_k != top_k:
            log.info("gnn.top_k=%d: the heaviest successors of each item, so that all fit", self.successors.top_k)
        self.register_buffer("events", torch.from_numpy(sequences.training_counts(split)).float())
        # What follows is not saved: it comes from the settings and the counts, and a model is always made from the
        # same data before its state is loaded, so that what is loaded are the counts that it has already.
        self.register_buffer("prior", self.where_nothing_is_known(), persistent=False)
        if read != "rows":
            share = self.prior.index_select(0, self.successors.then)
            self.register_buffer("gain", torch.log1p(self.successors.count / (kappa * share)), persistent=False)
        steps = torch.arange(last, dtype=torch.float32)
        self.register_buffer("recency", recency**steps, persistent=False)
        self.register_buffer("bayes_recency", bayes_recency**steps, persistent=False)

    def where_nothing_is_known(self) -> Float[Tensor, "N"]:
        """p, with a hundredth of an event for items that training never saw; padding has none."""
        events = F.pad(self.events[1:].clamp(min=UNSEEN), (1, 0))
        return events / events.sum()

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Each item's embedding becomes the mean of what followed it."""
        smoothed: Tensor = self.successors(items)
        return smoothed

    @torch.no_grad()
    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at each position; `leave_out` takes each position's own pairs out, as in training."""
        recent = self.recent(batch)
        parts = []
        if self.read != "bayes":
            parts.append(self.rows_of_targets(recent, targets, leave_out))
        if self.read != "rows":
            found = torch.empty_like(self.prior[targets])
            for some, edges in self.chunks(recent):
                column = targets[some].unsqueeze(1)
                score = self.bayes(recent[some], edges, column[:, 0] if leave_out else None)
                found[some] = (score.gather(1, column)[:, 0] - score.logsumexp(1)).exp()
            parts.append(found)
        return parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2

    @torch.no_grad()
    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of every item at some positions, padding none; with targets, each row's own pairs are left out."""
        recent = self.recent(batch)[rows]
        found = self.prior.new_empty(len(recent), self.size)
        for some, edges in self.chunks(recent):
            own = None if targets is None else targets[some]
            parts = []
            if self.read != "bayes":
                parts.append(self.rows(recent[some], edges, own))
            if self.read != "rows":
                parts.append(self.bayes(recent[some], edges, own).softmax(1))
            found[some] = parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2
        found[:, 0] = 0.0
        return found

    def recent(self, batch: Batch) -> Int[Tensor, "M last"]:
        """The latest items at each position, latest first; 0 where there are none."""
        padded = F.pad(batch.items, (self.last - 1, 0))
        return padded.unfold(1, self.last, 1)[batch.items > 0].flip(1)

    def chunks(self, recent: Int[Tensor, "R last"]) -> Iterator[tuple[slice, Edges]]:
        """Rows, by so many that few enough edges are gathered and scores held, and the edges of their items."""
        up_to = [0, *self.successors.degree(recent).sum(1).cumsum(0).tolist()]
        begin, most = 0, max(1, AT_A_TIME // self.size)
        while begin < len(recent):
            end = min(bisect_right(up_to, up_to[begin] + AT_A_TIME) - 1, begin + most)
            some = slice(begin, max(end, begin + 1))
            yield some, self.successors.edges_of(recent[some], up_to[some.stop] - up_to[begin])
            begin = some.stop

    def counts(
        self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"], leave_out: bool
    ) -> tuple[Float[Tensor, "R last"], Float[Tensor, "R last"]]:
        """C[i_k, target] and R[i_k] of each row, without what its own target adds to them if `leave_out`.

        An item that stands near the target more than once leads to it by more than one pair.
        """
        count, total = self.successors.count_of(recent, targets), self.successors.total[recent]
        if not leave_out:
            return count, total
        own = torch.zeros_like(total)
        for lag in range(min(self.window, self.last)):
            near = recent[:, lag : lag + 1]
            own += self.decay**lag * ((recent == near) & (near != targets.unsqueeze(1)))
        own = own.minimum(count)  # an edge that was pruned has nothing to give back
        return count - own, (total - own).clamp(min=0.0)

    def weights(
        self, recent: Int[Tensor, "R last"], total: Float[Tensor, "R last"]
    ) -> tuple[Float[Tensor, "R last"], Float[Tensor, "R"]]:
        """Of `rows`, what a count weighs, and the sum over items of what is weighed."""
        weight = torch.where((recent > 0) & (total > LEAST), self.recency, 0.0)
        total = total.clamp(min=LEAST)
        return weight * total**-self.exponent, (weight * total ** (1 - self.exponent)).sum(1)

    def rows_of_targets(
        self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"], leave_out: bool
    ) -> Float[Tensor, "R"]:
        """`rows` of one item each, for which no other needs to be looked at."""
        count, total = self.counts(recent, targets, leave_out)
        weight, below = self.weights(recent, total)
        return self.smooth((weight * count).sum(1), below, self.prior[targets])

    def rows(self, recent: Int[Tensor, "R last"], edges: Edges, own: Int[Tensor, "R"] | None) -> Float[Tensor, "R N"]:
        """The weighted mean of the rows of C."""
        total = self.successors.total[recent] if own is None else self.counts(recent, own, leave_out=True)[1]
        weight, below = self.weights(recent, total)
        above = self.prior.new_zeros(len(recent), self.size)
        self.successors.add(above, edges, self.successors.count, weight)
        p = self.smooth(above, below.unsqueeze(1), self.prior)
        if own is not None:
            p.scatter_(1, own.unsqueeze(1), self.rows_of_targets(recent, own, leave_out=True).unsqueeze(1))
        return p

    def bayes(self, recent: Int[Tensor, "R last"], edges: Edges, own: Int[Tensor, "R"] | None) -> Float[Tensor, "R N"]:
        """Log of popularity times the evidence of each recent item; padding has -inf. Not normalised."""
        score = self.prior.log().repeat(len(recent), 1)
        self.successors.add(score, edges, self.gain, self.bayes_recency.expand(len(recent), -1))
        if own is not None:
            count, _ = self.counts(recent, own, leave_out=True)
            share = self.prior[own] * (self.events[own] - 1).clamp(min=UNSEEN) / self.events[own].clamp(min=UNSEEN)
            gain = torch.log1p(count / (self.kappa * share.unsqueeze(1))) * self.bayes_recency
            score.scatter_(1, own.unsqueeze(1), (share.log() + gain.sum(1)).unsqueeze(1))
        return score

    def smooth(self, above: Tensor, below: Tensor, prior: Tensor) -> Tensor:
        """above / below, with a little of the uniform distribution; the prior where nothing is known."""
        known = torch.where(below > 0, above / below.clamp(min=1e-12), prior)
        return (1 - UNIFORM) * known + UNIFORM / (self.size - 1)
