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


@dataclass(frozen=True)
class HeldOut:
    """What both sides of a hybrid predict for the held-out items of U users.

    Attributes:
        seq, graph: (U,) log-probability of the held-out item on each side; finite if `log_z` is not None.
        length: (U,) events before the held-out item.
        states: (U, D) states of the sequence side.
        log_z: (U, C) coefficients of log Z for a geometric mixture, see `normaliser`; None for a linear one.
        alphas: (A,) weights at which the held-out item was ranked; None if it was not ranked.
        gains: (U, A) NDCG@10 of each user at each of these weights.
    """

    seq: Float[Tensor, "U"]
    graph: Float[Tensor, "U"]
    length: Int[Tensor, "U"]
    states: Float[Tensor, "U D"]
    log_z: Float[Tensor, "U C"] | None = None
    alphas: Float[Tensor, "A"] | None = None
    gains: Float[Tensor, "U A"] | None = None

    def log_p(self, alpha: Float[Tensor, "R A"], rows: Tensor | slice = slice(None)) -> Float[Tensor, "R A"]:
        """Log-probability of the held-out items of the users in `rows` under the mixture, at A weights each.

        linear:     log(alpha p_seq + (1 - alpha) p_graph)
        geometric:  alpha log p_seq + (1 - alpha) log p_graph - log Z(alpha)
        """
        seq, graph = self.seq[rows].unsqueeze(1), self.graph[rows].unsqueeze(1)
        if self.log_z is None:
            return torch.logaddexp(alpha.log() + seq, torch.log1p(-alpha) + graph)
        return alpha * seq + (1 - alpha) * graph - interpolate(self.log_z[rows], alpha)

    def log_likelihood(self, alpha: Float[Tensor, "R"], rows: Tensor | slice = slice(None)) -> Float[Tensor, ""]:
        """Mean of `log_p` over the users in `rows`, at one weight each."""
        return self.log_p(alpha.unsqueeze(1), rows).mean()


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
        mask: remove the user's history from the ranking.
        alphas: weights of the mixture at which the held-out item is ranked; None skips the ranking.
        device: the hybrid's device.

    Cost: a product and a softmax over all items for each side, 15 more for the normaliser of a geometric mixture, and a
    ranking for each of `alphas`.

    Raises:
        ValueError: there are no users.
    """
    rows: list[tuple[Tensor, ...]] = []
    with evaluating(hybrid):
        for item in batches:
            batch = item.batch.to(device)
            targets, history = moved(device, item.targets, item.history if mask else item.history[:, :0])
            scores = hybrid.next_item_scores(batch)
            assert isinstance(scores, MixtureScores)
            sides, column = scores.sides(), targets.unsqueeze(1)
            of_targets = [side.gather(1, column)[:, 0] for side in sides]
            extra = []
            if scores.geometric:
                extra.append(polynomial(*(side[:, 1:] for side in sides)))
                of_targets = [s - side[:, 1:].logsumexp(1) for s, side in zip(of_targets, sides, strict=True)]
            if alphas is not None:
                extra.append(ranks_at(scores, sides, alphas, history, targets))
            rows.append((*of_targets, batch.length.amax(1), scores.states, *extra))
    if not rows:
        raise UserError(NO_TARGETS)
    seq, graph, length, states, *more = (torch.cat(part) for part in zip(*rows, strict=True))
    log_z = more.pop(0) if hybrid.fusion.geometric else None
    if alphas is None:
        return HeldOut(seq, graph, length, states, log_z)
    gains = torch.from_numpy(per_user(more[0].cpu().numpy())[MONITOR]).to(device)
    return HeldOut(seq, graph, length, states, log_z, torch.tensor(alphas, device=device), gains)


def ranks_at(
    scores: MixtureScores, sides: tuple[Tensor, Tensor], alphas: tuple[float, ...], history: Tensor, targets: Tensor
) -> Int[Tensor, "B A"]:
    """Rank of each user's held-out item at each weight of the mixture."""
    ranks = []
    for alpha in alphas:
        mixture = dataclasses.replace(scores, alpha=torch.full_like(scores.alpha, alpha))
        ranks.append(rank_of_target(mixture.mix(*sides), targets, history))
    return torch.stack(ranks, dim=1)
