"""Fit only the fusion, given the probabilities that two finished models assign to held-out items."""

import copy
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.fusion.base import Binned
from hybrid_seq_gnn.training.held_out import HeldOut

log = logging.getLogger(__name__)

EDGE = 1e-6  # alpha stays this far from 0 and 1 while it is fitted; at 0 and 1 its gradient is not finite
STEPS = 100  # most L-BFGS steps
FOLDS = 5
TENTHS = tuple(k / 10 for k in range(11))


def check_chosen(fusion: object) -> None:
    """Raise ValueError if a fusion has a null alpha, for strategies that do not choose one. None passes."""
    if isinstance(fusion, Binned) and fusion.unset:
        raise UserError(
            "fusion: an alpha of null is chosen on the validation split, which only training=post_hoc does (and not "
            "with training.select=none). Give it a number, or use training=post_hoc."
        )


def fit(fusion: nn.Module, held: HeldOut, by: str, alphas: tuple[float, ...] = TENTHS) -> dict[str, Any]:
    """Choose the alphas of a `Binned` fusion that are not set, or learn the weights of any other fusion.

    Args:
        fusion: changed in place.
        held: with gains, if `by` is ndcg.
        by: `ndcg` or `likelihood`; fusions with weights are always fitted by likelihood.
        alphas: candidates for the constants, used if `held.alphas` is None.

    Returns:
        A record of the fit, see `choose` and `maximise`.
    """
    if not isinstance(fusion, Binned):
        return maximise(fusion, held)
    if held.alphas is None:
        held = dataclasses.replace(held, alphas=torch.tensor(alphas, device=held.seq.device))
    return choose(fusion, held, by)


def choose(fusion: Binned, held: HeldOut, by: str) -> dict[str, Any]:
    """Set the alpha of each bin that has none to the best of `held.alphas` for the users of that bin.

    Bins share no users, and both criteria are means over users, so choosing per bin is optimal overall. A bin without
    users gets the alpha that is best for all users. Ties go to the alpha nearest to 1/2. A bin whose alpha is a number
    keeps it.

    Args:
        fusion: changed in place.
        held: with alphas, and with gains if `by` is ndcg.
        by: `ndcg` or `likelihood`.

    Returns:
        All candidates of all bins with their log-likelihood and NDCG@10 (if known), and the chosen alphas.
    """
    assert held.alphas is not None
    bins, alphas = fusion.bin_of(held.length), held.alphas.double()
    log_p = held.log_p(alphas.expand(len(bins), -1))  # (U, A)
    criterion = held.gains if by == "ndcg" and held.gains is not None else log_p
    candidates: list[dict[str, Any]] = []
    for index in fusion.values.isnan().nonzero()[:, 0].tolist():
        rows = bins == index
        users = int(rows.sum())
        if not users:
            rows = torch.ones_like(rows)
        scores = criterion[rows].double().mean(0)
        ties = torch.where(scores >= scores.max() - 1e-12, (alphas - 0.5).abs(), torch.inf)
        fusion.values[index] = held.alphas[ties.argmin()]
        for a, alpha in enumerate(alphas.tolist()):
            candidate = {"bin": index, "users": users, "alpha": round(alpha, 6)}
            candidate["log_likelihood"] = finite(log_p[rows, a].mean().item())
            if held.gains is not None:
                candidate["NDCG@10"] = held.gains[rows, a].mean().item()
            candidates.append(candidate)
    return {"by": by, "candidates": candidates, "values": fusion.values.tolist()}


