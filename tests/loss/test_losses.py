import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hybrid_seq_gnn.data.seen import ExcludedCells, ExcludedRuns, Seen
from hybrid_seq_gnn.data.sequences import Sequences
from hybrid_seq_gnn.data.split import leave_one_out
from hybrid_seq_gnn.loss.bce import BCE
from hybrid_seq_gnn.loss.bpr import BPR
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.gbce import GBCE
from hybrid_seq_gnn.loss.sampled_softmax import SampledSoftmax
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.model import chunked_softmax
from hybrid_seq_gnn.model.chosen_scores import _ChosenScores, chosen_scores
from hybrid_seq_gnn.model.linear_cross_entropy import linear_cross_entropy
from hybrid_seq_gnn.model.scores import DotScores


def problem(rows, items=23, width=6, dtype=torch.float64):
    torch.manual_seed(rows)
    query = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    table = torch.randn(items, width, dtype=dtype, requires_grad=True)
    return query, table, torch.randint(1, items, (rows,))


@pytest.fixture(params=["cpu", "as on a GPU"])
def everywhere(request, monkeypatch):
    """Also the way that logits are normalised on a GPU."""
    if request.param != "cpu":
        monkeypatch.setattr(chunked_softmax, "RELATIVE", ())


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("bias", [None, torch.linspace(-3, 2, 23, dtype=torch.float64)], ids=["plain", "bias"])
def test_chunked_cross_entropy_equals_pytorchs_in_value_and_gradient(bias):
    for rows, smoothing in ((1, 0.0), (191, 0.1), (192, 0.0), (192, 0.3), (400, 0.0)):
        query, table, targets = problem(rows)
        ours = linear_cross_entropy(query, table, targets, smoothing, bias=bias)
        grads = torch.autograd.grad(3 * ours, (query, table))
        logits = query @ table.T if bias is None else query @ table.T + bias
        theirs = F.cross_entropy(logits[:, 1:], targets - 1, label_smoothing=smoothing)
        assert torch.allclose(ours, theirs)
        for a, b in zip(grads, torch.autograd.grad(3 * theirs, (query, table)), strict=True):
            assert torch.allclose(a, b)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("rows", [1, 300])
def test_a_bias_by_weight_is_added_in_value_and_gradient(rows):
    query, table, targets = problem(rows)
    bias, weights = torch.randn(23, dtype=torch.float64), torch.rand(rows, 1, dtype=torch.float64).requires_grad_()
    ours = linear_cross_entropy(query, table, targets, bias=bias, bias_weight=weights)
    theirs = F.cross_entropy((query @ table.T + weights * bias)[:, 1:], targets - 1)
    assert torch.allclose(ours, theirs)
    with torch.no_grad():
        assert torch.allclose(linear_cross_entropy(query, table, targets, bias=bias, bias_weight=weights), theirs)
    grads = (torch.autograd.grad(loss, (query, table, weights)) for loss in (ours, theirs))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b)


def test_cross_entropy_is_the_same_without_gradients():
    query, table, targets = problem(200)
    bias = torch.linspace(-3, 2, 23, dtype=torch.float64)
    with torch.no_grad():
        for given, logits in ((None, query @ table.T), (bias, query @ table.T + bias)):
            expected = F.cross_entropy(logits[:, 1:], targets - 1)
            assert torch.allclose(linear_cross_entropy(query, table, targets, bias=given), expected)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("sizes", [[1], [100, 30, 70], [1] * 20 + [130, 128]], ids=sum)
def test_what_is_excluded_is_no_candidate_in_value_and_gradient_unless_it_is_the_target(sizes):
    query, table, targets = problem(sum(sizes))
    items = [torch.randperm(22)[: 3 + k % 9] + 1 for k in range(len(sizes))]
    masked = torch.zeros(len(query), 23, dtype=torch.bool)
    for row, run in enumerate(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).tolist()):
        masked[row, items[run]] = True
        masked[row, targets[row]] = False
    theirs = F.cross_entropy((query @ table.T).masked_fill(masked, -torch.inf)[:, 1:], targets - 1)
    had = torch.zeros(len(sizes), 23, dtype=torch.bool)
    for run, each in enumerate(items):
        had[run, each] = True
    cells = ExcludedCells(had, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)))
    for excluded in (ExcludedRuns(sizes, items), cells):
        ours = linear_cross_entropy(query, table, targets, excluded=excluded)
        assert torch.allclose(ours, theirs)
        with torch.no_grad():
            assert torch.allclose(linear_cross_entropy(query, table, targets, excluded=excluded), theirs)
        grads = (torch.autograd.grad(loss, (query, table), retain_graph=True) for loss in (ours, theirs))
        for a, b in zip(*grads, strict=True):
            assert torch.allclose(a, b)


