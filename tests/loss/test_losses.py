import torch
import torch.nn.functional as F

from hybrid_seq_gnn.loss.bce import BCE
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.model.linear_cross_entropy import ROWS, linear_cross_entropy
from hybrid_seq_gnn.model.scores import DotScores


def problem(rows, items=23, width=6, dtype=torch.float64):
    torch.manual_seed(rows)
    query = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    table = torch.randn(items, width, dtype=dtype, requires_grad=True)
    return query, table, torch.randint(0, items, (rows,))


def test_chunked_cross_entropy_equals_pytorchs_in_value_and_gradient():
    for rows in (1, ROWS - 1, ROWS, 2 * ROWS + 3):
        query, table, targets = problem(rows)
        ours = linear_cross_entropy(query, table, targets)
        grads = torch.autograd.grad(3 * ours, (query, table))
        theirs = F.cross_entropy(query @ table.T, targets)
        assert torch.allclose(ours, theirs)
        for a, b in zip(grads, torch.autograd.grad(3 * theirs, (query, table)), strict=True):
            assert torch.allclose(a, b)


def test_cross_entropy_is_the_same_without_gradients():
    query, table, targets = problem(ROWS + 5)
    with torch.no_grad():
        assert torch.allclose(linear_cross_entropy(query, table, targets), F.cross_entropy(query @ table.T, targets))


def test_cross_entropy_survives_huge_logits():
    query, table, targets = problem(5)
    assert torch.isfinite(linear_cross_entropy(1e4 * query, table, targets))


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


def test_bce_equals_the_formula_of_the_paper():
    query, table, _ = problem(2)
    targets, users = torch.tensor([3, 4]), torch.tensor([0, 1])
    negatives = torch.tensor([[5, 6, 7], [8, 9, 1]])
    loss = BCE(sampler(negatives))
    scores = (query @ table.T).tolist()

    def log_sigmoid(x):
        return F.logsigmoid(torch.tensor(x, dtype=torch.float64)).item()

    slow = 0.0
    for row in range(2):
        slow -= log_sigmoid(scores[row][targets[row]])
        slow -= sum(log_sigmoid(-scores[row][j]) for j in negatives[row].tolist())
    assert torch.isclose(loss(DotScores(query, table), targets, users), torch.tensor(slow / 8, dtype=torch.float64))
