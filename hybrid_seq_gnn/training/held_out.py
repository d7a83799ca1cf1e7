"""Log-probabilities of held-out items on both sides of a hybrid: all that fitting its fusion needs."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.batches import RankingBatch, moved
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.evaluate import evaluating
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.ranks import rank_of_target
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.scores import MixtureScores
from hybrid_seq_gnn.training.loop import MONITOR, NO_TARGETS
from hybrid_seq_gnn.training.normaliser import interpolate, polynomial

NEVER = -1e30  # score of an item that is no candidate; a mixture of two of them is one too


@dataclass(frozen=True)
class HeldOut:
    """What both sides of a hybrid predict for the held-out items of U users, among the items that can be recommended.

    Attributes:
        seq, graph: (U,) log-probability of the held-out item among the candidates on each side.
        length: (U,) events before the held-out item.
        states: (U, D) states of the sequence side.
        geometric: whether the mixture is geometric or linear.
        log_z: what normalises it: (U, C) coefficients of log Z of a geometric one, see `normaliser`; of a linear one
            (U, 2) log-probability of all candidates together, on each side.
        alphas: (A,) weights at which the held-out item was ranked; None if it was not ranked.
        gains: (U, A) NDCG@10 of each user at each of these weights.
    """

    seq: Float[Tensor, "U"]
    graph: Float[Tensor, "U"]
    length: Int[Tensor, "U"]
    states: Float[Tensor, "U D"]
    geometric: bool
    log_z: Float[Tensor, "U C"]
    alphas: Float[Tensor, "A"] | None = None
    gains: Float[Tensor, "U A"] | None = None

    def log_p(self, alpha: Float[Tensor, "R A"], rows: Tensor | slice = slice(None)) -> Float[Tensor, "R A"]:
        """Log-probability of the held-out items of the users in `rows` under the mixture, at A weights each.

        linear:     log((a m_seq p_seq + b m_graph p_graph) / (a m_seq + b m_graph))    a = alpha, b = 1 - alpha
        geometric:  alpha log p_seq + (1 - alpha) log p_graph - log Z(alpha)

        p is a probability among the candidates, and m what a side gives to all of them together.
        """
        seq, graph, log_z = self.seq[rows].unsqueeze(1), self.graph[rows].unsqueeze(1), self.log_z[rows]
        if self.geometric:
            return alpha * seq + (1 - alpha) * graph - interpolate(log_z, alpha)
        a, b = alpha.log() + log_z[:, :1], torch.log1p(-alpha) + log_z[:, 1:]
        return torch.logaddexp(a + seq, b + graph) - torch.logaddexp(a, b)

    def log_likelihood(self, alpha: Float[Tensor, "R"], rows: Tensor | slice = slice(None)) -> Float[Tensor, ""]:
        """Mean of `log_p` over the users in `rows`, at one weight each."""
        return self.log_p(alpha.unsqueeze(1), rows).mean()

    def log_gain(self, alpha: Float[Tensor, "R"], rows: Tensor | slice = slice(None)) -> Float[Tensor, ""]:
        """log of the mean NDCG@10 of the users in `rows`, at one weight each, smoothed over those that were ranked.

        NDCG(alpha) = sum_a k((alpha - a) / h) NDCG(a) / sum_a k((alpha - a) / h),     k(x) = exp(-x^2 / 2)

        a: the weights that were ranked; h: their mean distance. Unlike that of a rank, the gradient is not 0.
        """
        assert self.alphas is not None and self.gains is not None
        weights = self.alphas.to(alpha.dtype)
        h = (weights.max() - weights.min()).clamp(min=1e-3) / max(len(weights) - 1, 1)
        near = torch.softmax(-(((alpha.unsqueeze(1) - weights) / h) ** 2) / 2, 1)
        return (near * self.gains[rows]).sum(1).mean().clamp(min=1e-12).log()


def collect(
    hybrid: Hybrid,
    batches: Iterable[RankingBatch],
    *,
    mask: bool,
    alphas: tuple[float, ...] | None,
    device: torch.device,
) -> HeldOut:
    """Compute what both sides of a hybrid predict for the held-out item of each user.

    Args:
        hybrid: must mix scores (fusion.level=score).
        batches: users with their histories and held-out items.
        mask: the user's history is no candidate.
        alphas: weights of the mixture at which the held-out item is ranked; None skips the ranking.
        device: the hybrid's device.

    Cost: a product and a softmax over all items for each side, 15 more for the normaliser of a geometric mixture, and a
    ranking for each of `alphas`.

    Raises:
        UserError: there are no users.
    """
    rows: list[tuple[Tensor, ...]] = []
    with evaluating(hybrid):
        for item in batches:
            batch = item.batch.to(device)
            targets, history = moved(device, item.targets, item.history if mask else item.history[:, :0])
            scores = hybrid.next_item_scores(batch)
            assert isinstance(scores, MixtureScores)
            sides, column = scores.sides(), targets.unsqueeze(1)
            own = [side.gather(1, column) for side in sides]
            for side, score in zip(sides, own, strict=True):
                side.scatter_(1, history, NEVER).scatter_(1, column, score)
            totals = [side[:, 1:].logsumexp(1) for side in sides]
            of_targets = [score[:, 0] - total for score, total in zip(own, totals, strict=True)]
            items = [side[:, 1:] for side in sides]
            extra = [polynomial(*items) if scores.geometric else torch.stack(totals, 1)]
            if alphas is not None:
                extra.append(ranks_at(scores, sides, alphas, history, targets))
            rows.append((*of_targets, batch.length.amax(1), scores.states, *extra))
    if not rows:
        raise UserError(NO_TARGETS)
    seq, graph, length, states, log_z, *ranks = (torch.cat(part) for part in zip(*rows, strict=True))
    held = HeldOut(seq, graph, length, states, hybrid.fusion.geometric, log_z)
    if alphas is None:
        return held
    gains = torch.from_numpy(per_user(ranks[0].cpu().numpy())[MONITOR]).to(device)
    return dataclasses.replace(held, alphas=torch.tensor(alphas, device=device), gains=gains)


def ranks_at(
    scores: MixtureScores, sides: tuple[Tensor, Tensor], alphas: tuple[float, ...], history: Tensor, targets: Tensor
) -> Int[Tensor, "B A"]:
    """Rank of each user's held-out item at each weight of the mixture."""
    ranks = []
    for alpha in alphas:
        mixture = dataclasses.replace(scores, alpha=torch.full_like(scores.alpha, alpha))
        ranks.append(rank_of_target(mixture.mix(*sides), targets, history))
    return torch.stack(ranks, dim=1)
