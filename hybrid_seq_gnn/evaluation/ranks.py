"""The rank of the held-out item among all items."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rank_of_target(
    scores: Float[Tensor, "B N"], target: Int[Tensor, "B"], history: Int[Tensor, "B H"] | None = None
) -> Int[Tensor, "B"]:
    """1 + the number of other candidates that do not score below the target.

    Ties count against the model, so a constant scorer ranks last, not first. NaN counts against it too: a NaN score is
    never below the target, and a target with a NaN score ranks behind every candidate. So does a target with a score
    of -inf (log 0, overflow).

    Args:
        history: items that are no candidates, and with them padding (item 0); in any order, also repeated. The target
            stays a candidate if it is among them (repeat consumption). None means that all columns are candidates.

    Shape:
        scores: (B, N). target: (B,) columns. history: padded with 0. Returns (B,), from 1 to the number of candidates.
    """
    column = target.unsqueeze(1)
    chosen = scores.gather(1, column)
    below = (scores < chosen).sum(1)
    candidates = torch.full_like(below, scores.shape[1])
    if history is not None:
        history = torch.cat([torch.zeros_like(column), history], dim=1).sort(1).values
        counts = history != column
        counts[:, 1:] &= history[:, 1:] != history[:, :-1]  # each item once
        below -= ((scores.gather(1, history) < chosen) & counts).sum(1)
        candidates -= counts.sum(1)
    return candidates - below
