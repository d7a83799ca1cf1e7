"""The evidence memory: a distribution of the next item from counts in the directed item graph; nothing is learned.

Source: ours. `rows` is a Markov chain of order `last` with geometric weights, similar to the sequential rules of
Ludewig & Jannach 2018 (arXiv:1803.09587). `bayes` uses the same counts as in naive Bayes: each recent item is a piece
of evidence that multiplies the popularity of a candidate.
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
UNSEEN = 0.01  # event count assumed for an item without training events
AT_A_TIME = 1 << 19  # maximum number of edges, and of scores, in a chunk of rows; more do not fit a CPU's cache
MIN_ROW_SUM = 1e-6  # a smaller row sum is a rounding error and counts as 0
TINY = 1e-30  # instead of a sum that is 0

Read = Literal["both", "bayes", "rows"]


class Evidence(Limited, nn.Module):
    """Distribution of the next item, from the items that followed the user's last items in the training part.

        C_ij = sum over training pairs of events s < t <= s + window with items i != j of decay ** (t - s - 1)
        R_i  = sum_j C_ij        p_j = share of item j among training events

        bayes(j) = p_j * prod_k (1 + C[i_k, j] / (kappa * p_j)) ** (bayes_recency ** k)  /  the sum of it over items
        rows(j)  = sum_k recency ** k * C[i_k, j] * R[i_k] ** -exponent                  /  the sum of it over items
        read=both:  (bayes + rows) / 2

    with i_0 the user's latest item, i_1 the one before, and k < last. In `bayes`, an item that followed none of them
    is scored by its popularity alone; in `rows`, all items are if nothing ever followed any i_k.

    In training, C contains the pairs that the target's own event contributed, which would leak the answer. These pairs
    (from i_k to the target, one of weight decay ** l for each l < window with i_l = i_k) are subtracted from C and R,
    and one event from the target's popularity, so that the memory is no better in training than on new events
    (but for pairs of repeated items that begin before the training window, or further back than `last`).

    At the embedding level the rows (exponent 1) smooth the item table: out_i = sum_j C_ij / R_i items_j. No gradient
    flows through the probabilities.

    Args:
        sequences, split: only the training part is counted.
        read: which of the two distributions, or both for their mean.
        window: maximum number of steps from an item to one that follows it.
        decay: weight factor per extra step.
        last: number of the user's latest items to look up.
        recency: weight factor in `rows` per item further back.
        exponent: of the row sums; 1 averages normalised rows, a smaller value gives frequent items more weight.
        bayes_recency: exponent factor in `bayes` per item further back.
        kappa: weight of a candidate's popularity against the counts; a large value trusts the counts less.
        top_k: number of heaviest successors kept per item. None keeps all; if they are more than 2 ** 25, it keeps as
            many per item as fit.

    Shape:
        See `Batch`; M positions, N items with padding. Cost of R rows: R * last * successors of an item, and R * N.
        Memory besides the result: AT_A_TIME edges and AT_A_TIME scores.

    Raises:
        UserError: a setting is out of range.
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
            log.info("gnn.top_k=%d: only the heaviest successors of each item fit in memory", self.successors.top_k)
        self.register_buffer("events", torch.from_numpy(sequences.training_counts(split)).float())
        self.derive()
        steps = torch.arange(last, dtype=torch.float32)
        self.register_buffer("recency", recency**steps, persistent=False)
        self.register_buffer("bayes_recency", bayes_recency**steps, persistent=False)

    def derive(self) -> None:
        """Register the buffers that follow from the counts, and are not saved with them."""
        self.register_buffer("prior", self.make_prior(), persistent=False)
        self.successors.forget()
        if self.read != "rows":
            share = self.prior.index_select(0, self.successors.then)
            self.register_buffer("gain", torch.log1p(self.successors.count / (self.kappa * share)), persistent=False)

    def make_prior(self) -> Float[Tensor, "N"]:
        """The popularity p, with UNSEEN events for items without training events; 0 for padding."""
        events = F.pad(self.events[1:].clamp(min=UNSEEN), (1, 0))
        return events / events.sum()

    def prior_of(self, targets: Int[Tensor, "R"], leave_out: bool) -> Float[Tensor, "R"]:
        """The prior of targets, which `leave_out` takes as popular as they are without their own event."""
        events = self.events[targets]
        own = (events - 1).clamp(min=UNSEEN) / events.clamp(min=UNSEEN)
        return self.prior[targets] * own if leave_out else self.prior[targets]

    def forward(self, items: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Replace each item's embedding by the weighted mean of the items that followed it."""
        smoothed: Tensor = self.successors(items)
        return smoothed

    @torch.no_grad()
    def of_targets(self, batch: Batch, targets: Int[Tensor, "M"], leave_out: bool) -> Float[Tensor, "M"]:
        """p(target) at each position; `leave_out` excludes each position's own pairs, as in training."""
        recent = self.recent(batch)
        parts = []
        if self.read != "bayes":
            parts.append(self.rows_of_targets(recent, targets, leave_out))
        if self.read != "rows":
            parts.append(self.bayes_of_targets(recent, targets, leave_out))
        return parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2

    @torch.no_grad()
    def of_all(
        self, batch: Batch, rows: Int[Tensor, "R"], targets: Int[Tensor, "R"] | None = None
    ) -> Float[Tensor, "R N"]:
        """p of all items at the positions `rows`, 0 for padding; with targets, each row's own pairs are left out."""
        recent = self.recent(batch)[rows]
        p = self.prior.new_empty(len(recent), self.size)
        for chunk, edges in self.chunks(recent):
            p[chunk] = self.distribution(recent[chunk], edges, None if targets is None else targets[chunk])
        p[:, 0] = 0.0
        return p

    def distribution(
        self, recent: Int[Tensor, "R last"], edges: Edges | None, own: Int[Tensor, "R"] | None
    ) -> Float[Tensor, "R N"]:
        """p of all items for one chunk of rows; the pairs of `own`, each row's target, are left out."""
        parts = []
        if self.read != "bayes":
            parts.append(self.rows(recent, edges, own))
        if self.read != "rows":
            parts.append(self.bayes(recent, edges, own).softmax(1))
        return parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2

    @torch.no_grad()
    def reasons(self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"]) -> Float[Tensor, "R last"]:
        """How p(j) of each row's target j splits over the user's recent items i_k.

            rows:       s_k = recency ** k * C[i_k, j] * R[i_k] ** -exponent             /  the sum of it over k
            bayes:      s_k = bayes_recency ** k * log(1 + C[i_k, j] / (kappa * p_j))    /  the sum of it over k
            read=both:  their mean, weighted by rows(j) and bayes(j)

        What popularity adds to p(j) is no item's. A row sums to 1, or to 0 where j never followed any of the items.

        Args:
            recent: the latest item first, as `recent()` returns them; 0 before the first event.
            targets: items, not padding.
        """
        count, total = self.counts(recent, targets, leave_out=False)
        split = torch.zeros_like(count)
        if self.read != "bayes":
            part = count * self.weights(recent, total)[0]
            p = self.rows_of_targets(recent, targets, leave_out=False)
            split += part / part.sum(1, keepdim=True).clamp(min=TINY) * p.unsqueeze(1)
        if self.read != "rows":
            part = torch.log1p(count / (self.kappa * self.prior[targets].unsqueeze(1))) * self.bayes_recency
            p = self.bayes_of_targets(recent, targets, leave_out=False)
            split += part / part.sum(1, keepdim=True).clamp(min=TINY) * p.unsqueeze(1)
        return split / split.sum(1, keepdim=True).clamp(min=TINY)

    def recent(self, batch: Batch) -> Int[Tensor, "M last"]:
        """The last items up to each position, latest first; 0 before the first event."""
        padded = F.pad(batch.items, (self.last - 1, 0))
        return padded.unfold(1, self.last, 1)[batch.row, batch.column].flip(1)

    def chunks(self, recent: Int[Tensor, "R last"]) -> Iterator[tuple[slice, Edges | None]]:
        """Chunks of rows with at most AT_A_TIME edges and scores (but at least one row), and the edges of each.

        They are None where sums over rows of a dense matrix are faster.
        """
        if self.successors.fills_a_matrix:
            step = max(1, AT_A_TIME // self.size)
            yield from ((slice(k, k + step), None) for k in range(0, len(recent), step))
            return
        total = [0, *self.successors.degree(recent).sum(1).cumsum(0).tolist()]
        start, max_rows = 0, max(1, AT_A_TIME // self.size)
        while start < len(recent):
            stop = min(bisect_right(total, total[start] + AT_A_TIME) - 1, start + max_rows)
            chunk = slice(start, max(stop, start + 1))
            yield chunk, self.successors.edges_of(recent[chunk], total[chunk.stop] - total[start])
            start = chunk.stop

    def counts(
        self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"], leave_out: bool
    ) -> tuple[Float[Tensor, "R last"], Float[Tensor, "R last"]]:
        """C[i_k, target] and R[i_k] of each row; `leave_out` subtracts the pairs of the row's own target.

        An item that occurs near the target more than once contributes more than one pair.
        """
        count, total = self.successors.count_of(recent, targets), self.successors.total[recent]
        if not leave_out:
            return count, total
        own = torch.zeros_like(total)
        for lag in range(min(self.window, self.last)):
            near = recent[:, lag : lag + 1]
            own += self.decay**lag * ((recent == near) & (near != targets.unsqueeze(1)))
        own = own.minimum(count)  # a pruned edge has count 0, so nothing to subtract
        return count - own, (total - own).clamp(min=0.0)

    def weights(
        self, recent: Int[Tensor, "R last"], total: Float[Tensor, "R last"]
    ) -> tuple[Float[Tensor, "R last"], Float[Tensor, "R"]]:
        """For `rows`: the weight of each count, and the sum of weighted counts over all items (the denominator)."""
        weight = torch.where((recent > 0) & (total > MIN_ROW_SUM), self.recency, 0.0)
        total = total.clamp(min=MIN_ROW_SUM)
        return weight * total**-self.exponent, (weight * total ** (1 - self.exponent)).sum(1)

    def rows_of_targets(
        self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"], leave_out: bool
    ) -> Float[Tensor, "R"]:
        """`rows` of the target alone, which does not need the scores of other items."""
        count, total = self.counts(recent, targets, leave_out)
        weight, denominator = self.weights(recent, total)
        return self.smooth((weight * count).sum(1), denominator, self.prior_of(targets, leave_out))

    def rows(
        self, recent: Int[Tensor, "R last"], edges: Edges | None, own: Int[Tensor, "R"] | None
    ) -> Float[Tensor, "R N"]:
        """The weighted mean of the rows of C."""
        total = self.successors.total[recent] if own is None else self.counts(recent, own, leave_out=True)[1]
        weight, denominator = self.weights(recent, total)
        if edges is None:
            numerator = self.successors.sum_rows(recent, "count", self.successors.count, weight)
        else:
            numerator = self.prior.new_zeros(len(recent), self.size)
            self.successors.add(numerator, edges, self.successors.count, weight)
        p = self.smooth(numerator, denominator.unsqueeze(1), self.prior)
        if own is not None:
            p.scatter_(1, own.unsqueeze(1), self.rows_of_targets(recent, own, leave_out=True).unsqueeze(1))
        return p

    def bayes(
        self, recent: Int[Tensor, "R last"], edges: Edges | None, own: Int[Tensor, "R"] | None
    ) -> Float[Tensor, "R N"]:
        """Log of popularity times the evidence of all recent items, not normalised; padding has -inf."""
        recency = self.bayes_recency.expand(len(recent), -1)
        if edges is None:
            score = self.successors.sum_rows(recent, "gain", self.gain, recency).add_(self.prior.log())
        else:
            score = self.prior.log().repeat(len(recent), 1)
            self.successors.add(score, edges, self.gain, recency)
        if own is not None:
            count, _ = self.counts(recent, own, leave_out=True)
            share = self.prior_of(own, leave_out=True)
            gain = torch.log1p(count / (self.kappa * share.unsqueeze(1))) * self.bayes_recency
            score.scatter_(1, own.unsqueeze(1), (share.log() + gain.sum(1)).unsqueeze(1))
        return score

    def bayes_of_targets(
        self, recent: Int[Tensor, "R last"], targets: Int[Tensor, "R"], leave_out: bool
    ) -> Float[Tensor, "R"]:
        """`bayes` of the target alone, normalised, which does need the scores of all items."""
        p = torch.empty_like(self.prior[targets])
        for chunk, edges in self.chunks(recent):
            score = self.bayes(recent[chunk], edges, targets[chunk] if leave_out else None)
            p[chunk] = (score.gather(1, targets[chunk, None])[:, 0] - score.logsumexp(1)).exp()
        return p

    def smooth(self, numerator: Tensor, denominator: Tensor, prior: Tensor) -> Tensor:
        """The ratio, or the prior if the denominator is 0, mixed with a little of the uniform distribution."""
        p = torch.where(denominator > 0, numerator / denominator.clamp(min=1e-12), prior)
        return (1 - UNIFORM) * p + UNIFORM / (self.size - 1)
