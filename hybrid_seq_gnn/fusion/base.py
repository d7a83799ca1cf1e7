"""What every fusion shares: the mix, and where it acts."""

import itertools
import math
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybrid_seq_gnn.limits import Limited

Side = Literal["both", "input", "candidate"]
Level = Literal["embedding", "score"]
Mix = Literal["linear", "geometric"]


class Fusion(Limited, nn.Module):
    """Convex mix of the sequence view and the graph view.

        embedding level:           item = alpha(n) * seq + (1 - alpha(n)) * graph
        score level, linear:    p(next) = alpha(n) * p_seq(next) + (1 - alpha(n)) * p_graph(next)
        score level, geometric: p(next) = p_seq(next)^alpha(n) * p_graph(next)^(1 - alpha(n)) / Z

    where Z makes the sum over all items 1. A linear mixture likes what either side likes, a geometric one what both
    sides can agree on. A fusion is a subclass that says what `alpha` is.

    Args:
        level: `score` mixes the two distributions of the next item, `embedding` the two embeddings of an item.
        side: at the embedding level, what is mixed: `input` (the items that the sequence model reads), `candidate` (the
            items that it scores) or `both`; the other side uses the sequence view alone. At the score level it has no
            meaning: the sequence model stays as it is.
        mix: how the score level mixes, see above. At the embedding level it has no meaning.

    Shape:
        seq, graph: (*batch, D). length: (*batch), events before truncation. Callers gather the rows that they need
        first, so that no (batch, items, D) tensor is ever made.
    """

    def __init__(self, level: Level, side: Side, mix: Mix) -> None:
        super().__init__()
        self.level = level
        self.geometric = mix == "geometric"
        self.fuses_inputs = level == "embedding" and side in ("both", "input")
        self.fuses_candidates = level == "embedding" and side in ("both", "candidate")

    @property
    def adaptive(self) -> bool:
        """Whether alpha depends on length or state; if not, one fused table serves all rows."""
        return True

    @property
    def unset(self) -> bool:
        """Whether a constant of it is yet to be chosen, on the validation split; until then alpha is NaN there."""
        return False

    def alpha(
        self, length: Int[Tensor, "*batch"], state: Float[Tensor, "*batch D"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Weight of the sequence side, in [0, 1], for histories of `length` events.

        `state` is what the sequence side knows there: the item's embedding on the input side, the encoder's state
        elsewhere. Fusions by length alone do not look at it.
        """
        raise TypeError(f"{type(self).__name__} does not say what alpha is.")

    def mix(
        self, seq: Float[Tensor, "*batch D"], graph: Float[Tensor, "*batch D"], length: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch D"]:
        """The formula of the embedding level."""
        alpha = self.alpha(length, seq).unsqueeze(-1)
        return alpha * seq + (1 - alpha) * graph

    def penalty(self) -> Float[Tensor, ""]:
        """What the fusion adds to the loss."""
        return torch.zeros(())

    def curve(self, lengths: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """alpha over lengths, without gradients; for fusions that look at the state, at a state of zeros."""
        with torch.no_grad():
            return self.alpha(lengths)


def or_nan(weights: Iterable[float | None]) -> Float[Tensor, "n"]:
    """Weights as a tensor; None, which is yet to be chosen, as NaN."""
    return torch.tensor([math.nan if weight is None else weight for weight in weights])


def check_increasing(**values: float) -> None:
    """Raise ValueError, in the words of the command line, where lengths are not positive and in order."""
    ordered = list(values.values())
    if ordered[0] <= 0 or any(a >= b for a, b in itertools.pairwise(ordered)):
        given = " ".join(f"fusion.{name}={value}" for name, value in values.items())
        raise ValueError(f"{given}: expected 0 < {' < '.join(values)}, in events.")
