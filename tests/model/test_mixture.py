"""Mixtures of two distributions against the formula, written with whole arrays of probabilities."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hybrid_seq_gnn.data.seen import ExcludedRuns
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.transitions import Transitions
from hybrid_seq_gnn.model import linear_cross_entropy, memory_scores
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.memory_scores import MemoryScores
from hybrid_seq_gnn.model.sasrec import SASRec
from hybrid_seq_gnn.model.scores import DotScores, MixtureScores
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_hybrid import SIZE, hybrid, with_prior
from tests.model.test_sasrec import batch_of

ITEMS, ROWS, WIDTH = 9, 5, 4
ALPHA = torch.tensor([0.2, 0.5, 0.9, 0.35, 0.7], dtype=torch.float64)
BIAS = torch.linspace(-2, 1, ITEMS + 1, dtype=torch.float64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Two rows at a time, so that five rows are three chunks."""
    two = lambda rows, table: [slice(k, k + 2) for k in range(0, rows, 2)]  # noqa: E731
    monkeypatch.setattr(linear_cross_entropy, "chunks", two)
    monkeypatch.setattr(memory_scores, "ROWS", 2)


def world():
    """A memory, two histories that are in it, and what came next at each of their six positions."""
    sequences = make_sequences([7, 5, 12, 9, 14, 11], num_items=ITEMS)
    split = leave_last_two_out(sequences)
    rows = [sequences.history(user, split.train_end[user]).tolist() for user in range(2)]
    targets = torch.tensor([item for row in rows for item in row[1:]])
    return Transitions(sequences, split).double(), batch_of(*(row[:-1] for row in rows)), targets


AFTER = torch.tensor([0, 2, -1, 3, 5])  # of six positions, and one with nothing before it
TARGETS = world()[2][AFTER]


def graph_side(kind, own=TARGETS):
    torch.manual_seed(1)
    if kind == "dot":
        return DotScores(torch.randn(ROWS, 3, dtype=torch.float64), torch.randn(ITEMS + 1, 3, dtype=torch.float64))
    memory, batch, _ = world()
    return MemoryScores(memory, batch, AFTER, own)


def mixture(kind, geometric=True, alpha=ALPHA, own=TARGETS):
    torch.manual_seed(0)
    query, table = torch.randn(ROWS, WIDTH, dtype=torch.float64), torch.randn(ITEMS + 1, WIDTH, dtype=torch.float64)
    return MixtureScores(DotScores(query, table, bias=BIAS), graph_side(kind, own), alpha, query, geometric)


def softmax(scores):
    p = np.exp(scores - scores.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def slow(scores):
    """p of all items but padding, (ROWS, ITEMS)."""
    p = softmax(scores.seq.query.numpy() @ scores.seq.table.numpy()[1:].T + BIAS.numpy()[1:])
    if isinstance(scores.graph, DotScores):
        q = softmax(scores.graph.query.numpy() @ scores.graph.table.numpy()[1:].T)
    else:
        one = scores.graph
        q = one.memory.of_all(one.batch, one.rows.clamp(min=0), one.own).numpy()[:, 1:]
        q = np.where(one.rows.numpy()[:, None] < 0, 1 / ITEMS, q)
    alpha = scores.alpha.numpy()[:, None]
    if not scores.geometric:
        return alpha * p + (1 - alpha) * q
    mixed = p**alpha * q ** (1 - alpha)
    return mixed / mixed.sum(1, keepdims=True)


KINDS = pytest.mark.parametrize("kind", ["dot", "memory"])
MIXES = pytest.mark.parametrize("geometric", [False, True], ids=["linear", "geometric"])


@KINDS
@MIXES
def test_scores_are_those_of_the_formula_and_padding_has_none(kind, geometric):
    scores = mixture(kind, geometric)
    found, expected = scores.all(), slow(scores)
    assert torch.equal(found[:, 0], torch.full((ROWS,), -torch.inf, dtype=torch.float64))
    assert np.allclose(F.softmax(found, dim=1)[:, 1:].numpy(), expected)
    if not geometric:
        assert np.allclose(found[:, 1:].exp().numpy(), expected)
    items = torch.tensor([[1, 0, 9], [2, 2, 3], [9, 8, 1], [4, 5, 6], [7, 1, 1]])
    assert torch.allclose(scores.at(items), found.gather(1, items))


@KINDS
@MIXES
def test_cross_entropy_is_the_mixtures_own_likelihood_with_and_without_gradients(kind, geometric):
    scores = mixture(kind, geometric)
    expected = -np.log(slow(scores)[np.arange(ROWS), TARGETS.numpy() - 1]).mean()
    assert scores.cross_entropy(TARGETS).item() == pytest.approx(expected)
    with torch.no_grad():
        assert scores.cross_entropy(TARGETS).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"loss\.label_smoothing=0\.1"):
        scores.cross_entropy(TARGETS, 0.1)


