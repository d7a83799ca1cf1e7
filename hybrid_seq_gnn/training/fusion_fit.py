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
SIDES = {"sequence": 1.0, "graph": 0.0}  # alpha of each side alone


def check_chosen(fusion: object) -> None:
    """Raise UserError if a fusion has a null alpha, for strategies that do not choose one. None passes."""
    if isinstance(fusion, Binned) and fusion.unset:
        raise UserError(
            "fusion: an alpha of null is chosen on the validation split, which only training=post_hoc does (and not "
            "with training.select=none). Give it a number, or use training=post_hoc."
        )


def fit(fusion: nn.Module, held: HeldOut, by: str, alphas: tuple[float, ...] = TENTHS) -> dict[str, Any]:
    """Choose the alphas of a `Binned` fusion that are not set, or learn the weights of any other fusion.

    Args:
        fusion: changed in place.
        held: with alphas and gains, if `by` is ndcg.
        by: `ndcg` or `likelihood`.
        alphas: candidates for the constants, used if `held.alphas` is None.

    Returns:
        A record of the fit, see `choose` and `maximise`.
    """
    if not isinstance(fusion, Binned):
        return maximise(fusion, held, by)
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
    values = held.gains if by == "ndcg" else log_p
    assert values is not None
    candidates: list[dict[str, Any]] = []
    for index in fusion.values.isnan().nonzero()[:, 0].tolist():
        rows = bins == index
        users = int(rows.sum())
        if not users:
            rows = torch.ones_like(rows)
        scores = values[rows].double().mean(0)
        ties = torch.where(scores >= scores.max() - 1e-12, (alphas - 0.5).abs(), torch.inf)
        fusion.values[index] = held.alphas[ties.argmin()]
        for a, alpha in enumerate(alphas.tolist()):
            candidate = {"bin": index, "users": users, "alpha": round(alpha, 6)}
            candidate["log_likelihood"] = finite(log_p[rows, a].mean().item())
            if held.gains is not None:
                candidate["NDCG@10"] = held.gains[rows, a].mean().item()
            candidates.append(candidate)
    return {"by": by, "candidates": candidates, "values": fusion.values.tolist()}


def maximise(fusion: nn.Module, held: HeldOut, by: str) -> dict[str, Any]:
    """Maximise a criterion of the held-out items over the fusion's weights, by full-batch L-BFGS.

        loss = -criterion + penalty

    The criterion is the log of the smoothed NDCG@10 (`HeldOut.log_gain`), or the mean log-likelihood.

    A fusion by length has a few weights, and is fitted until it converges, as constants are chosen. One that reads the
    state (`gated`) has a thousand, and would overfit. Five-fold cross-validation over users decides its number of
    steps: it is fitted five times, each time without a fifth of the users, who evaluate it after every step.

    Args:
        fusion: has `alpha(length, states)` and `penalty()`; changed in place.
        held: of U users.
        by: `ndcg` or `likelihood`.

    Returns:
        The most steps, and the criterion with each side alone, before, after and in cross-validation (or None).
    """
    users = torch.arange(len(held.seq), device=held.seq.device)
    steps, cross_validated = best_steps(fusion, held, users, by)
    before = criterion_of(fusion, held, users, by)
    for _ in zip(range(steps), lbfgs_steps(fusion, held, users, by), strict=False):
        pass
    alone = {side: torch.full_like(held.seq, alpha, dtype=torch.float64) for side, alpha in SIDES.items()}
    return {
        "by": by,
        "steps": steps,
        "log_NDCG@10" if by == "ndcg" else "log_likelihood": {
            **{side: finite(criterion(held, alpha, users, by).item()) for side, alpha in alone.items()},
            "before": before,
            "after": criterion_of(fusion, held, users, by),
            "cross_validated": cross_validated,
        },
    }


def criterion(held: HeldOut, alpha: Float[Tensor, "R"], rows: Tensor, by: str) -> Float[Tensor, ""]:
    """What is maximised, of the users in `rows`."""
    return held.log_gain(alpha, rows) if by == "ndcg" else held.log_likelihood(alpha, rows)


def best_steps(fusion: nn.Module, held: HeldOut, users: Tensor, by: str) -> tuple[int, float | None]:
    """The number of steps with the best cross-validated criterion, and that criterion.

    With a fusion by length, or fewer than two users per fold: `STEPS` and None.
    """
    if len(users) < 2 * FOLDS or not getattr(fusion, "reads_state", False):
        return STEPS, None
    total = torch.zeros(STEPS + 1, dtype=torch.float64)
    for k in range(FOLDS):
        copied, fold = copy.deepcopy(fusion), users[users % FOLDS == k]
        scores = [criterion_of(copied, held, fold, by)]
        for _ in lbfgs_steps(copied, held, users[users % FOLDS != k], by):
            scores.append(criterion_of(copied, held, fold, by))
        scores += scores[-1:] * (STEPS + 1 - len(scores))  # it converged before the last step
        total += torch.tensor(scores, dtype=torch.float64) * len(fold)
    best = int(total.argmax())
    return best, total[best].item() / len(users)


def criterion_of(fusion: nn.Module, held: HeldOut, rows: Tensor, by: str) -> float:
    """The criterion of the users in `rows` under the current fusion."""
    with torch.no_grad():
        return criterion(held, alpha_of(fusion, held, rows), rows, by).item()


def alpha_of(fusion: nn.Module, held: HeldOut, rows: Tensor) -> Float[Tensor, "R"]:
    """The fusion's alpha for the users in `rows`, clamped to [EDGE, 1 - EDGE]."""
    alpha: Tensor = fusion.alpha(held.length[rows], held.states[rows])  # type: ignore[operator]
    return alpha.double().clamp(EDGE, 1 - EDGE)


def lbfgs_steps(fusion: nn.Module, held: HeldOut, rows: Tensor, by: str) -> Iterator[None]:
    """Run L-BFGS on the users in `rows` until it converges, one step per iteration.

    A step that does not lower the loss is undone, and L-BFGS restarts without its curvature history. If the first step
    after a restart does not lower the loss either, it has converged.
    """
    parameters = [p for p in fusion.parameters() if p.requires_grad]
    penalty: Callable[[], Tensor] = fusion.penalty  # type: ignore[assignment]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = penalty() - criterion(held, alpha_of(fusion, held, rows), rows, by)
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
