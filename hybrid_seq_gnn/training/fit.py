"""Fit a fusion, and nothing else, to what two finished distributions say of held-out items."""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

log = logging.getLogger(__name__)

EDGE = 1e-6  # alpha is kept this far from 0 and 1 while it is fitted: at them, its gradient is no number
STEPS = 100  # of L-BFGS at most
FOLDS = 5


@dataclass(frozen=True)
class Evidence:
    """What both sides say of the held-out item of U users.

    Attributes:
        seq, graph: (U,) log-probability of the item on either side, among all items.
        length: (U,) events before the item.
        states: (U, D) what the sequence side knew.
        alphas: (A,) weights that were tried.
        gains: (U, A) NDCG@10 of each user at each of these weights; None where nobody asked.
    """

    seq: Float[Tensor, "U"]
    graph: Float[Tensor, "U"]
    length: Int[Tensor, "U"]
    states: Float[Tensor, "U D"]
    alphas: Float[Tensor, "A"]
    gains: Float[Tensor, "U A"] | None = None

    def log_likelihood(self, alpha: Float[Tensor, "U"], rows: Tensor | None = None) -> Float[Tensor, ""]:
        """Mean over users (or over `rows` of them) of log(alpha * p_seq + (1 - alpha) * p_graph)."""
        seq, graph = (self.seq, self.graph) if rows is None else (self.seq[rows], self.graph[rows])
        return torch.logaddexp(alpha.log() + seq, torch.log1p(-alpha) + graph).mean()


@runtime_checkable
class Binned(Protocol):
    """A fusion of constants: alpha(n) = values[bin_of(n)]."""

    values: Tensor

    def bin_of(self, length: Int[Tensor, "U"]) -> Int[Tensor, "U"]:
        """Which constant counts."""
        ...


def choose(fusion: Binned, evidence: Evidence, by: str) -> dict[str, Any]:
    """Set each bin's alpha to the best of `evidence.alphas` for the users of that bin.

    Bins share no user, and both criteria are means over users, so the best of each bin is the best of all together.
    A bin without users keeps its alpha; of equals the one nearest to 1/2 wins.

    Args:
        fusion: is changed.
        evidence: with gains, if `by` is ndcg.
        by: `ndcg` or `likelihood`.

    Returns:
        Every candidate of every bin with its NDCG@10 (if known) and log-likelihood, and the chosen alphas.
    """
    bins = fusion.bin_of(evidence.length)
    log_p = torch.logaddexp(
        evidence.alphas.double().log() + evidence.seq.double()[:, None],
        torch.log1p(-evidence.alphas.double()) + evidence.graph.double()[:, None],
    )  # (U, A)
    judged = evidence.gains if by == "ndcg" and evidence.gains is not None else log_p
    candidates: list[dict[str, Any]] = []
    for place in range(len(fusion.values)):
        rows = bins == place
        if not rows.any():
            continue
        scores = judged[rows].double().mean(0)
        ties = torch.where(scores >= scores.max() - 1e-12, (evidence.alphas - 0.5).abs(), torch.inf)
        fusion.values[place] = evidence.alphas[ties.argmin()]
        for a, alpha in enumerate(evidence.alphas.double().tolist()):
            one = {"bin": place, "users": int(rows.sum()), "alpha": round(alpha, 6)}
            one["log_likelihood"] = finite(log_p[rows, a].mean().item())
            if evidence.gains is not None:
                one["NDCG@10"] = evidence.gains[rows, a].mean().item()
            candidates.append(one)
    return {"by": by, "candidates": candidates, "values": fusion.values.tolist()}


def maximise(fusion: nn.Module, evidence: Evidence) -> dict[str, Any]:
    """Maximise the likelihood of the held-out items over the fusion's weights, by L-BFGS over all users at once.

        loss = -mean over users of log(alpha * p_seq + (1 - alpha) * p_graph) + penalty

    How many steps are good for users who are not among those that are fitted is found by cross-validation first: the
    fusion is fitted five times, each time without a fifth of the users, who judge it after every step. A fusion of a
    few weights goes nearly as far as it can; `gated`, with a thousand, is stopped after a few steps (fitted to the end,
    it would learn the users by heart).

    Args:
        fusion: has `alpha(length, states)` and `penalty()`; is changed.
        evidence: of U users.

    Returns:
        The steps, and the mean log-likelihood of either side alone, before, after and in cross-validation.
    """
    everybody = torch.arange(len(evidence.seq), device=evidence.seq.device)
    steps, held_out = best_steps(fusion, evidence, everybody)
    before = likelihood_of(fusion, evidence, everybody)
    for _ in zip(range(steps), climb(fusion, evidence, everybody), strict=False):
        pass
    return {
        "by": "likelihood",
        "steps": steps,
        "log_likelihood": {
            "sequence": finite(evidence.seq.double().mean().item()),
            "graph": finite(evidence.graph.double().mean().item()),
            "before": before,
            "after": likelihood_of(fusion, evidence, everybody),
            "cross_validated": held_out,
        },
    }


def best_steps(fusion: nn.Module, evidence: Evidence, everybody: Tensor) -> tuple[int, float | None]:
    """Steps after which users who were left out find the fusion best, and how good they find it then.

    With fewer than two users a fold nobody can judge: all steps, and None.
    """
    if len(everybody) < 2 * FOLDS:
        return STEPS, None
    total = torch.zeros(STEPS + 1, dtype=torch.float64)
    for k in range(FOLDS):
        copied, judges = copy.deepcopy(fusion), everybody[everybody % FOLDS == k]
        judged = [likelihood_of(copied, evidence, judges)]
        for _ in climb(copied, evidence, everybody[everybody % FOLDS != k]):
            judged.append(likelihood_of(copied, evidence, judges))
        judged += judged[-1:] * (STEPS + 1 - len(judged))  # it stood still before the last step
        total += torch.tensor(judged, dtype=torch.float64) * len(judges)
    best = int(total.argmax())
    return best, total[best].item() / len(everybody)


def likelihood_of(fusion: nn.Module, evidence: Evidence, rows: Tensor) -> float:
    """Mean log-likelihood of some users' items under the fusion as it is."""
    with torch.no_grad():
        return evidence.log_likelihood(alpha_of(fusion, evidence, rows), rows).item()


def alpha_of(fusion: nn.Module, evidence: Evidence, rows: Tensor) -> Float[Tensor, "R"]:
    """The fusion's alpha for some users, kept off the edges."""
    alpha: Tensor = fusion.alpha(evidence.length[rows], evidence.states[rows])  # type: ignore[operator]
    return alpha.double().clamp(EDGE, 1 - EDGE)


def climb(fusion: nn.Module, evidence: Evidence, rows: Tensor) -> Iterator[None]:
    """L-BFGS on some users, a step at a time, until it stands still.

    A step that does not help is taken back, and L-BFGS begins anew from there, without its memory of the past; where
    that does not help either, it is at the top.
    """
    parameters = [p for p in fusion.parameters() if p.requires_grad]
    penalty: Callable[[], Tensor] = fusion.penalty  # type: ignore[assignment]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = penalty() - evidence.log_likelihood(alpha_of(fusion, evidence, rows), rows)
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
