"""A memory of item transitions; nothing is learned."""

from jaxtyping import Float, Int
from torch import Tensor

from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import Split
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.limits import AtLeast1, Decay, Weight


class Transitions(Evidence):
    """The `rows` distribution of `Evidence` with a narrower window; uniform if nothing ever followed any i_k.

        p(j) = sum_k recency ** k * C[i_k, j] * R[i_k] ** -exponent  /  the sum of it over items

    Args:
        sequences, split, window, decay, last, recency, exponent: see `Evidence`.
    """

    def __init__(
        self,
        sequences: Sequences,
        split: Split,
        *,
        window: AtLeast1 = 3,
        decay: Decay = 0.7,
        last: AtLeast1 = 20,
        recency: Decay = 0.8,
        exponent: Weight = 0.75,
    ) -> None:
        super().__init__(
            sequences,
            split,
            read="rows",
            window=window,
            decay=decay,
            last=last,
            recency=recency,
            exponent=exponent,
        )

    def prior_of(self, targets: Int[Tensor, "R"], leave_out: bool) -> Float[Tensor, "R"]:
        return self.prior[targets]

    def make_prior(self) -> Float[Tensor, "N"]:
        """Uniform over items; 0 for padding."""
        uniform = self.events.new_full((self.size,), 1 / (self.size - 1))
        uniform[0] = 0.0
        return uniform
