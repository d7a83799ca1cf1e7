"""The base class of fusions: how the two views are mixed, and at which level."""

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.limits import Limited

Side = Literal["both", "input", "candidate"]
Level = Literal["embedding", "score"]
Mix = Literal["linear", "geometric"]
LOW, HIGH = 0.1, 0.9  # bounds of alpha where a fusion keeps both sides in


class Fusion(Limited, nn.Module):
    """Convex mix of the sequence view and the graph view.

        embedding level:           item = alpha(n) * seq + (1 - alpha(n)) * graph
        score level, linear:    p(next) = alpha(n) * p_seq(next) + (1 - alpha(n)) * p_graph(next)
        score level, geometric: p(next) = p_seq(next)^alpha(n) * p_graph(next)^(1 - alpha(n)) / Z

    where Z normalises the sum over all items to 1. A linear mixture ranks an item high if either side does, a geometric
    one if both do. Both sides are distributions over all items; a ranking takes the history out of the mixture. So in a
    linear one, a side that puts more of its probability on the history weighs less in the ranking than alpha says. A
    subclass defines `alpha`.

    Args:
        level: `score` mixes the two distributions of the next item, `embedding` the two embeddings of an item.
        side: which embeddings the embedding level mixes: `input` (items that the sequence model reads), `candidate`
            (items that it scores) or `both`; the other side uses the sequence view alone. Ignored at the score level,
            which leaves the sequence model unchanged.
        mix: how the score level mixes, see above. Ignored at the embedding level.

    Shape:
        seq, graph: (*batch, D). length: (*batch), events before truncation. Callers gather the rows that they need
        first, so that no (batch, items, D) tensor is created.

    Attributes:
        reads_state: alpha depends on the state, and so on the very encoder that it was fitted to.
    """

    reads_state: ClassVar[bool] = False

    def __init__(self, level: Level, side: Side, mix: Mix) -> None:
        super().__init__()
        self.level = level
        self.geometric = mix == "geometric"
        self.fuses_inputs = level == "embedding" and side in ("both", "input")
        self.fuses_candidates = level == "embedding" and side in ("both", "candidate")

    @property
    def adaptive(self) -> bool:
        """Whether alpha depends on length or state; if not, all rows share one fused table."""
        return True

    @property
    def unset(self) -> bool:
        """Whether a weight is still to be chosen on the validation split; it is NaN until then."""
        return False

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Weight of the sequence side, in [0, 1], for histories of `length` events.

        `state` comes from the sequence side: the item's embedding on the input side, the encoder's state elsewhere.
        Fusions by length alone ignore it.
        """
        raise TypeError(f"{type(self).__name__} must implement alpha().")

    def mix(
        self, seq: Float[Tensor, "*batch D"], graph: Float[Tensor, "*batch D"], length: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch D"]:
        """Mix two embeddings, as in the formula of the embedding level."""
        return torch.lerp(graph.to(seq.dtype), seq, self.alpha(length, seq).unsqueeze(-1).to(seq.dtype))

    def penalty(self) -> Float[Tensor, ""]:
        """Term that the fusion adds to the loss."""
        return torch.zeros(())


class Binned(Fusion):
    """A constant weight for each bin of lengths: alpha(n) = values[bin_of(n)]. A subclass defines `bin_of`.

    Args:
        values: a weight for each bin; None is chosen on the validation split (`training=post_hoc`), and NaN until then.
        level, side, mix: see `Fusion`.
    """

    values: Tensor

    def __init__(self, values: Iterable[float | None], level: Level, side: Side, mix: Mix) -> None:
        super().__init__(level, side, mix)
        self.register_buffer("values", torch.tensor([math.nan if value is None else value for value in values]))

    @property
    def unset(self) -> bool:
        return bool(self.values.isnan().any())

    def bin_of(self, length: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        raise TypeError(f"{type(self).__name__} must implement bin_of().")

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        return self.values[self.bin_of(length)]


def length_limits(L_short: int, L_long: int) -> Int[Tensor, "2"]:
    """The longest short and the longest medium history, in events.

    Raises:
        UserError: not 0 < L_short < L_long.
    """
    if not 0 < L_short < L_long:
        raise UserError(f"fusion.L_short={L_short} fusion.L_long={L_long}: expected 0 < L_short < L_long, in events.")
    return torch.tensor([L_short, L_long])
