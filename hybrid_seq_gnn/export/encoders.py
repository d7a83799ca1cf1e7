"""The state of each encoder after the latest event of one history.

The models work on packed batches, whose layout depends on the data and cannot be traced. A single history needs no
padding, so attention here is dense; everything else is the trained modules' own code.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from hybrid_seq_gnn.model.bert4rec import BERT4Rec
from hybrid_seq_gnn.model.caser import Caser
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.ensemble import Ensemble
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.layers import AttentionLayout
from hybrid_seq_gnn.model.sasrec import SASRec


class SingleHistoryLayout(AttentionLayout):
    """The layout of one history of T events: one group without padding."""

    def __init__(self, length: int, causal: bool) -> None:
        self.groups, self.queries, self.causal, self.even = [(1, length, None)], None, causal, True


def attended(blocks: nn.ModuleList, x: Float[Tensor, "T D"], causal: bool) -> Float[Tensor, "1 D"]:
    """x after all blocks, at the latest position."""
    layout = SingleHistoryLayout(x.shape[0], causal)
    for block in blocks:
        x = block(x, layout)
    return x[-1:]


def of_sasrec(model: SASRec, inputs: Float[Tensor, "T D"]) -> Float[Tensor, "1 D"]:
    """Positions count back from the latest event."""
    places = model.positions.weight[: inputs.shape[0]].flip(0)
    state: Tensor = model.norm(attended(model.blocks, inputs + places, causal=True))
    return state


def of_bert4rec(model: BERT4Rec, inputs: Float[Tensor, "T D"]) -> Float[Tensor, "1 D"]:
    """The state of the masked place after the history."""
    x = torch.cat([inputs, model.mask.unsqueeze(0)])
    places = model.positions.weight[: inputs.shape[0] + 1].flip(0)
    state: Tensor = model.norm(attended(model.blocks, x + places, causal=False))
    return state


def of_gru4rec(model: GRU4Rec, inputs: Float[Tensor, "T D"]) -> Float[Tensor, "1 D"]:
    """One step of all layers per event; `nn.GRU` itself is traced for one length only."""
    layers = model.gru.all_weights

    def step(state: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
        hidden = []
        for k, weights in enumerate(layers):
            event = torch.gru_cell(event[None], state[k : k + 1], *weights)[0]
            hidden.append(event)
        new = torch.stack(hidden)
        return new, new[-1].clone()

    last, _ = scan(step, inputs.new_zeros(len(layers), model.gru.hidden_size), inputs)
    state: Tensor = model.project(last[-1:])
    return state


def of_caser(model: Caser, inputs: Float[Tensor, "T D"]) -> Float[Tensor, "1 D"]:
    """The filters on the last window, with zeros before the first event."""
    window = F.pad(inputs, (0, 0, model.window, 0))[-model.window :].T.unsqueeze(0)  # (1, D, L)
    runs = [F.relu(conv(window)).amax(2) for conv in model.horizontal]
    state: Tensor = model.project(torch.cat([*runs, model.vertical(window).flatten(1)], dim=1))
    return state


STATES: dict[type[Encoder], Any] = {
    SASRec: of_sasrec,
    GRU4Rec: of_gru4rec,
    BERT4Rec: of_bert4rec,
    Caser: of_caser,
}


def last_state(model: Encoder, history: Int[Tensor, "1 T"]) -> Float[Tensor, "1 D"]:
    """The state after the latest event; of an ensemble, those of its members side by side."""
    if isinstance(model, Ensemble):
        return torch.cat([last_state(member, history) for member in model.members], dim=1)  # type: ignore[arg-type]
    return state_of(model, model.items(history[0]))


def state_of(model: Encoder, inputs: Float[Tensor, "T D"]) -> Float[Tensor, "1 D"]:
    """The state after inputs that may be mixed with a graph."""
    state: Tensor = STATES[type(model)](model, inputs)
    return state
