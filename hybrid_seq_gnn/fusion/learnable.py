"""A learned weight for each of three bins of history length."""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.fusion.base import HIGH, LOW, Fusion, Level, Mix, Side, length_limits
from hybrid_seq_gnn.limits import NotNegative

Bounded = Annotated[float, Interval(ge=LOW, le=HIGH)]


class Learnable(Fusion):
    """One alpha per bin, learned with the model and kept in [0.1, 0.9].

        sigmoid:  alpha_b = 0.1 + 0.8 * sigmoid(theta_b), with theta_b set so that training starts exactly at init_b
        clamp:    alpha_b = min(max(theta_b, 0.1), 0.9),  theta_b starts at init_b

        loss = ... + l2_weight * sum_b (alpha_b - towards_b)^2,  towards_b = init_b or 0

    The first study of this project used `clamp` and a penalty towards `zero`. Both have a flaw: a clamp has no gradient
    beyond its limits, so an alpha that gets there stays there; and a penalty towards zero pulls every alpha to the
    graph side, however good the sequence side is. The defaults avoid both.

    Args:
        init_short, init_mid, init_long: initial weights of the sequence side, in [0.1, 0.9] (strictly inside for
            `sigmoid`).
        L_short, L_long: maximum length of a short and of a medium history, in events.
        constraint: how alpha is kept in its interval.
        l2_weight: weight of the penalty.
        l2_towards: the value that the penalty pulls alpha to.
        level, side, mix: see `Fusion`.

    Raises:
        UserError: an initial weight is out of range, the limits are not increasing, or l2_weight is negative.
    """

    def __init__(
        self,
        *,
        init_short: Bounded = 0.4,
        init_mid: Bounded = 0.5,
        init_long: Bounded = 0.6,
        L_short: int = 10,
        L_long: int = 50,
        constraint: Literal["sigmoid", "clamp"] = "sigmoid",
        l2_weight: NotNegative = 0.01,
        l2_towards: Literal["init", "zero"] = "init",
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__(level, side, mix)
        start = {"init_short": init_short, "init_mid": init_mid, "init_long": init_long}
        for name, value in start.items():
            if constraint == "sigmoid" and value in (LOW, HIGH):
                raise UserError(f"fusion.{name}={value}: must lie strictly between {LOW} and {HIGH} to be learned.")
        init = torch.tensor(list(start.values()))
        self.constraint, self.l2_weight = constraint, l2_weight
        self.theta = nn.Parameter(torch.logit((init - LOW) / (HIGH - LOW)) if constraint == "sigmoid" else init.clone())
        self.register_buffer("limits", length_limits(L_short, L_long), persistent=False)
        self.register_buffer("towards", init if l2_towards == "init" else torch.zeros(3), persistent=False)

    limits: Tensor
    towards: Tensor

    def bins(self) -> Float[Tensor, "3"]:
        """alpha of short, medium and long histories."""
        if self.constraint == "clamp":
            return self.theta.clamp(LOW, HIGH)
        return LOW + (HIGH - LOW) * torch.sigmoid(self.theta)

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        return self.bins()[torch.bucketize(length, self.limits)]

    def penalty(self) -> Float[Tensor, ""]:
        """l2_weight * sum of squared distances to `towards`."""
        return self.l2_weight * (self.bins() - self.towards).square().sum()
