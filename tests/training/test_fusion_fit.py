"""A fusion alone is fitted to what two finished distributions say of held-out items."""

import numpy as np
import pytest
import torch

from hybrid_seq_gnn.data.batches import ranking_batches
from hybrid_seq_gnn.evaluation.evaluate import rank_users
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.fusion.discrete import Discrete
from hybrid_seq_gnn.fusion.fixed import Fixed
from hybrid_seq_gnn.fusion.gated import Gated
from hybrid_seq_gnn.fusion.learnable import Learnable
from hybrid_seq_gnn.training.fusion_fit import choose, criterion_of, fit, lbfgs_steps, maximise
from hybrid_seq_gnn.training.held_out import HeldOut, collect
from hybrid_seq_gnn.training.post_hoc import PostHoc
from tests.conftest import leave_last_two_out, make_sequences
from tests.test_contracts import recommender

GRID = torch.linspace(0, 1, 11)


def held_out(users=400, seed=0, gains=None, alphas=GRID):
    rng = torch.Generator().manual_seed(seed)
    seq, graph = (torch.rand(users, generator=rng, dtype=torch.float64).log() for _ in range(2))
    length = torch.randint(1, 100, (users,), generator=rng)
    return HeldOut(seq, graph, length, torch.zeros(users, 4), False, torch.zeros(users, 2), alphas, gains)


def slow_likelihood(seen, alpha, rows):
    p = [alpha * np.exp(seen.seq[u].item()) + (1 - alpha) * np.exp(seen.graph[u].item()) for u in rows]
    return float(np.mean(np.log(p)))


def test_the_best_alpha_of_a_grid_is_the_one_that_counting_finds():
    seen, fusion = held_out(), Fixed(alpha=None)
    found = choose(fusion, seen, "likelihood")
    slow = [slow_likelihood(seen, alpha, range(400)) for alpha in GRID.tolist()]
    assert fusion.values.tolist() == [GRID[int(np.argmax(slow))].item()]
    assert [c["log_likelihood"] for c in found["candidates"]] == pytest.approx(slow)
    assert [c["users"] for c in found["candidates"]] == [400] * 11


def test_each_bin_gets_the_alpha_that_its_own_users_want():
    gains = torch.zeros(400, 11)
    seen = held_out(gains=gains)
    for limit, best in ((10**9, 8), (50, 4), (10, 1)):
        gains[seen.length <= limit] = torch.eye(11)[best]
    fusion = Discrete(alpha_short=None, alpha_mid=None, alpha_long=None)
    choose(fusion, seen, "ndcg")
    assert fusion.values.tolist() == pytest.approx([0.1, 0.4, 0.8])


def test_a_bin_without_users_gets_what_is_best_for_all_and_of_equals_the_middle_one_wins():
    gains = torch.ones(400, 11)
    seen = held_out(gains=gains)
    seen.length.clamp_(max=40)
    gains[seen.length <= 10] += 5 * torch.eye(11)[2]
    fusion = Discrete(alpha_short=None, alpha_mid=None, alpha_long=None)
    found = choose(fusion, seen, "ndcg")
    assert fusion.values.tolist() == pytest.approx([0.2, 0.5, 0.2])
    assert not fusion.unset
    assert {(c["bin"], c["users"] > 0) for c in found["candidates"]} == {(0, True), (1, True), (2, False)}


def test_a_bin_whose_alpha_is_a_number_keeps_it():
    seen = held_out(gains=torch.eye(11)[1].expand(400, -1))
    fusion = Discrete(alpha_short=0.77, alpha_mid=None)
    assert fusion.unset
    found = fit(fusion, seen, "ndcg")
    assert fusion.values.tolist() == pytest.approx([0.77, 0.1, 0.7])
    assert {c["bin"] for c in found["candidates"]} == {1}


def test_without_a_ranking_the_candidates_are_those_that_are_given():
    fusion = Fixed(alpha=None)
    found = fit(fusion, held_out(alphas=None), "likelihood", (0.2, 0.25))
    assert [c["alpha"] for c in found["candidates"]] == pytest.approx([0.2, 0.25])
    assert fusion.values.item() in torch.tensor([0.2, 0.25]).tolist()


def test_the_climb_ends_at_the_weight_of_each_bin_that_a_fine_grid_finds():
    seen, fusion = held_out(), Learnable(l2_weight=0.0)
    assert len(list(lbfgs_steps(fusion, seen, torch.arange(400), "likelihood"))) > 1
    for place, rows in enumerate((seen.length <= 10, (seen.length > 10) & (seen.length <= 50), seen.length > 50)):
        fine = np.linspace(0.1, 0.9, 41)
        slow = [slow_likelihood(seen, alpha, rows.nonzero()[:, 0].tolist()) for alpha in fine]
        assert fusion.bins()[place].item() == pytest.approx(fine[int(np.argmax(slow))], abs=0.02)


def peaks(users=400):
    """NDCG@10 that is best at .2 for short histories, at .5 for medium and at .8 for long ones."""
    seen = held_out(users)
    best = torch.where(seen.length <= 10, 0.2, torch.where(seen.length <= 50, 0.5, 0.8))
    return held_out(users, gains=1 - (GRID - best[:, None]) ** 2), best


