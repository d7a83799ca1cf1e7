"""Why an item was recommended, against the formulas written slowly with dense matrices."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.evaluation.evaluate import evaluating
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.fusion.length_gate import LengthGate
from hybrid_seq_gnn.gnn.evidence import Evidence
from hybrid_seq_gnn.gnn.gat import GAT
from hybrid_seq_gnn.gnn.lightgcn import LightGCN
from hybrid_seq_gnn.gnn.none import NoGraph
from hybrid_seq_gnn.gnn.transitions import Transitions
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.graph.transition import Transition
from hybrid_seq_gnn.model.ease import EASE
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.item_knn import ItemKNN
from hybrid_seq_gnn.model.markov import Markov
from hybrid_seq_gnn.model.popularity import PopularityRecommender
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.use.explain import LAST, because, explain
from hybrid_seq_gnn.use.histories import Histories
from hybrid_seq_gnn.use.load import Trained
from tests.conftest import leave_last_two_out, make_sequences
from tests.gnn.test_evidence import READS, SETTINGS, count_rows
from tests.model.test_sasrec import batch_of

N = 14
ROWS = [[3, 1, 4, 1, 5], [2, 6, 5, 3, 5, 8, 9, 7], [], [14, 2]]
CHOSEN = np.array([[2, 7, 9], [1, 4, 14], [1, 2, 3], [5, 6, 0]])
SIZE = {"embedding_dim": 8, "num_heads": 2, "max_length": 30}


@pytest.fixture(scope="module")
def world():
    sequences = make_sequences([3, 5, 8, 12, 30, 7, 4, 25], num_items=N)
    return sequences, leave_last_two_out(sequences)


def trained(model):
    config = {"model": {"_target_": "x.Hybrid"}}
    ids = np.arange(1, N + 1) * 10
    return Trained(Path(), config, model.double().eval(), ids, np.zeros(len(ids) + 1), "", torch.device("cpu"))


def histories(rows=ROWS):
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Histories(np.arange(len(rows)), indptr, np.array([item for row in rows for item in row], dtype=np.int64))


def hybrid(world, fusion, gnn="evidence", graph=None, **settings):
    torch.manual_seed(0)
    adjacency = (graph or Cooccurrence()).build(*world).adjacency()
    made = {
        "evidence": lambda: Evidence(*world, **SETTINGS),
        "transitions": lambda: Transitions(*world),
        "lightgcn": lambda: LightGCN(N, 8, adjacency),
        "gat": lambda: GAT(N, 8, adjacency),
        "none": NoGraph,
    }
    model = Hybrid(N, made[gnn](), fusion, **SIZE, **settings).double()
    for table in (model.encoder.items, model.graph_items):
        if table is not None:
            table.weight.data[1:] = torch.randn(N, 8, dtype=torch.float64)
    return model


def explained(model, most=N):
    return explain(trained(model), histories(), CHOSEN, most)


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum())


def sides(model, row):
    """What the two sides say of items 1..N after one history: log-probabilities, or dot products of embeddings."""
    batch = batch_of(row)
    with evaluating(model):
        if model.fusion.level == "score":
            found = model.next_item_scores(batch)
            both = found.seq.all(), found.graph.all()
            return [log_softmax(side[0, 1:].numpy()) for side in both]
        graph = model.graph_table()
        h = model.read(model.encoder.to_rank(batch), graph)[0]
        tables = [model.encoder.items.weight, graph]
        if (cosine := model.encoder.cosine) is not None:
            h, tables = h / h.norm() / cosine, [t / t.norm(dim=1, keepdim=True).clamp(min=1e-12) for t in tables]
        return [(table @ h)[1:].numpy() for table in tables]


def slow_share(model, row, item, linear=False):
    alpha = model.fusion.alpha(torch.tensor([len(row)])).item()
    seq, graph = sides(model, row)
    if linear:
        s, g = alpha * np.exp(seq[item - 1]), (1 - alpha) * np.exp(graph[item - 1])
    else:
        s = max(0, alpha * (seq[item - 1] - seq.mean()))
        g = max(0, (1 - alpha) * (graph[item - 1] - graph.mean()))
    return alpha, s / (s + g) if s + g else np.nan


FUSIONS = {
    "linear": Fixed(alpha=0.3, mix="linear"),
    "geometric": Fixed(alpha=0.3),
    "one": Fixed(alpha=1.0),
    "zero": Fixed(alpha=0.0, mix="linear"),
    "gate": LengthGate(midpoint=4.0),
    "embedding": Fixed(alpha=0.3, level="embedding"),
    "adaptive": LengthGate(midpoint=4.0, level="embedding"),
    "candidate": LengthGate(midpoint=4.0, level="embedding", side="candidate"),
}


@pytest.mark.parametrize("cosine", [None, 0.2])
@pytest.mark.parametrize("gnn", ["evidence", "lightgcn"])
@pytest.mark.parametrize("name", FUSIONS)
def test_the_share_of_the_sequence_side_equals_its_formula(name, gnn, cosine, world):
    fusion = FUSIONS[name]
    model = hybrid(world, fusion, gnn, cosine=cosine)
    every = np.tile(np.arange(N + 1), (len(ROWS), 1))
    found, linear = explain(trained(model), histories(), every), fusion.level == "score" and not fusion.geometric
    for u, row in enumerate(ROWS):
        for k, item in enumerate(every[u]):
            if not row or not item:
                assert np.isnan(found.share[u, k])
                continue
            alpha, share = slow_share(model, row, item, linear)
            assert found.alpha[u] == pytest.approx(alpha)
            assert found.share[u, k] == pytest.approx(share, abs=1e-5, nan_ok=True)
    assert np.isnan(found.alpha[2])
    told = found.share[~np.isnan(found.share)]
    assert len(told) and (name in ("one", "zero") or len(set(told.round(3))) > 2)


def test_a_model_without_a_mixture_has_no_alpha_and_one_side(world):
    found = explained(SASRec(N, **SIZE))
    assert found.alpha is None and not found.weights.any() and not found.reasons.any()
    assert np.array_equal(np.isnan(found.share), (CHOSEN == 0) | (np.arange(4) == 2)[:, None])
    assert set(found.share[0]) == {1.0}
    for model in (PopularityRecommender(*world), hybrid(world, Fixed(level="embedding", side="input"), "none")):
        found = explained(model)
        assert np.isnan(found.share).all() and not found.weights.any()


def slow_reasons(world, row, item, read, settings):
    """The share of each event in p(item), latest first."""
    table, events = count_rows(*world, settings["window"], settings["decay"])
    prior = np.maximum(events, 0.01)
    prior = prior / prior[1:].sum()
    recent = row[::-1][: settings["last"]]
    split = np.zeros(len(recent))
    memory = Evidence(*world, read=read, **settings)
    for kind in {"both": ("rows", "bayes")}.get(read, (read,)):
        one = Evidence(*world, read=kind, **settings)
        p = one.of_all(batch_of(row), torch.tensor([len(row) - 1]))[0, item].item()
        said = np.zeros(len(recent))
        for k, i in enumerate(recent):
            if kind == "rows":
                said[k] = settings["recency"] ** k * table[i, item] * table[i].sum() ** -settings["exponent"]
            else:
                c = table[i, item] / (settings["kappa"] * prior[item])
                said[k] = settings["bayes_recency"] ** k * np.log(1 + c)
        if said.sum():
            split += p * said / said.sum()
    return memory, split / split.sum() if split.sum() else split


@pytest.mark.parametrize("read", READS)
def test_what_a_memory_says_splits_over_the_recent_events(read, world):
    silent = 0
    for row in [row for row in ROWS if row]:
        for item in range(1, N + 1):
            memory, expected = slow_reasons(world, row, item, read, SETTINGS)
            found = memory.reasons(memory.recent(batch_of(row))[-1:], torch.tensor([item]))[0]
            assert found[: len(expected)].numpy() == pytest.approx(expected, abs=1e-5)
            assert found.sum().item() == pytest.approx(1.0 if expected.sum() else 0.0)
            silent += not expected.sum()
    assert silent < 3 * N


def merged(row, weights):
    """Items and weights, the strongest first, of events in the order of the row; weights of an item are added."""
    total = {}
    for item, weight in zip(row[::-1], weights[::-1], strict=True):
        total[item] = total.get(item, 0.0) + weight
    best = sorted(total.items(), key=lambda pair: -pair[1])
    whole = sum(weight for _, weight in best) or 1.0
    return [(item, weight / whole) for item, weight in best if weight]


def assert_reasons(found, expected):
    for u, row in enumerate(ROWS):
        for k, item in enumerate(CHOSEN[u]):
            wanted = merged(row, [expected(row, place, item) if item else 0.0 for place in range(len(row))])
            told = found.weights[u, k]
            assert (told > 0).sum() == len(wanted)
            assert told[: len(wanted)] == pytest.approx([weight for _, weight in wanted], abs=1e-5)
            by_item = dict(zip(found.reasons[u, k], told, strict=True))
            assert all(by_item[item] == pytest.approx(weight, abs=1e-5) for item, weight in wanted)
    assert (found.weights.sum(2).round(4) % 1 == 0).all() and found.weights.any()


@pytest.mark.parametrize("name", ["evidence", "transitions"])
def test_the_reasons_of_a_hybrid_are_those_of_its_memory(name, world):
    model = hybrid(world, Fixed(), name)

    def expected(row, place, item):
        back = len(row) - 1 - place
        told = model.gnn.reasons(model.gnn.recent(batch_of(row))[-1:], torch.tensor([item]))[0]
        return told[back].item() if back < len(told) else 0.0

    assert_reasons(explained(model), expected)


def dense(graph, world):
    built = graph.build(*world)
    found = np.zeros((N + 1, N + 1))
    degree_out, degree_in = (np.bincount(end, built.weight, N + 1) for end in (built.source, built.target))
    for i, j, w in zip(built.source, built.target, built.weight, strict=True):
        found[i, j] = w / np.sqrt(degree_out[i] * degree_in[j])
    return found


@pytest.mark.parametrize("graph", [Cooccurrence(), Transition(window=1)], ids=["both ways", "one way"])
@pytest.mark.parametrize("level", ["score", "embedding"])
def test_the_reasons_of_a_graph_network_are_its_edges(level, graph, world):
    matrix = dense(graph, world)
    model = hybrid(world, Fixed(level=level), "lightgcn", graph)
    assert_reasons(explained(model), lambda row, place, item: matrix[row[place], item] + matrix[item, row[place]])
    model, matrix = hybrid(world, Fixed(level=level), "gat", graph), matrix > 0
    assert_reasons(explained(model), lambda row, place, item: matrix[row[place], item] * 1 + matrix[item, row[place]])


def test_only_the_latest_events_speak_through_edges(world):
    long = [1, *[2, 3] * (LAST // 2)]
    found = explain(trained(hybrid(world, Fixed(), "lightgcn")), histories([long]), np.arange(N + 1)[None], N)
    assert set(found.reasons.flatten()) == {0, 2, 3}


def test_a_memory_at_the_level_of_embeddings_speaks_by_its_rows(world):
    table, _ = count_rows(*world, SETTINGS["window"], SETTINGS["decay"])
    share = table / np.maximum(table.sum(1, keepdims=True), 1e-9)
    model = hybrid(world, Fixed(level="embedding"))
    assert_reasons(explained(model), lambda row, place, item: share[row[place], item])


@pytest.mark.parametrize("kind", ["ease", "item_knn", "markov"])
def test_the_reasons_of_a_counting_model_are_the_summands_of_its_score(kind, world):
    made = {
        "ease": lambda: EASE(*world, l2=5.0, recency=0.7),
        "item_knn": lambda: ItemKNN(*world, recency=0.7),
        "markov": lambda: Markov(*world, window=3, last=4),
    }
    model = made[kind]().double()
    recency, last = (0.7, N) if kind != "markov" else (0.8, 4)

    def expected(row, place, item):
        """The score after the event alone, less what an empty history has, at the event's weight."""
        back = len(row) - 1 - place
        if back >= last or row[place] in row[place + 1 :]:
            return 0.0
        one, none = (model.next_item_scores(batch_of(h, width=2)).all()[0, item].item() for h in ([row[place]], []))
        return max(0.0, recency**back * (one - none))

    assert_reasons(explained(model), expected)


def test_reasons_as_text_are_few_and_none_reads_nothing():
    name = {1: "Alien", 2: "Heat", 3: "Up", 4: "Her"}.__getitem__
    weights = np.array([0.5, 0.3, 0.15, 0.05])
    assert because(np.array([1, 2, 3, 4]), weights, name) == "Alien (0.50), Heat (0.30), Up (0.15)"
    assert because(np.array([1, 2, 0]), np.array([0.997, 0.003, 0.0]), name) == "Alien (1.00)"
    assert because(np.zeros(2, dtype=int), np.zeros(2), name) == ""
