"""The rank of the held-out item among all items."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def mask_history(
    scores: Float[Tensor, "B N"], history: Int[Tensor, "B H"], target: Int[Tensor, "B"]
) -> Float[Tensor, "B N"]:
    """Remove padding (item 0) and each user's history from the ranking, but never the target itself.

    A target that is also in the history (repeat consumption) stays in the ranking. Scores of -inf from the model
    itself (log 0, overflow) become the lowest finite number, so that -inf only ever means "not a candidate": a model
    that gives -inf to all items ranks last, not first.

    Shape:
        history: padded with 0. Returns new scores, -inf where an item is not a candidate.
    """
    column = target.unsqueeze(1)
    masked = scores.clamp(min=torch.finfo(scores.dtype).min)  # NaN stays NaN
    chosen = masked.gather(1, column)
    masked.scatter_(1, history, -torch.inf)
    masked[:, 0] = -torch.inf
    return masked.scatter_(1, column, chosen)


def rank_of_target(scores: Float[Tensor, "B N"], target: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """1 + the number of other candidates that do not score below the target. Candidates are items above -inf.

    Ties count against the model, so a constant scorer ranks last, not first. NaN counts against it too: a NaN score is
    never below the target, and a target with a NaN score ranks behind every candidate.

    Shape:
        scores: (B, N). target: (B,) columns. Returns (B,), from 1 to the number of candidates.
    """
    chosen = scores.gather(1, target.unsqueeze(1))
    ahead = ~(scores < chosen) & (scores != -torch.inf)
    ahead.scatter_(1, target.unsqueeze(1), True)  # the target counts itself: the 1 of the formula
    return ahead.sum(1)
