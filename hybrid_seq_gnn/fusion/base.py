"""What every fusion shares: the mix, and the sides of the model on which it acts."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

Side = Literal["both", "input", "candidate"]


class Fusion(nn.Module):
    """Convex mix of the sequence view and the graph view of an item.

        fused = alpha(n) * seq + (1 - alpha(n)) * graph

    A fusion is a subclass that says what `alpha` is.

    Args:
        side: where item embeddings are mixed: `input` (the items that the sequence model reads), `candidate` (the items
            that it scores) or `both`. The other side uses the sequence view alone.

    Shape:
        seq, graph: (*batch, D). length: (*batch), events before truncation. Callers gather the rows that they need
        first, so that no (batch, items, D) tensor is ever made.
    """

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.fuses_inputs = side in ("both", "input")
        self.fuses_candidates = side in ("both", "candidate")

    @property
    def adaptive(self) -> bool:
        """Whether alpha depends on the length; if not, one fused table serves all rows."""
        return True

    def alpha(self, length: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Weight of the sequence side, in [0, 1], for histories of `length` events."""
        raise TypeError(f"{type(self).__name__} does not say what alpha is.")

    def mix(
        self, seq: Float[Tensor, "*batch D"], graph: Float[Tensor, "*batch D"], length: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch D"]:
        """The formula above."""
        alpha = self.alpha(length).unsqueeze(-1)
        return alpha * seq + (1 - alpha) * graph
