"""What every option of a group promises; a new yaml is tested without another line here."""

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.batches import TrainingWindows
from hybrid_seq_gnn.model.scores import DotScores
from hybrid_seq_gnn.run.build import build
from hybrid_seq_gnn.run.check import check_node
from tests.conftest import composed, leave_last_two_out, make_sequences, options
from tests.model.test_sasrec import batch_of

ITEMS = 20


def make(group, name, settings=None, **given):
    node = composed(group, name) | (settings or {})
    return build(check_node(group, node), **given)


MIXTURES = [("score", mix, gnn) for mix in ("linear", "geometric") for gnn in ("lightgcn", "transitions", "evidence")]


@pytest.fixture(scope="module")
def world():
    sequences = make_sequences([6, 9, 12, 7, 15, 8], num_items=ITEMS)
    return {"sequences": sequences, "split": leave_last_two_out(sequences)}


def adjacency(world, graph="cooccurrence"):
    return make("graph", graph).build(world["sequences"], world["split"]).adjacency()


def fusion_of(name, **settings):
    return make("fusion", name, settings, embedding_dim=8)


def gnn_of(world, name, graph="cooccurrence"):
    return make("gnn", name, embedding_dim=8, num_items=ITEMS, adjacency=adjacency(world, graph), **world)


def recommender(world, model="hybrid", fusion="fixed", gnn="lightgcn", graph="cooccurrence", **fusing):
    torch.manual_seed(0)
    node = composed("model", model)
    small = {key: value for key, value in {"embedding_dim": 8, "max_length": 10}.items() if key in node}
    parts = {"fusion": fusion_of(fusion, **{"level": "embedding"} | fusing), "gnn": gnn_of(world, gnn, graph)}
    return make("model", model, small, num_items=ITEMS, adjacency=adjacency(world, graph), **parts, **world)


def criterion(world, loss="cross_entropy", negatives="uniform"):
    return make("loss", loss, negatives=make("negatives", negatives, **world), num_items=ITEMS, **world)


def two_steps(model, loss, world):
    """The loss before each of two steps of training on positions that are in its graph and in its memory."""
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.5)
    windows = TrainingWindows(world["sequences"], world["split"], max_length=10, batch_size=6)
    training = next(windows.epoch(np.random.default_rng(0)))
    values = []
    for _ in range(2):
        torch.manual_seed(1)
        step = loss(*model.training_scores(training.batch, training.targets))
        optimizer.zero_grad()
        step.backward()
        optimizer.step()
        values.append(step.item())
    return values


