"""The rank of the held-out item among all items."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def mask_history(
    scores: Float[Tensor, "B N"], history: Int[Tensor, "B H"], target: Int[Tensor, "B"]
) -> Float[Tensor, "B N"]:
    """Take padding (item 0) and each user's history out of the ranking, but never the target itself.

    An item that the user had before and has again (repeat consumption) is still a fair target. A -inf of the model's
    own (log 0, an overflow) becomes the lowest number, so that -inf says "no candidate" and nothing else: a model that
    gives -inf to all items ranks last, not first.

    Shape:
        history: 0-padded. Returns new scores with -inf where an item is no candidate.
    """
    column = target.unsqueeze(1)
    masked = scores.clamp(min=torch.finfo(scores.dtype).min)  # NaN stays NaN
    chosen = masked.gather(1, column)
    masked.scatter_(1, history, -torch.inf)
    masked[:, 0] = -torch.inf
    return masked.scatter_(1, column, chosen)


def rank_of_target(scores: Float[Tensor, "B N"], target: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """1 + the number of other candidates that do not score below the target; candidates score above -inf.

    Ties count against the model, so that a constant scorer ranks last and not first. So does NaN: a score that is no
    number is never below the target, and a target without a score ranks behind every candidate.

    Shape:
        scores: (B, N). target: (B,) columns. Returns (B,), from 1 to the number of candidates.
    """
    chosen = scores.gather(1, target.unsqueeze(1))
    ahead = ~(scores < chosen) & (scores != -torch.inf)
    ahead.scatter_(1, target.unsqueeze(1), True)  # the target itself is the 1
    return ahead.sum(1)