def test_the_table_for_a_gpu_holds_what_each_user_has_had(sequences, split):
    seen = Seen(sequences, split)
    users, items = torch.arange(sequences.num_users), torch.arange(sequences.num_items + 1)
    assert torch.equal(seen.table(), seen.has(*torch.meshgrid(users, items, indexing="ij")))


def test_unseen_leaves_out_what_the_user_has_had_in_training_and_nothing_else(sequences, split):
    users = torch.tensor([2, 2, 5, 2])
    query, table, targets = problem(4, items=sequences.num_items + 1)
    logits = (query @ table.T).detach().clone()
    for row, user in enumerate(users.tolist()):
        for item in set(sequences.history(user, split.train_end[user]).tolist()) - {int(targets[row])}:
            logits[row, item] = -torch.inf
    expected = F.cross_entropy(logits[:, 1:], targets - 1)
    assert torch.allclose(Unseen(sequences, split)(DotScores(query, table), targets, users), expected)


def test_a_user_who_has_had_all_items_adds_nothing_to_unseen():
    items = np.array([*range(1, 9), 1, 2, 1, 2, 3, 4, 5, 6])  # the first user's training part holds all eight
    sequences = Sequences(np.array([0, 10, 16]), items, None, np.arange(2), np.arange(8))
    loss = Unseen(sequences, leave_one_out(sequences))
    query, table, targets = problem(2, items=9)
    both = loss(DotScores(query, table), targets, torch.tensor([0, 1]))
    alone = loss(DotScores(query[1:], table), targets[1:], torch.tensor([1]))
    assert both.item() == pytest.approx(alone.item() / 2)


@pytest.mark.parametrize("scale", [1e4, 1e9])
def test_cross_entropy_survives_huge_logits(scale):
    for rows in range(1, 40):
        query, table, _ = problem(rows, dtype=torch.float32)
        query = (scale * query).detach().requires_grad_()
        best = (query @ table.T)[:, 1:].argmax(1) + 1  # the rounding of its score is larger than what exp can hold
        for targets in (best, best % 22 + 1):
            loss = linear_cross_entropy(query, table, targets)
            assert loss.isfinite() and loss > -1e-5 * scale
            assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, (query, table)))


def test_targets_with_next_to_no_chance_have_the_same_loss_and_gradient_beside_others():
    query, table, targets = problem(6)
    with torch.no_grad():
        query *= torch.tensor([1.0, 30.0, 100.0, 1.0, 300.0, 1.0])[:, None]
        targets[1:5:3] = (query @ table.T)[1:5:3, 1:].argmin(1) + 1
    excluded = ExcludedRuns([4, 2], [torch.tensor([2, 9]), torch.tensor([11])])
    logits = query @ table.T
    masked = logits.detach().clone()
    excluded.remove(masked, slice(0, 6), targets)
    theirs = F.cross_entropy(logits.masked_fill(masked.isinf(), -torch.inf)[:, 1:], targets - 1, reduction="none")
    assert theirs.max() > 80 > 20 > theirs.min()  # exp(80) is near the largest float32
    ours = linear_cross_entropy(query.float(), table.float(), targets, excluded=excluded)
    assert torch.allclose(ours.double(), theirs.mean())
    grads = (torch.autograd.grad(loss, (query, table)) for loss in (ours, theirs.mean()))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("runs", [[1], [1] * 256, [1] * 300, [7, 1, 12], [100, 200]], ids=sum)