@pytest.mark.parametrize("name", options("fusion"))
class TestFusion:
    lengths = torch.tensor([1, 5, 10, 11, 50, 51, 200])

    @pytest.mark.parametrize("mix", ["linear", "geometric"])
    @pytest.mark.parametrize("level", ["score", "embedding"])
    def test_it_acts_where_and_how_it_is_told(self, name, level, mix):
        fusion = fusion_of(name, level=level, mix=mix, side="input")
        assert (fusion.level, fusion.geometric) == (level, mix == "geometric")
        assert (fusion.fuses_inputs, fusion.fuses_candidates) == (level == "embedding", False)
        assert not fusion.unset

    def test_alpha_is_a_weight(self, name):
        alpha = fusion_of(name).alpha(self.lengths)
        assert alpha.shape == self.lengths.shape
        assert bool(((alpha >= 0) & (alpha <= 1)).all())

    def test_equal_views_stay_as_they_are(self, name):
        view = torch.randn(7, 8)
        assert torch.allclose(fusion_of(name).mix(view, view, self.lengths), view, atol=1e-6)

    def test_alpha_weighs_the_sequence_side(self, name):
        fusion = fusion_of(name)
        mixed = fusion.mix(torch.ones(7, 8), torch.zeros(7, 8), self.lengths)
        assert torch.allclose(mixed, fusion.alpha(self.lengths, torch.ones(7, 8))[:, None].expand(7, 8))

    def test_a_fusion_that_says_it_is_not_adaptive_is_constant(self, name):
        fusion = fusion_of(name)
        assert fusion.adaptive or len(fusion.alpha(self.lengths).unique()) == 1

    def test_gradients_are_right(self, name):
        fusion = make("fusion", name, embedding_dim=2).double()
        views = [torch.randn(7, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(lambda a, b: fusion.mix(a, b, self.lengths).double(), views, atol=1e-4)

    @pytest.mark.parametrize(("level", "mix", "gnn"), [("embedding", "linear", "lightgcn"), *MIXTURES])
    def test_a_hybrid_learns_with_it(self, name, level, mix, gnn, world):
        model = recommender(world, fusion=name, level=level, mix=mix, gnn=gnn)
        before = {key: value.clone() for key, value in model.fusion.named_parameters()}
        first, second = two_steps(model, criterion(world), world)
        assert second < first
        for key, value in model.fusion.named_parameters():
            assert not torch.equal(value, before[key]), key

    def test_alpha_needs_no_state(self, name, world):
        """`Hybrid.alpha_curve` draws it for lengths alone."""
        lengths = torch.arange(1, 201)
        model = recommender(world, fusion=name)
        curve = model.alpha_curve(lengths)
        assert curve.shape == (200,)
        assert not curve.requires_grad
        assert torch.equal(curve, model.fusion.alpha(lengths))


@pytest.mark.parametrize("name", options("gnn"))
class TestGraphNetwork:
    def test_padding_stays_zero_and_shapes_are_kept(self, name, world):
        graph = recommender(world, gnn=name).graph_table()
        assert graph.shape == (ITEMS + 1, 8)
        assert not graph[0].any()

    @pytest.mark.parametrize("level", ["embedding", "score"])
    @pytest.mark.parametrize("graph", options("graph"))
    def test_a_hybrid_learns_with_it_on_every_graph(self, name, level, graph, world):
        first, second = two_steps(recommender(world, gnn=name, graph=graph, level=level), criterion(world), world)
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
    def test_it_learns_or_has_nothing_to_learn(self, name, world):
        model = recommender(world, model=name)
        if list(model.parameters()):
            first, second = two_steps(model, criterion(world), world)
            assert second < first
        else:
            assert name in ("popularity", "markov", "item_knn", "ease")

    def test_saved_and_loaded_it_scores_the_same(self, name, world, tmp_path):
        model, fresh = recommender(world, model=name), recommender(world, model=name)
        if list(model.parameters()):
            two_steps(model, criterion(world), world)
        torch.save(model.state_dict(), tmp_path / "model.pt")
        fresh.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        batch = batch_of([3, 1, 4], [7])
        assert torch.equal(model.eval().next_item_scores(batch).all(), fresh.eval().next_item_scores(batch).all())

    def test_scores_do_not_change_with_padding_or_company(self, name, world):
        model = recommender(world, model=name).double().eval()
        alone = model.next_item_scores(batch_of([3, 1, 4])).all()
        company = batch_of([3, 1, 4], [7, 8, 9, 10, 2, 1], width=9)
        assert torch.allclose(alone[0].double(), model.next_item_scores(company).all()[0].double(), atol=1e-7)


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "caser"])
def test_a_causal_model_does_not_see_the_future(name, world):
    model = recommender(world, model=name).double().eval()
    targets = torch.tensor([1, 4, 1, 5, 9])
    one, other = (model.training_scores(batch_of([3, 1, 4, *future]), targets)[0].all() for future in ([1, 5], [8, 2]))
    assert torch.allclose(one[:3], other[:3], atol=1e-9)
    assert not torch.allclose(one[3:], other[3:], atol=1e-6)


@pytest.mark.parametrize("name", options("negatives"))
def test_negatives_are_neither_padding_nor_what_the_user_had(name, world):
    sequences, split = world["sequences"], world["split"]
    users = torch.arange(sequences.num_users).repeat_interleave(50)
    targets = torch.randint(1, ITEMS + 1, users.shape)
    scores = DotScores(torch.randn(len(users), 4), torch.randn(ITEMS + 1, 4))
    ids, log_q = make("negatives", name, **world)(users, targets, scores)
    assert ids.shape == log_q.shape
    for user, drawn in zip(users.tolist(), ids.tolist(), strict=True):
        assert not set(drawn) & {0, *sequences.history(user, split.train_end[user]).tolist()}
    assert ids.max() <= ITEMS
    assert bool((log_q <= 0).all())


@pytest.mark.parametrize("name", options("loss"))
def test_a_loss_falls_in_training(name, world):
    first, second = two_steps(recommender(world, model="sasrec"), criterion(world, loss=name), world)
    assert second < first


@pytest.mark.parametrize(("level", "mix", "gnn"), MIXTURES)
@pytest.mark.parametrize("name", options("loss"))
def test_a_loss_falls_in_training_a_mixture(name, level, mix, gnn, world):
    first, second = two_steps(recommender(world, level=level, mix=mix, gnn=gnn), criterion(world, loss=name), world)
    assert second < first
