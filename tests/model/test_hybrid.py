import pytest
import torch

from hybrid_seq_gnn.fusion.base import Fusion
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.gnn.lightgcn import LightGCN
from hybrid_seq_gnn.graph.cooccurrence import Cooccurrence
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.model.bert4rec import BERT4Rec
from hybrid_seq_gnn.model.gru4rec import GRU4Rec
from hybrid_seq_gnn.model.hybrid import Hybrid
from hybrid_seq_gnn.model.sasrec import SASRec
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_sasrec import batch_of

SIZE = {"embedding_dim": 8, "num_heads": 2, "max_length": 10, "dropout": 0.2}


class ByLength(Fusion):
    """alpha = n / 10: a fusion that cannot be folded into one table."""

    def __init__(self, side="both"):
        super().__init__("embedding", side, "geometric")

    def alpha(self, length, state=None):
        return length.double() / 10


def with_prior(model):
    model.set_prior(torch.arange(21.0))
    return model


def hybrid(fusion, seed=0, **settings):
    sequences = make_sequences([3, 5, 8, 12, 9, 7, 4, 11], num_items=20)
    adjacency = Cooccurrence().build(sequences, leave_last_two_out(sequences)).adjacency()
    torch.manual_seed(seed)
    return with_prior(Hybrid(20, LightGCN(20, 8, adjacency, num_layers=2), fusion, **SIZE, **settings))


def steps(model, count=3):
    """Weights after a few steps of training with dropout."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(5)
    for _ in range(count):
        learned = model.training_scores(batch_of([3, 1, 4, 1], [5, 9]), torch.tensor([1, 4, 1, 5, 9, 2]))
        loss = CrossEntropy()(*learned)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


ENCODERS = {
    "sasrec": lambda: SASRec(20, **SIZE),
    "gru4rec": lambda: GRU4Rec(20, embedding_dim=8, num_layers=2, max_length=10, dropout=0.2),
    "bert4rec": lambda: BERT4Rec(20, **SIZE),
}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("side", ["both", "input", "candidate"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_alpha_one_is_the_encoder_to_the_last_bit_before_and_after_training(encoder, side, tied):
    torch.manual_seed(0)
    plain = with_prior(ENCODERS[encoder]())
    mixed = hybrid(Fixed(alpha=1.0, side=side, level="embedding"), tied=tied, encoder=encoder)
    for _ in range(2):
        batch = batch_of([3, 1, 4], [7, 2])
        plain.eval(), mixed.eval()
        assert torch.equal(plain.next_item_scores(batch).all(), mixed.next_item_scores(batch).all())
        plain.train(), mixed.train()
        assert torch.equal(steps(plain), steps(mixed))


def test_alpha_zero_uses_the_graph_table_alone():
    model = hybrid(Fixed(alpha=0.0, level="embedding")).eval()
    batch = batch_of([3, 1, 4], [7, 2])
    before = model.next_item_scores(batch).all()
    with torch.no_grad():
        model.encoder.items.weight[1:] = torch.randn(20, 8)
    assert torch.equal(model.next_item_scores(batch).all(), before)
    with torch.no_grad():
        model.graph_items.weight[1:] = torch.randn(20, 8)
    assert not torch.allclose(model.next_item_scores(batch).all(), before)


@pytest.mark.parametrize("side", ["both", "input", "candidate"])
def test_an_adaptive_alpha_gives_each_position_the_weight_of_its_own_history(side):
    model = hybrid(ByLength(side)).double().eval()
    seq, graph = model.encoder.items.weight, model.graph_table()
    history = [3, 1, 4, 9, 5]
    inputs = torch.stack(
        [
            (n / 10) * seq[i] + (1 - n / 10) * graph[i] if side != "candidate" else seq[i]
            for n, i in enumerate(history, 1)
        ]
    )
    states = model.encoder.encode(inputs, batch_of(history))
    candidates = 0.5 * seq + 0.5 * graph if side != "input" else seq
    slow = states[-1] @ candidates.T + model.encoder.prior
    scores = model.next_item_scores(batch_of(history))
    assert torch.allclose(scores.all()[0], slow)
    assert scores.alpha.tolist() == [0.5]


def test_folding_a_constant_alpha_into_the_table_changes_nothing():
    class Constant(ByLength):
        def alpha(self, length, state=None):
            return torch.full(length.shape, 0.3, dtype=torch.float64)

    folded, unfolded = hybrid(Fixed(alpha=0.3, level="embedding")).double().eval(), hybrid(Constant()).double().eval()
    batch = batch_of([3, 1, 4], [7, 2])
    assert torch.allclose(folded.next_item_scores(batch).all(), unfolded.next_item_scores(batch).all(), atol=1e-7)


def test_alpha_sees_the_length_before_truncation():
    model = hybrid(ByLength()).double().eval()
    batch = batch_of([3, 1, 4])
    longer = type(batch)(batch.users, batch.items, torch.where(batch.items > 0, batch.length + 4, 0))
    assert model.next_item_scores(longer).alpha.tolist() == [0.7]
    assert not torch.allclose(model.next_item_scores(longer).all(), model.next_item_scores(batch).all())


def test_tied_tables_share_one_embedding():
    tied, untied = hybrid(Fixed(), tied=True), hybrid(Fixed())
    assert tied.graph_items is tied.encoder.items
    assert sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters()) == 21 * 8


def test_every_parameter_of_a_hybrid_learns():
    model = hybrid(Fixed(alpha=0.5, level="embedding"))
    steps(model, 1)
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