EXCLUDED = ExcludedRuns([2, 3], [torch.tensor([1, 5]), torch.tensor([3, 9])])


@KINDS
def test_what_is_excluded_is_no_candidate_of_a_geometric_mixture(kind):
    scores = mixture(kind, geometric=True)
    p = slow(scores)
    keep = np.ones_like(p, dtype=bool)
    for row in range(ROWS):
        keep[row, EXCLUDED.items[int(row >= 2)].numpy() - 1] = False
        keep[row, TARGETS[row] - 1] = True
    expected = -np.log(p[np.arange(ROWS), TARGETS.numpy() - 1] / (p * keep).sum(1)).mean()
    assert scores.cross_entropy(TARGETS, excluded=EXCLUDED).item() == pytest.approx(expected)


def test_what_is_excluded_is_no_candidate_of_either_softmax_of_a_linear_mixture():
    scores = mixture("dot", geometric=False)
    own = []
    for side in (scores.seq, scores.graph):
        logits = side.all()
        EXCLUDED.remove(logits, slice(0, ROWS), TARGETS)
        own.append(F.softmax(logits[:, 1:], 1)[torch.arange(ROWS), TARGETS - 1])
    expected = -(scores.alpha * own[0] + (1 - scores.alpha) * own[1]).log().mean()
    assert torch.allclose(scores.cross_entropy(TARGETS, excluded=EXCLUDED), expected)


@KINDS
@MIXES
def test_gradients_of_both_sides_and_of_alpha_are_right(kind, geometric):
    start = mixture(kind, geometric)
    of_graph = [start.graph.query, start.graph.table] if kind == "dot" else []
    inputs = [t.clone().requires_grad_() for t in (start.seq.query, start.seq.table, start.alpha, *of_graph)]

    def again(query, table, alpha, *graph):
        side = DotScores(*graph) if graph else start.graph
        return MixtureScores(DotScores(query, table, bias=BIAS), side, alpha, query, geometric)

    items = torch.tensor([[1, 3], [2, 2], [9, 8], [4, 5], [7, 1]])
    assert torch.autograd.gradcheck(lambda *given: again(*given).cross_entropy(TARGETS), inputs)
    assert torch.autograd.gradcheck(lambda *given: again(*given).at(items), inputs)


@KINDS
def test_the_ends_are_the_sides_to_the_last_bit_and_have_gradients(kind):
    for alpha, name in ((1.0, "seq"), (0.0, "graph")):
        weights = torch.full((ROWS,), alpha, dtype=torch.float64, requires_grad=True)
        scores = mixture(kind, alpha=weights)
        assert torch.equal(scores.all()[:, 1:], getattr(scores, name).all()[:, 1:])
        items = TARGETS.unsqueeze(1)
        assert torch.equal(scores.at(items), getattr(scores, name).at(items))
        for loss in (scores.cross_entropy(TARGETS), scores.all()[:, 1:].sum(), scores.at(items).sum()):
            (gradient,) = torch.autograd.grad(loss, weights)
            assert bool(gradient.isfinite().all())


@KINDS
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_an_alpha_that_reaches_an_end_keeps_a_gradient(kind, end):
    alpha = torch.full_like(ALPHA, end).requires_grad_()
    scores = mixture(kind, geometric=False, alpha=alpha)
    items = torch.randint(1, ITEMS + 1, (ROWS, 3))
    (at,) = torch.autograd.grad(scores.at(items).exp().sum(), alpha)
    assert at.isfinite().all()


def test_a_target_that_a_memory_rules_out_has_a_finite_log_probability(monkeypatch):
    scores = graph_side("memory")
    none = lambda self, batch, targets, leave_out: torch.zeros(len(targets), dtype=torch.float64)  # noqa: E731
    monkeypatch.setattr(Transitions, "of_targets", none)
    assert scores.log_probability(TARGETS).isfinite().all()