def test_learned_weights_go_where_ndcg_is_best():
    seen, _ = peaks()
    fusion = Learnable(l2_weight=0.0)
    found = fit(fusion, seen, "ndcg")
    assert fusion.bins().tolist() == pytest.approx([0.2, 0.5, 0.8], abs=0.03)
    assert found["by"] == "ndcg"
    ends = found["log_NDCG@10"]
    assert max(ends["sequence"], ends["graph"], ends["before"]) < ends["after"] < 0


@pytest.mark.parametrize(
    ("fusion", "by"), [(Learnable(), "ndcg"), (Fixed(alpha=None), "ndcg"), (Gated(4), "likelihood")]
)
def test_what_decides_by_default(fusion, by):
    assert PostHoc().criterion(fusion) == by
    assert PostHoc(select="likelihood").criterion(fusion) == "likelihood"
    assert PostHoc().criterion(Fixed(alpha=0.5)) is None


def test_smoothed_ndcg_is_a_mean_of_near_weights_and_has_a_gradient():
    seen, best = peaks(5)
    alpha = torch.linspace(0.05, 0.95, 5, dtype=torch.float64, requires_grad=True)
    slow = []
    for u, at in enumerate(alpha.tolist()):
        near = [np.exp(-(((at - a) / 0.1) ** 2) / 2) for a in GRID.tolist()]
        slow.append(sum(k * g for k, g in zip(near, seen.gains[u].tolist(), strict=True)) / sum(near))
    found = seen.log_gain(alpha)
    assert found.exp().item() == pytest.approx(np.mean(slow), rel=1e-5)
    found.backward()
    assert (alpha.grad.sign() == (best - alpha).sign()).all()  # towards the best weight


def test_users_who_are_left_out_say_when_to_stop():
    """Noise teaches nothing: a gate of hundreds of weights could learn 400 users by heart, and is stopped."""
    noise = held_out()
    noise.states.copy_(torch.randn(noise.states.shape, generator=torch.Generator().manual_seed(1)))
    kept, learned = Gated(4), Gated(4)
    found = maximise(kept, noise, "likelihood")["log_likelihood"]
    for _ in lbfgs_steps(learned, noise, torch.arange(400), "likelihood"):
        pass
    by_heart = criterion_of(learned, noise, torch.arange(400), "likelihood")
    assert found["before"] - 1e-9 <= found["cross_validated"]
    assert found["after"] < found["before"] + 0.5 * (by_heart - found["before"])
    assert found["sequence"] == pytest.approx(noise.seq.mean().item())


def test_a_heavy_penalty_holds_the_weights_where_they_were():
    fusion = Learnable(l2_weight=1e4)
    maximise(fusion, held_out(), "likelihood")
    assert fusion.bins().tolist() == pytest.approx([0.4, 0.5, 0.6], abs=1e-3)


def test_a_side_that_is_never_right_breaks_nothing():
    seen = held_out()
    seen.graph.fill_(-torch.inf)
    fusion = Learnable(l2_weight=0.0)
    maximise(fusion, seen, "likelihood")
    assert fusion.bins().tolist() == pytest.approx([0.9] * 3, abs=1e-3)
    fixed = Fixed(alpha=None)
    assert choose(fixed, seen, "likelihood")["candidates"][0]["log_likelihood"] is None
    assert fixed.values.tolist() == [1.0]


def log_p(scores, item, mask):
    """Log-probability of each target among its candidates, one by one."""
    found = []
    for row, target, history in zip(scores, item.targets, item.history, strict=True):
        seen = set(history.tolist()) - {target.item()} if mask else set()
        candidates = [j for j in range(1, len(row)) if j not in seen]
        found.append(row[target] - row[candidates].logsumexp(0))
    return torch.stack(found)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("gnn", ["lightgcn", "transitions"])
@pytest.mark.parametrize("mix", ["linear", "geometric"])
def test_what_is_collected_is_what_the_hybrid_says_at_every_weight(mix, gnn, mask):
    sequences = make_sequences([6, 9, 12, 7, 15, 8], num_items=20)
    split = leave_last_two_out(sequences)
    sequences.items[split.valid[0]] = sequences.items[0]  # the target of the first user is in the history
    hybrid = recommender({"sequences": sequences, "split": split}, level="score", mix=mix, gnn=gnn)
    alphas, cpu, users = (0.0, 0.3, 0.5, 1.0), torch.device("cpu"), np.arange(6)

    def batches():
        return ranking_batches(sequences, users, split.valid, 10, 4)

    held = collect(hybrid, batches(), mask=mask, alphas=alphas, device=cpu)
    assert held.geometric == (mix == "geometric")
    found = held.log_p(torch.tensor(alphas).expand(6, -1))
    assert not found.requires_grad
    hybrid.eval()
    for a, alpha in enumerate(alphas):
        hybrid.fusion.values.fill_(alpha)
        with torch.no_grad():
            slow = [log_p(hybrid.next_item_scores(item.batch).all(), item, mask) for item in batches()]
            ranking = rank_users(hybrid, sequences, split.valid, batch_size=4, mask=mask, device=cpu)
        assert torch.allclose(found[:, a].float(), torch.cat(slow), atol=1e-4)
        assert held.gains[:, a].sum().item() == pytest.approx(per_user(ranking.ranks)["NDCG@10"].sum())
    unranked = collect(hybrid, batches(), mask=mask, alphas=None, device=cpu)
    assert unranked.alphas is None and unranked.gains is None
    assert torch.equal(unranked.seq, held.seq)
    with pytest.raises(ValueError, match="target"):
        collect(hybrid, [], mask=True, alphas=None, device=cpu)
