"""Why an item is recommended: the weight of each side, and the events of the history that speak for it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from hybrid_seq_gnn.data.batches import Batch
from hybrid_seq_gnn.evaluation.evaluate import evaluating
from hybrid_seq_gnn.gnn.convolutions import Convolutions
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.interfaces import Scores
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.encoder import Encoder
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.model.markov import Markov
from hybrid_seq_gnn.model.scores import DotScores, MixtureScores
from hybrid_seq_gnn.use.histories import Histories
from hybrid_seq_gnn.use.load import Trained
from hybrid_seq_gnn.use.recommend import batches

LAST = 20  # latest events that may speak for an item through the edges of a graph network
MOST = 3  # reasons for an item
TINY = 1e-30  # instead of a sum that is 0


@dataclass(frozen=True)
class Explained:
    """Why K items are recommended to U users.

    Attributes:
        alpha: (U,) weight of the sequence side; None if nothing is mixed. NaN for an empty history.
        share: (U, K) share of the sequence side in the score, from 0 to 1; NaN where it cannot be told.
        reasons: (U, K, E) numbers of the items of the history that speak most for the item, the strongest first; 0
            where there are fewer than E.
        weights: (U, K, E) how much each of them does; all items of the history together have 1.
    """

    alpha: np.ndarray | None
    share: np.ndarray
    reasons: np.ndarray
    weights: np.ndarray


def explain(trained: Trained, histories: Histories, items: np.ndarray, most: int = MOST) -> Explained:
    """Why a model gives items their scores.

    The share of the sequence side in the score of item j:

        fusion.level=score, mix=linear:     alpha p_seq(j) / (alpha p_seq(j) + (1 - alpha) p_graph(j))
        fusion.level=score, mix=geometric:  s / (s + g),  s = max(0, alpha (log p_seq(j) - mean over items of it))
                                                          g = max(0, (1 - alpha) (log p_graph(j) - mean of it))
        fusion.level=embedding:             the same with h . E[j] and h . G[j] for the logarithms
        no fusion:                          1 for a sequence model, NaN for any other

    It is NaN where both s and g are 0, and with fusion.side=input, whose scores cannot be split.

    The weight of item i of the history, before the weights of an item j are divided by their sum:

        a memory:                 `Evidence.reasons`
        graph networks:           A[i, j] + A[j, i], the edges between j and the last 20 events (sage, gat, gatv2: 1)
        gnn=evidence, transitions at fusion.level=embedding:   C[i, j] / R[i] of the last 20 events
        ease, item_knn, markov:   the summand of i in the score of j, where it is positive
        other models:             0

    The weights of an item that a history has more than once are added.

    Args:
        items: (U, K) numbers; 0 is no item.
        most: E, see `Explained`.

    Shape:
        Memory: users at a time * K * (events that may speak, or for a memory N).
    """
    shape = items.shape
    alpha: np.ndarray | None = None
    share = np.full(shape, np.nan, dtype=np.float32)
    reasons, weights = np.zeros((*shape, most), dtype=np.int64), np.zeros((*shape, most), dtype=np.float32)
    contributions = contributions_of(trained.model)
    for rows, batch, _ in batches(trained, histories):
        chosen = torch.from_numpy(items[rows]).to(trained.device)
        with evaluating(trained.model):
            found: Scores = trained.model.next_item_scores(batch)  # type: ignore[operator]
            seq_share = share_of(trained.model, found, chosen).masked_fill(chosen == 0, torch.nan)
            share[rows] = seq_share.float().cpu().numpy()
            if contributions is not None:
                best = strongest(*contributions(batch, chosen), most)
                width = best[0].shape[-1]
                reasons[rows, :, :width], weights[rows, :, :width] = (part.cpu().numpy() for part in best)
        if found.alpha is not None:
            alpha = np.full(len(items), np.nan) if alpha is None else alpha
            alpha[rows] = found.alpha.cpu().numpy()
    weights[items == 0] = 0.0
    reasons[weights == 0] = 0
    return Explained(alpha, share, reasons, weights)


def because(reasons: np.ndarray, weights: np.ndarray, name: Callable[[int], str]) -> str:
    """The reasons for one item as text, at most `MOST`, without those that would read 0.00.

    Args:
        reasons, weights: (E,) of `Explained`.
        name: of an item, by its number.

    Example:
        >>> because(np.array([7, 3, 0]), np.array([0.42, 0.13, 0.0]), {7: "Titanic", 3: "Alien"}.__getitem__)
        'Titanic (0.42), Alien (0.13)'
    """
    pairs = zip(reasons.tolist(), weights.tolist(), strict=True)
    texts = [f"{name(item)} ({weight:.2f})" for item, weight in pairs if item and weight >= 0.005]
    return ", ".join(texts[:MOST])


def share_of(model: nn.Module, found: Scores, items: Int[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """The share of the sequence side in the scores of items, see `explain`."""
    if isinstance(found, MixtureScores):
        seq, graph = found.sides()
        alpha = found.alpha.unsqueeze(1)
        if not found.geometric:
            seq, graph = seq.gather(1, items), graph.gather(1, items)
            return torch.sigmoid((alpha.log() + seq) - (torch.log1p(-alpha) + graph))
    elif isinstance(model, Hybrid) and model.fusion.fuses_candidates:
        assert isinstance(found, DotScores) and found.alpha is not None
        seq, graph = embedding_sides(model, found)
        alpha = found.alpha.unsqueeze(1)
    else:
        alone = isinstance(model, Encoder) and not isinstance(model, Hybrid)
        return torch.full(items.shape, 1.0 if alone else torch.nan, device=items.device)
    for_it = [part.gather(1, items) - part[:, 1:].mean(1, keepdim=True) for part in (seq, graph)]
    s, g = (alpha * for_it[0]).clamp(min=0), ((1 - alpha) * for_it[1]).clamp(min=0)
    return s / (s + g)


def embedding_sides(model: Hybrid, found: DotScores) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
    """h . E[j] and h . G[j] of all items; an adaptive fusion has [alpha h, (1 - alpha) h] as its query."""
    query, seq, graph = found.query, model.encoder.items.weight, model.graph_table()
    assert graph is not None
    if model.fusion.adaptive:
        query = query[:, : seq.shape[1]] + query[:, seq.shape[1] :]
    if model.encoder.cosine is not None:
        seq, graph = normalize(seq), normalize(graph)
    return query @ seq.T, query @ graph.T


Contributions = Callable[
    [Batch, Int[Tensor, "B K"]], tuple[Int[Tensor, "B E"], Float[Tensor, "B K E"]]
]  # the latest events, latest first, 0 before the first one; how much each contributes to each item


def contributions_of(model: nn.Module) -> Contributions | None:
    """How to tell what each event of a history contributes; None where that cannot be told from single events."""
    if isinstance(model, EASE):
        return from_history(lambda i, j: model.weights[i, j], model.recency)
    if isinstance(model, ItemKNN):
        return from_history(lambda i, j: model.similar[i, j], model.recency)
    if isinstance(model, Markov):
        follows = edges(*model.follows.edges(), model.follows.get_buffer("value"), model.size)
        return from_history(lambda i, j: follows(j, i), model.recency)
    if not isinstance(model, Hybrid):
        return None
    gnn: object = model.gnn
    if isinstance(gnn, Evidence):
        return from_memory(gnn) if model.scores_from_memory else from_graph(lambda i, j: probability(gnn, i, j))
    adjacency = getattr(gnn, "adjacency", None)
    if not isinstance(adjacency, SparseMatrix):
        return None
    value = adjacency.get_buffer("value")
    if isinstance(gnn, Convolutions):  # which know only whether there is an edge
        value = torch.ones_like(value)
    weight = edges(*adjacency.edges(), value, adjacency.size)
    return from_graph(lambda i, j: weight(i, j) + weight(j, i))


PairWeight = Callable[[Tensor, Tensor], Tensor]  # of the pairs of two arrays of items, which broadcast


def from_history(weight: PairWeight, recency: float) -> Contributions:
    """A model whose score is a sum over the items of a history, each weighed by its latest event."""

    def contributions(batch: Batch, items: Tensor) -> tuple[Tensor, Tensor]:
        events = latest(batch, batch.items.shape[1])
        steps = torch.arange(events.shape[1], device=events.device)
        value = weight(events.unsqueeze(1), items.unsqueeze(2)) * recency**steps
        earlier = group_items(events)[1] | (events == 0)
        return events, value.masked_fill(earlier.unsqueeze(1), 0.0).clamp(min=0)

    return contributions


def from_graph(weight: PairWeight) -> Contributions:
    """The edges between items and the latest events."""

    def contributions(batch: Batch, items: Tensor) -> tuple[Tensor, Tensor]:
        events = latest(batch, LAST)
        return events, weight(events.unsqueeze(1), items.unsqueeze(2))

    return contributions


def from_memory(memory: Evidence) -> Contributions:
    """What a memory says of its own reasons."""

    def contributions(batch: Batch, items: Tensor) -> tuple[Tensor, Tensor]:
        events, count = latest(batch, memory.last), items.shape[1]
        weights = memory.reasons(events.repeat_interleave(count, dim=0), items.clamp(min=1).flatten())
        return events, weights.view(len(events), count, -1)

    return contributions


def probability(memory: Evidence, events: Int[Tensor, "B 1 E"], items: Int[Tensor, "B K 1"]) -> Float[Tensor, "B K E"]:
    """C[i, j] / R[i], with which a memory smooths the item table."""
    recent = events.expand(-1, items.shape[1], -1).flatten(0, 1)
    count = memory.successors.count_of(recent, items.flatten()) / memory.successors.total[recent].clamp(min=TINY)
    return count.view(len(items), items.shape[1], -1)


def edges(row: Int[Tensor, "G"], column: Int[Tensor, "G"], value: Float[Tensor, "G"], size: int) -> PairWeight:
    """The value of the edges from i to j, 0 where there is none. Padding has no edge."""
    key, order = (row * size + column).sort()
    value = value[order]

    def weight(i: Tensor, j: Tensor) -> Tensor:
        wanted = i * size + j
        if not len(key):
            return value.new_zeros(wanted.shape)
        place = torch.searchsorted(key, wanted).clamp_(max=len(key) - 1)
        return torch.where(key[place] == wanted, value[place], 0.0)

    return weight


def latest(batch: Batch, most: int) -> Int[Tensor, "B E"]:
    """The `most` latest events of each user, latest first; 0 before the first one."""
    size = (batch.items > 0).sum(1, keepdim=True)
    place = size - 1 - torch.arange(most, device=size.device)
    return batch.items.gather(1, place.clamp(min=0)).masked_fill(place < 0, 0)


def group_items(events: Int[Tensor, "B E"]) -> tuple[Int[Tensor, "B E"], Bool[Tensor, "B E"]]:
    """The number of each event's item among those of its row, and whether a later event has the same item."""
    ordered, order = events.sort(dim=1, stable=True)
    again = pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
    number = (~again).cumsum(1) - 1
    return torch.zeros_like(number).scatter(1, order, number), torch.zeros_like(again).scatter(1, order, again)


def strongest(
    events: Int[Tensor, "B E"], weight: Float[Tensor, "B K E"], most: int
) -> tuple[Int[Tensor, "B K most"], Float[Tensor, "B K most"]]:
    """The items of the largest weights, which sum to 1 over all events; of equal ones the latest first."""
    number, again = (part.unsqueeze(1).expand_as(weight) for part in group_items(events))
    total = torch.zeros_like(weight).scatter_add(2, number, weight).gather(2, number).masked_fill(again, 0.0)
    total = total / total.sum(2, keepdim=True).clamp(min=TINY)
    best, place = total.sort(dim=2, descending=True, stable=True)
    return events.unsqueeze(1).expand_as(weight).gather(2, place)[:, :, :most], best[:, :, :most]
