"""What every option of a group promises; a new yaml is tested without another line here."""

from pathlib import Path

import pytest
import torch
import yaml

from hybrid_seq_gnn.app.build import build
from hybrid_seq_gnn.app.check import check_node
from tests.conftest import leave_last_two_out, make_sequences
from tests.model.test_sasrec import batch_of

CONF = Path(__file__).resolve().parent.parent / "conf"
ITEMS = 20


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def make(group, name, settings=None, **given):
    node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text()) | (settings or {})
    return build(check_node(group, node), **given)


@pytest.fixture(scope="module")
def world():
    sequences = make_sequences([6, 9, 12, 7, 15, 8], num_items=ITEMS)
    return {"sequences": sequences, "split": leave_last_two_out(sequences)}


def recommender(world, model="hybrid", fusion="fixed", gnn="lightgcn", graph="cooccurrence"):
    torch.manual_seed(0)
    small = {"embedding_dim": 8, "max_length": 10}
    return make(
        "model",
        model,
        small,
        num_items=ITEMS,
        fusion=make("fusion", fusion),
        gnn=make("gnn", gnn, embedding_dim=8),
        adjacency=make("graph", graph).build(world["sequences"], world["split"]).adjacency(),
    )


def criterion(world, loss="cross_entropy", negatives="uniform"):
    return make("loss", loss, negatives=make("negatives", negatives, **world))


def two_steps(model, loss):
    """The loss before each of two steps of training."""
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.5)
    batch, next_items = batch_of([3, 1, 4, 1], [5, 9]), torch.tensor([1, 4, 1, 5, 9, 2])
    values = []
    for _ in range(2):
        torch.manual_seed(1)
        scores, targets = model.training_scores(batch, next_items)
        step = loss(scores, targets, torch.tensor([0, 0, 0, 0, 1, 1]))
        optimizer.zero_grad()
        step.backward()
        optimizer.step()
        values.append(step.item())
    return values


@pytest.mark.parametrize("name", options("fusion"))
class TestFusion:
    lengths = torch.tensor([1, 5, 10, 11, 50, 51, 200])

    def test_alpha_is_a_weight(self, name):
        alpha = make("fusion", name).alpha(self.lengths)
        assert alpha.shape == self.lengths.shape
        assert bool(((alpha >= 0) & (alpha <= 1)).all())

    def test_equal_views_stay_as_they_are(self, name):
        view = torch.randn(7, 3)
        assert torch.allclose(make("fusion", name).mix(view, view, self.lengths), view, atol=1e-6)

    def test_alpha_weighs_the_sequence_side(self, name):
        fusion = make("fusion", name)
        mixed = fusion.mix(torch.ones(7, 3), torch.zeros(7, 3), self.lengths)
        assert torch.allclose(mixed, fusion.alpha(self.lengths)[:, None].expand(7, 3))

    def test_a_fusion_that_says_it_is_not_adaptive_is_constant(self, name):
        fusion = make("fusion", name)
        assert fusion.adaptive or len(fusion.alpha(self.lengths).unique()) == 1

    def test_gradients_are_right(self, name):
        fusion = make("fusion", name).double()
        views = [torch.randn(7, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(lambda a, b: fusion.mix(a, b, self.lengths).double(), views, atol=1e-4)

    def test_a_hybrid_learns_with_it(self, name, world):
        first, second = two_steps(recommender(world, fusion=name), criterion(world))
        assert second < first


@pytest.mark.parametrize("name", options("gnn"))
class TestGraphNetwork:
    def test_padding_stays_zero_and_shapes_are_kept(self, name, world):
        model = recommender(world, gnn=name)
        _, graph = model.tables()
        assert graph.shape == (ITEMS + 1, 8)
        assert not graph[0].any()

    def test_a_hybrid_learns_with_it(self, name, world):
        first, second = two_steps(recommender(world, gnn=name), criterion(world))
        assert second < first


@pytest.mark.parametrize("name", options("graph"))
def test_a_graph_does_not_know_what_is_held_out(name, world):
    sequences, split = world["sequences"], world["split"]
    graph = make("graph", name).build(sequences, split)
    other = make_sequences([6, 9, 12, 7, 15, 8], num_items=ITEMS)
    for user in range(other.num_users):
        start = other.indptr[user]
        held_out = slice(start + split.train_end[user], other.indptr[user + 1])
        other.items[held_out] = other.items[held_out] % ITEMS + 1
    again = make("graph", name).build(other, split)
    assert (graph.source == again.source).all()
    assert (graph.target == again.target).all()
    assert (graph.weight == again.weight).all()


@pytest.mark.parametrize("name", options("model"))
class TestModel:
    def test_it_learns(self, name, world):
        first, second = two_steps(recommender(world, model=name), criterion(world))
        assert second < first

    def test_saved_and_loaded_it_scores_the_same(self, name, world, tmp_path):
        model, fresh = recommender(world, model=name), recommender(world, model=name)
        two_steps(model, criterion(world))
        torch.save(model.state_dict(), tmp_path / "model.pt")
        fresh.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        batch = batch_of([3, 1, 4], [7])
        assert torch.equal(model.eval().next_item_scores(batch).all(), fresh.eval().next_item_scores(batch).all())

    def test_scores_do_not_change_with_padding_or_company(self, name, world):
        model = recommender(world, model=name).double().eval()
        alone = model.next_item_scores(batch_of([3, 1, 4])).all()
        together = model.next_item_scores(batch_of([7, 8, 9, 10, 2, 1], [3, 1, 4], width=9)).all()
        assert torch.allclose(alone[0], together[1])


@pytest.mark.parametrize("name", options("negatives"))
def test_negatives_are_neither_padding_nor_what_the_user_had(name, world):
    sequences, split = world["sequences"], world["split"]
    users = torch.arange(sequences.num_users).repeat_interleave(50)
    ids, log_q = make("negatives", name, **world)(users, torch.ones_like(users))
    assert ids.shape == log_q.shape
    for user, drawn in zip(users.tolist(), ids.tolist(), strict=True):
        assert not set(drawn) & {0, *sequences.history(user, split.train_end[user]).tolist()}
    assert ids.max() <= ITEMS
    assert bool((log_q <= 0).all())


@pytest.mark.parametrize("name", options("loss"))
def test_a_loss_falls_in_training(name, world):
    first, second = two_steps(recommender(world, model="sasrec"), criterion(world, loss=name))
    assert second < first