def test_scores_of_chosen_items_have_the_value_and_gradient_of_the_formula(runs, monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.model.chosen_scores.GATHERED", 5 * 256)  # 256 rows at a time
    query, table, _ = problem(rows := sum(runs))
    items = torch.randint(0, 20, (rows, 5))  # with repeats; three items are never chosen
    # rows of a run differ in their first item alone
    items[:, 1:] = torch.randint(0, 20, (len(runs), 4)).repeat_interleave(torch.tensor(runs), 0)
    weight = torch.randn(rows, 5, dtype=torch.float64)
    found, expected = chosen_scores(query, table, items), (table[items] @ query.unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(found, expected)
    grads = [torch.autograd.grad((out * weight).sum(), (query, table)) for out in (found, expected)]
    for ours, theirs in zip(*grads, strict=True):
        assert torch.allclose(ours, theirs)


def test_rows_that_share_their_items_take_one_product_and_no_gather_a_row(monkeypatch):
    monkeypatch.delattr(_ChosenScores, "forward")
    query, table, _ = problem(12)
    items = torch.randint(0, 20, (12, 5))
    items[:, 1:] = items[[0, 11], 1:].repeat_interleave(6, 0)
    chosen_scores(query, table, items)
    with pytest.raises(NotImplementedError):
        chosen_scores(query, table, torch.randint(0, 20, (12, 5)))


def test_padding_has_no_share_in_the_softmax():
    query, table, targets = problem(9)
    targets = targets.clamp(min=1)
    loss = CrossEntropy()
    plain = loss(DotScores(query, table), targets, targets)
    changed = table.detach().clone()
    changed[0] = 100.0
    assert torch.allclose(loss(DotScores(query, changed), targets, targets), plain)


def sampler(negatives, log_q=None):
    """Always the same negatives."""

    class Same:
        num_negatives = negatives.shape[1]

        def __call__(self, users, targets, scores):
            return negatives, torch.zeros(negatives.shape) if log_q is None else log_q

    return Same()


@pytest.mark.parametrize(("given", "offset"), [(0.0, 0.0), (None, math.log(1 / 3)), (-2.5, -2.5)])
def test_bce_equals_the_formula_of_the_paper_with_an_offset(given, offset):
    query, table, _ = problem(2)
    targets, users = torch.tensor([3, 4]), torch.tensor([0, 1])
    negatives = torch.tensor([[5, 6, 7], [8, 9, 1]])
    loss = BCE(sampler(negatives), offset=given)
    scores = (query @ table.T + offset).tolist()

    def log_sigmoid(x):
        return F.logsigmoid(torch.tensor(x, dtype=torch.float64)).item()

    slow = 0.0
    for row in range(2):
        slow -= log_sigmoid(scores[row][targets[row]])
        slow -= sum(log_sigmoid(-scores[row][j]) for j in negatives[row].tolist())
    assert torch.isclose(loss(DotScores(query, table), targets, users), torch.tensor(slow / 8, dtype=torch.float64))


def pairs():
    """Two rows of scores with three negatives each."""
    query, table, _ = problem(2)
    targets, users = torch.tensor([3, 4]), torch.tensor([0, 1])
    negatives = torch.tensor([[5, 6, 7], [8, 9, 1]])
    return DotScores(query, table), targets, users, negatives, (query @ table.T).tolist()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_gbce_without_calibration_is_bce():
    scores, targets, users, negatives, _ = pairs()
    plain = BCE(sampler(negatives))(scores, targets, users)
    assert torch.isclose(GBCE(22, sampler(negatives), t=0.0)(scores, targets, users), plain)
    assert not torch.isclose(GBCE(22, sampler(negatives), t=0.75)(scores, targets, users), plain)


@pytest.mark.parametrize("given", [0.0, None])
def test_gbce_equals_the_formula_of_the_paper_with_an_offset(given):
    scores, targets, users, negatives, every = pairs()
    rate, t = 3 / 21, 0.75
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)
    offset = math.log(beta / 3) if given is None else given
    every = [[score + offset for score in row] for row in every]
    slow = 0.0
    for row, target in enumerate(targets.tolist()):
        slow -= beta * math.log(sigmoid(every[row][target]))
        slow -= sum(math.log(1 - sigmoid(every[row][j])) for j in negatives[row].tolist())
    assert GBCE(22, sampler(negatives), t=t, offset=given)(scores, targets, users).item() == pytest.approx(slow / 8)


def test_bpr_equals_the_formula_of_the_paper():
    scores, targets, users, negatives, every = pairs()
    gaps = [every[row][target] - every[row][j] for row, target in enumerate(targets.tolist()) for j in negatives[row]]
    slow = -sum(math.log(sigmoid(gap)) for gap in gaps) / 6
    assert BPR(sampler(negatives))(scores, targets, users).item() == pytest.approx(slow)


def test_sampled_softmax_takes_off_how_likely_each_negative_was():
    scores, targets, users, negatives, every = pairs()
    log_q = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -1.5, -2.5]])
    slow = 0.0
    for row, target in enumerate(targets.tolist()):
        corrected = [every[row][j] - math.log(3) - q for j, q in zip(negatives[row], log_q[row].tolist(), strict=True)]
        slow += math.log(math.exp(every[row][target]) + sum(map(math.exp, corrected))) - every[row][target]
    found = SampledSoftmax(sampler(negatives, log_q))(scores, targets, users).item()
    assert found == pytest.approx(slow / 2, rel=1e-6)