def maximise(fusion: nn.Module, held: HeldOut) -> dict[str, Any]:
    """Maximise the likelihood of the held-out items over the fusion's weights, by full-batch L-BFGS.

        loss = -mean over users of log p(item) + penalty,     p the mixture of `HeldOut.log_p`

    Five-fold cross-validation over users decides the number of steps: the fusion is fitted five times, each time
    without a fifth of the users, who evaluate it after every step. A fusion with a few weights runs nearly to
    convergence. `gated`, with a thousand weights, stops after a few steps; run to convergence, it would overfit.

    Args:
        fusion: has `alpha(length, states)` and `penalty()`; changed in place.
        held: of U users.

    Returns:
        The number of steps, and the mean log-likelihood of each side alone, before, after and in cross-validation.
    """
    users = torch.arange(len(held.seq), device=held.seq.device)
    steps, cross_validated = best_steps(fusion, held, users)
    before = likelihood_of(fusion, held, users)
    for _ in zip(range(steps), climb(fusion, held, users), strict=False):
        pass
    return {
        "by": "likelihood",
        "steps": steps,
        "log_likelihood": {
            "sequence": finite(held.seq.double().mean().item()),
            "graph": finite(held.graph.double().mean().item()),
            "before": before,
            "after": likelihood_of(fusion, held, users),
            "cross_validated": cross_validated,
        },
    }


def best_steps(fusion: nn.Module, held: HeldOut, users: Tensor) -> tuple[int, float | None]:
    """The number of steps with the best cross-validated log-likelihood, and that log-likelihood.

    With fewer than two users per fold: `STEPS` and None.
    """
    if len(users) < 2 * FOLDS:
        return STEPS, None
    total = torch.zeros(STEPS + 1, dtype=torch.float64)
    for k in range(FOLDS):
        copied, fold = copy.deepcopy(fusion), users[users % FOLDS == k]
        scores = [likelihood_of(copied, held, fold)]
        for _ in climb(copied, held, users[users % FOLDS != k]):
            scores.append(likelihood_of(copied, held, fold))
        scores += scores[-1:] * (STEPS + 1 - len(scores))  # it converged before the last step
        total += torch.tensor(scores, dtype=torch.float64) * len(fold)
    best = int(total.argmax())
    return best, total[best].item() / len(users)


def likelihood_of(fusion: nn.Module, held: HeldOut, rows: Tensor) -> float:
    """Mean log-likelihood of the held-out items of the users in `rows` under the current fusion."""
    with torch.no_grad():
        return held.log_likelihood(alpha_of(fusion, held, rows), rows).item()


def alpha_of(fusion: nn.Module, held: HeldOut, rows: Tensor) -> Float[Tensor, "R"]:
    """The fusion's alpha for the users in `rows`, clamped to [EDGE, 1 - EDGE]."""
    alpha: Tensor = fusion.alpha(held.length[rows], held.states[rows])  # type: ignore[operator]
    return alpha.double().clamp(EDGE, 1 - EDGE)


def climb(fusion: nn.Module, held: HeldOut, rows: Tensor) -> Iterator[None]:
    """Run L-BFGS on the users in `rows` until it converges, one step per iteration.

    A step that does not lower the loss is undone, and L-BFGS restarts without its curvature history. If the first step
    after a restart does not lower the loss either, it has converged.
    """
    parameters = [p for p in fusion.parameters() if p.requires_grad]
    penalty: Callable[[], Tensor] = fusion.penalty  # type: ignore[assignment]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = penalty() - held.log_likelihood(alpha_of(fusion, held, rows), rows)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer, fresh = lbfgs(parameters), True
    loss = closure().item()
    for _ in range(STEPS):
        before = [p.detach().clone() for p in parameters]
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        new_loss = closure().item()
        if new_loss < loss - 1e-9:
            loss, fresh = new_loss, False
        else:
            with torch.no_grad():
                for parameter, value in zip(parameters, before, strict=True):
                    parameter.copy_(value)
            if fresh:
                return
            optimizer, fresh = lbfgs(parameters), True
        yield


def lbfgs(parameters: list[nn.Parameter]) -> torch.optim.LBFGS:
    """L-BFGS that makes one step per call."""
    return torch.optim.LBFGS(parameters, max_iter=1, line_search_fn="strong_wolfe")


def finite(value: float) -> float | None:
    """The value, or None if it is infinite or NaN."""
    return value if math.isfinite(value) else None