def test_what_a_memory_rules_out_gives_no_nan_at_any_weight():
    class Sure(Transitions):
        def of_all(self, batch, rows, targets=None):
            p = super().of_all(batch, rows, targets)
            return torch.where(torch.arange(ITEMS + 1) == 2, 1.0, torch.zeros_like(p))

    sequences = make_sequences([12, 9], num_items=ITEMS)
    side = MemoryScores(Sure(sequences, leave_last_two_out(sequences)), batch_of([3, 1]), torch.tensor([0, 1]))
    for alpha in (0.0, 0.5, 1.0):
        weights = torch.full((2,), alpha, requires_grad=True)
        scores = MixtureScores(DotScores(torch.randn(2, 3), torch.randn(10, 3)), side, weights, torch.zeros(2, 3), True)
        assert bool(scores.all()[:, 1:].isfinite().all())
        loss = scores.cross_entropy(torch.tensor([2, 3]))
        assert bool(loss.isfinite()) and bool(torch.autograd.grad(loss, weights)[0].isfinite().all())


@MIXES
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_two_sides_of_one_opinion_have_that_opinion(alpha, geometric):
    seq = mixture("dot").seq
    one = torch.ones(len(seq.query), 1, dtype=seq.query.dtype)
    graph = DotScores(torch.cat([seq.query, one], 1), torch.cat([seq.table, seq.bias[:, None]], 1))  # which has no bias
    same = MixtureScores(seq, graph, torch.full_like(ALPHA, alpha), seq.query, geometric)
    assert torch.allclose(same.all()[:, 1:].softmax(1), seq.all()[:, 1:].softmax(1))
    assert torch.allclose(same.cross_entropy(TARGETS), seq.cross_entropy(TARGETS))


@KINDS
def test_a_linear_mixture_has_the_bits_that_it_always_had(kind):
    scores = mixture(kind, geometric=False)
    alpha = scores.alpha[:, None]
    seq, graph = (side.log_probabilities()[:, 1:] for side in (scores.seq, scores.graph))
    assert torch.equal(scores.all()[:, 1:], torch.logaddexp(alpha.log() + seq, torch.log1p(-alpha) + graph))


@MIXES
def test_in_training_every_score_leaves_out_the_pairs_of_the_event_itself(geometric):
    memory, batch, targets = world()
    fusion = Fixed(mix="geometric" if geometric else "linear")
    model = Hybrid(ITEMS, memory, fusion, **SIZE | {"dropout": 0.0}).double()
    scores, *_ = model.training_scores(batch, targets)
    assert torch.allclose(
        -scores.all().log_softmax(1).gather(1, targets[:, None]).mean(), scores.cross_entropy(targets)
    )
    told, *_ = model.eval().training_scores(batch, targets)
    assert told.cross_entropy(targets) < scores.cross_entropy(targets)  # the memory has seen these very events


@pytest.mark.parametrize("tied", [False, True])
def test_a_hybrid_with_alpha_one_scores_as_its_encoder_alone_to_the_last_bit(tied):
    torch.manual_seed(0)
    plain = with_prior(SASRec(20, **SIZE)).eval()
    mixed = hybrid(Fixed(alpha=1.0), tied=tied).eval()
    batch = batch_of([3, 1, 4], [7, 2])
    assert torch.equal(plain.next_item_scores(batch).all()[:, 1:], mixed.next_item_scores(batch).all()[:, 1:])


@pytest.mark.parametrize("geometric", [False, True])
def test_every_score_has_a_gradient(geometric):
    query, table = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 6, 4, requires_grad=True)
    seq, graph = (DotScores(query[k], table[k]) for k in (0, 1))
    mixture = MixtureScores(seq, graph, torch.full((3,), 0.4), query[0], geometric)
    mixture.all()[:, 1:].sum().backward()
    assert query.grad.isfinite().all() and table.grad.isfinite().all()


@KINDS
def test_a_constant_alpha_leaves_the_gradients_of_both_sides_as_they_are(kind):
    found = []
    for learned in (True, False):
        start = mixture(kind, alpha=ALPHA.clone().requires_grad_(learned))
        query, table = (t.clone().requires_grad_() for t in (start.seq.query, start.seq.table))
        scores = MixtureScores(DotScores(query, table, bias=BIAS), start.graph, start.alpha, query, True)
        loss = scores.cross_entropy(TARGETS)
        found.append([loss.detach(), *torch.autograd.grad(loss, [query, table])])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
