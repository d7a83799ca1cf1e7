"""Fit a fusion, and nothing else, to what two finished distributions say of held-out items."""

import copy
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.training.held_out import HeldOut

log = logging.getLogger(__name__)

EDGE = 1e-6  # alpha is kept this far from 0 and 1 while it is fitted: at them, its gradient is no number
STEPS = 100  # of L-BFGS at most
FOLDS = 5
TENTHS = tuple(k / 10 for k in range(11))


@runtime_checkable
class Binned(Protocol):
    """A fusion of constants: alpha(n) = values[bin_of(n)], NaN for one that is yet to be chosen."""

    values: Tensor

    @property
    def unset(self) -> bool: ...

    def bin_of(self, length: Int[Tensor, "U"]) -> Int[Tensor, "U"]: ...


def check_chosen(fusion: object) -> None:
    """Raise ValueError where a fusion has a constant that nobody is going to choose; None is fine."""
    if isinstance(fusion, Binned) and fusion.unset:
        raise ValueError(
            "fusion: an alpha that is null is chosen on the validation split, which only training=post_hoc does (and "
            "not with training.select=none); give it a number, or use training=post_hoc."
        )


def fit(fusion: nn.Module, held: HeldOut, by: str, alphas: tuple[float, ...] = TENTHS) -> dict[str, Any]:
    """Choose the constants of a fusion that are yet to be chosen, or learn its weights.

    Args:
        fusion: is changed.
        held: with gains, if `by` is ndcg.
        by: `ndcg` or `likelihood`; a fusion that learns is fitted by likelihood, whatever it says.
        alphas: what constants are chosen from, where `held` was not ranked at some.

    Returns:
        A record of it, see `choose` and `maximise`.
    """
    if not isinstance(fusion, Binned):
        return maximise(fusion, held)
    if held.alphas is None:
        held = dataclasses.replace(held, alphas=torch.tensor(alphas, device=held.seq.device))
    return choose(fusion, held, by)


def choose(fusion: Binned, held: HeldOut, by: str) -> dict[str, Any]:
    """Set each bin's alpha that is yet to be chosen to the best of `held.alphas` for the users of that bin.

    Bins share no user, and both criteria are means over users, so the best of each bin is the best of all together.
    A bin without users gets what is best for everybody; of equals the one nearest to 1/2 wins. A bin whose alpha is a
    number keeps it.

    Args:
        fusion: is changed.
        held: with alphas, and gains if `by` is ndcg.
        by: `ndcg` or `likelihood`.

    Returns:
        Every candidate of every bin with its NDCG@10 (if known) and log-likelihood, and the alphas.
    """
    assert held.alphas is not None
    bins, alphas = fusion.bin_of(held.length), held.alphas.double()
    log_p = held.log_p(alphas.expand(len(bins), -1))  # (U, A)
    judged = held.gains if by == "ndcg" and held.gains is not None else log_p
    candidates: list[dict[str, Any]] = []
    for place in fusion.values.isnan().nonzero()[:, 0].tolist():
        rows = bins == place
        users = int(rows.sum())
        if not users:
            rows = torch.ones_like(rows)
        scores = judged[rows].double().mean(0)
        ties = torch.where(scores >= scores.max() - 1e-12, (alphas - 0.5).abs(), torch.inf)
        fusion.values[place] = held.alphas[ties.argmin()]
        for a, alpha in enumerate(alphas.tolist()):
            one = {"bin": place, "users": users, "alpha": round(alpha, 6)}
            one["log_likelihood"] = finite(log_p[rows, a].mean().item())
            if held.gains is not None:
                one["NDCG@10"] = held.gains[rows, a].mean().item()
            candidates.append(one)
    return {"by": by, "candidates": candidates, "values": fusion.values.tolist()}


def maximise(fusion: nn.Module, held: HeldOut) -> dict[str, Any]:
    """Maximise the likelihood of the held-out items over the fusion's weights, by L-BFGS over all users at once.

        loss = -mean over users of log p(item) + penalty,     p the mixture of `HeldOut.log_p`

    How many steps are good for users who are not among those that are fitted is found by cross-validation first: the
    fusion is fitted five times, each time without a fifth of the users, who judge it after every step. A fusion of a
    few weights goes nearly as far as it can; `gated`, with a thousand, is stopped after a few steps (fitted to the end,
    it would learn the users by heart).

    Args:
        fusion: has `alpha(length, states)` and `penalty()`; is changed.
        held: of U users.

    Returns:
        The steps, and the mean log-likelihood of either side alone, before, after and in cross-validation.
    """
    everybody = torch.arange(len(held.seq), device=held.seq.device)
    steps, held_out = best_steps(fusion, held, everybody)
    before = likelihood_of(fusion, held, everybody)
    for _ in zip(range(steps), climb(fusion, held, everybody), strict=False):
        pass
    return {
        "by": "likelihood",
        "steps": steps,
        "log_likelihood": {
            "sequence": finite(held.seq.double().mean().item()),
            "graph": finite(held.graph.double().mean().item()),
            "before": before,
            "after": likelihood_of(fusion, held, everybody),
            "cross_validated": held_out,
        },
    }


def best_steps(fusion: nn.Module, held: HeldOut, everybody: Tensor) -> tuple[int, float | None]:
    """Steps after which users who were left out find the fusion best, and how good they find it then.

    With fewer than two users a fold nobody can judge: all steps, and None.
    """
    if len(everybody) < 2 * FOLDS:
        return STEPS, None
    total = torch.zeros(STEPS + 1, dtype=torch.float64)
    for k in range(FOLDS):
        copied, judges = copy.deepcopy(fusion), everybody[everybody % FOLDS == k]
        judged = [likelihood_of(copied, held, judges)]
        for _ in climb(copied, held, everybody[everybody % FOLDS != k]):
            judged.append(likelihood_of(copied, held, judges))
        judged += judged[-1:] * (STEPS + 1 - len(judged))  # it stood still before the last step
        total += torch.tensor(judged, dtype=torch.float64) * len(judges)
    best = int(total.argmax())
    return best, total[best].item() / len(everybody)


def likelihood_of(fusion: nn.Module, held: HeldOut, rows: Tensor) -> float:
    """Mean log-likelihood of some users' items under the fusion as it is."""
    with torch.no_grad():
        return held.log_likelihood(alpha_of(fusion, held, rows), rows).item()


def alpha_of(fusion: nn.Module, held: HeldOut, rows: Tensor) -> Float[Tensor, "R"]:
    """The fusion's alpha for some users, kept off the edges."""
    alpha: Tensor = fusion.alpha(held.length[rows], held.states[rows])  # type: ignore[operator]
    return alpha.double().clamp(EDGE, 1 - EDGE)


def climb(fusion: nn.Module, held: HeldOut, rows: Tensor) -> Iterator[None]:
    """L-BFGS on some users, a step at a time, until it stands still.

    A step that does not help is taken back, and L-BFGS begins anew from there, without its memory of the past; where
    that does not help either, it is at the top.
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
        now = closure().item()
        if now < loss - 1e-9:
            loss, fresh = now, False
        else:
            with torch.no_grad():
                for parameter, value in zip(parameters, before, strict=True):
                    parameter.copy_(value)
            if fresh:
                return
            optimizer, fresh = lbfgs(parameters), True
        yield


def lbfgs(parameters: list[nn.Parameter]) -> torch.optim.LBFGS:
    """One step a call."""
    return torch.optim.LBFGS(parameters, max_iter=1, line_search_fn="strong_wolfe")


def finite(value: float) -> float | None:
    """The number, or None where it is none."""
    return value if math.isfinite(value) else None
