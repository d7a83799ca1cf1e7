"""A small network that computes alpha for each user."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.fusion.base import Fusion, Level, Mix, Side
from hybrid_seq_gnn.limits import AtLeast1, Inside


class Gated(Fusion):
    """alpha from the history length n and the state h of the sequence side.

        alpha(n, h) = sigmoid(u . tanh(W [log(1 + n); h] + c) + d)

    u starts at zero and d at logit(init), so training starts with the same alpha for all users.

    Args:
        embedding_dim: D, width of the state.
        hidden_dim: width of the hidden layer.
        init: initial alpha, in (0, 1).
        level, side, mix: see `Fusion`.

    Raises:
        UserError: init is outside (0, 1), or hidden_dim is not positive.
    """

    reads_state: ClassVar[bool] = True

    def __init__(
        self,
        embedding_dim: int,
        *,
        hidden_dim: AtLeast1 = 16,
        init: Inside = 0.5,
        level: Level = "score",
        side: Side = "both",
        mix: Mix = "geometric",
    ) -> None:
        super().__init__(level, side, mix)
        self.hidden = nn.Linear(1 + embedding_dim, hidden_dim)
        self.out = nn.Linear(hidden_dim, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, torch.logit(torch.tensor(init)).item())

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        weight = self.hidden.weight
        log_length = torch.log1p(length.to(weight.dtype)).unsqueeze(-1)
        if state is None:
            state = weight.new_zeros(*length.shape, weight.shape[1] - 1)
        gate: Tensor = self.out(torch.tanh(self.hidden(torch.cat([log_length, state], dim=-1))))
        return torch.sigmoid(gate).squeeze(-1)
