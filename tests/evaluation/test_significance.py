"""The tests themselves: against trusted libraries, a slow bootstrap, simulation, and laws."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.evaluation import significance
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.significance import bootstrap, combined_p, holm, paired, sign_flips


def model(seed, users=200, seeds=1, scale=15.0, metrics=("NDCG@10", "HR@10")):
    """Metrics of users whose ranks are drawn, (seeds, users, metrics)."""
    rng = np.random.default_rng(seed)
    ranks = np.ceil(rng.exponential(scale, (seeds, users)))
    return np.stack([np.stack([per_user(one)[name] for name in metrics], axis=1) for one in ranks])


def test_the_t_test_is_that_of_scipy():
    base, other = model(0), model(1, scale=12)
    found = paired(base, [other], resamples=100)
    for k in range(2):
        expected = scipy.stats.ttest_rel(other[0, :, k], base[0, :, k])
        assert found.p_t[0, k] == pytest.approx(expected.pvalue, rel=1e-9)


def test_seeds_are_averaged_per_user_before_the_t_test():
    base, other = model(0, seeds=3), model(1, seeds=2)
    found = paired(base, [other], resamples=100)
    expected = scipy.stats.ttest_rel(other.mean(axis=0), base.mean(axis=0))
    np.testing.assert_allclose(found.p_t[0], expected.pvalue)
    np.testing.assert_allclose(found.difference[0], (other.mean(axis=0) - base.mean(axis=0)).mean(axis=0))


def test_sign_flips_are_the_permutation_test_of_scipy():
    difference = np.random.default_rng(3).normal(0.25, 1, (1, 40, 1))
    (p,) = sign_flips(difference, 40_000, [0]).ravel()
    expected = scipy.stats.permutation_test(
        (difference.ravel(),), np.mean, permutation_type="samples", n_resamples=40_000, rng=np.random.default_rng(1)
    )
    assert 0.02 < expected.pvalue < 0.3
    assert p == pytest.approx(expected.pvalue, abs=4 * np.sqrt(2 * p * (1 - p) / 40_000))


def test_sign_flips_count_every_flip_when_there_are_few():
    difference = np.array([0.5, 0.5, 0.25, 0.1, 0.0])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    exact = (np.abs(difference @ signs) >= difference.sum() - 1e-12).mean()
    (p,) = sign_flips(difference[None, :, None], 20_000, [0]).ravel()
    assert exact == 0.125
    assert p == pytest.approx(exact, abs=0.01)


def test_a_bootstrap_is_the_mean_of_users_drawn_one_by_one():
    users, resamples = 23, 50
    models = [model(0, users), model(1, users)]
    rng = np.random.default_rng([5, 0])
    slow = np.empty((resamples, 2, 2))
    for r in range(resamples):
        picked = rng.integers(users, size=users)
        for m in range(2):
            slow[r, m] = np.mean([models[m][0, user] for user in picked], axis=0)
    np.testing.assert_allclose(bootstrap(models, resamples, [5]), slow, atol=1e-12)


def test_chunks_change_no_number(monkeypatch):
    base, other = model(0, 50), model(1, 50, scale=12)
    whole = paired(base, [other], resamples=301)
    monkeypatch.setattr(significance, "CELLS", 50 * 8)
    apart = paired(base, [other], resamples=301)
    np.testing.assert_allclose(whole.low, apart.low, atol=1e-12)
    np.testing.assert_allclose(whole.high, apart.high, atol=1e-12)


def test_the_interval_is_that_of_scipys_bootstrap():
    base, other = model(0, 300), model(1, 300, scale=11)
    found = paired(base, [other], resamples=20_000)
    difference = (other - base)[0, :, 0]
    expected = scipy.stats.bootstrap(
        (difference,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low[0, 0] == pytest.approx(expected.low, abs=0.02 * width)
    assert found.high[0, 0] == pytest.approx(expected.high, abs=0.02 * width)


def test_flips_that_are_as_far_but_for_rounding_count():
    difference = np.array([0.3, 0.1, 0.2, -0.5])  # no choice of signs is nearer to 0 than 0.1, but some round to less
    (p,) = sign_flips(difference[None, :, None], 500, [0]).ravel()
    assert p == 1.0


def slow_holm(p):
    """The definition, step by step."""
    left = sorted(range(len(p)), key=lambda k: p[k])
    corrected, so_far = [0.0] * len(p), 0.0
    for step, k in enumerate(left):
        so_far = max(so_far, min(1.0, (len(p) - step) * p[k]))
        corrected[k] = so_far
    return corrected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_its_definition(p):
    np.testing.assert_allclose(holm(np.array(p)), slow_holm(p))


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    p = np.random.default_rng(0).uniform(size=200) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])


def test_holm_does_not_count_what_was_not_tested():
    corrected = holm(np.array([0.01, np.nan, 0.04]))
    assert corrected[[0, 2]].tolist() == [0.02, 0.04]
    assert np.isnan(corrected[1])
    assert np.isnan(holm(np.array([np.nan]))).all()
    assert len(holm(np.array([]))) == 0


def test_the_greater_p_value_counts_unless_flips_cannot_resolve_it():
    p = combined_p(np.array([0.01, 0.03, 1e-9]), np.array([0.02, 0.02, 1 / 1001]), resamples=1000)
    assert p.tolist() == [0.02, 0.03, 1e-9]


def test_effect_size_and_counts_are_their_definitions():
    base, other = model(0), model(1)
    found = paired(base, [other], resamples=100)
    difference = (other - base)[0]
    np.testing.assert_allclose(found.effect_size[0], difference.mean(axis=0) / difference.std(axis=0, ddof=1))
    assert found.wins[0].tolist() == (difference > 0).sum(axis=0).tolist()
    assert found.losses[0].tolist() == (difference < 0).sum(axis=0).tolist()
    assert (found.wins + found.ties + found.losses == 200).all()


def test_a_difference_of_the_minimum_detectable_size_is_found_in_8_of_10_samples():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, 60, 1))
    size = paired(np.zeros((1, 60, 1)), [noise], resamples=100).minimum_detectable[0, 0] / noise.std(ddof=1)
    samples = rng.normal(size, 1, (60, 4000))
    found = (scipy.stats.ttest_1samp(samples, 0).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.025)


def simulated(rng, samples, users, shift, seeds=2):
    """(samples, users): differences of HR@10 averaged over seeds, of two models with the same users and a `shift`.

    Users are easy or hard for both models; every training has a noise of its own for every user.
    """
    easy = rng.beta(0.6, 2.0, (samples, 1, users))
    base = (rng.uniform(size=(samples, seeds, users)) < easy).mean(axis=1)
    moved = np.clip(easy * (1 + shift), 0, 1)
    other = (rng.uniform(size=(samples, seeds, users)) < moved).mean(axis=1)
    return other - base, (moved - easy).mean(axis=2).ravel()


def test_intervals_cover_the_truth_in_95_of_100_samples():
    rng = np.random.default_rng(11)
    differences, _ = simulated(rng, 1500, 400, shift=0.2)
    # the truth is the mean over the population of users, not over the sample
    easy = rng.beta(0.6, 2.0, 4_000_000)
    truth = (np.clip(easy * 1.2, 0, 1) - easy).mean()
    found = paired(np.zeros((1, 400, len(differences))), [differences.T[None]], resamples=1000)
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.93 <= covered <= 0.97, covered


def test_equal_models_with_other_seed_noise_are_called_different_in_5_of_100_samples():
    differences, _ = simulated(np.random.default_rng(12), 2000, 400, shift=0.0, seeds=3)
    found = paired(np.zeros((1, 400, len(differences))), [differences.T[None]], resamples=999)
    for p in (found.p_t, found.p_permutation, combined_p(found.p_t, found.p_permutation, 999)):
        assert 0.03 <= (p < 0.05).mean() <= 0.07, (p < 0.05).mean()


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    base, others = model(0), [model(1), model(2)]
    first, again, other = (paired(base, others, resamples=500, seed=seed) for seed in (7, 7, 8))
    for name in significance.TESTED:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.low != other.low).all()


def test_what_else_is_compared_changes_no_number():
    base, others = model(0), [model(1), model(2)]
    both, alone = paired(base, others, resamples=500), paired(base, others[1:], resamples=500)
    for name in significance.TESTED:
        np.testing.assert_allclose(getattr(both, name)[1], getattr(alone, name)[0], atol=1e-12)


@pytest.mark.parametrize("users", [0, 1])
def test_without_two_users_nothing_is_tested(users):
    found = paired(model(0, users), [model(1, users)], resamples=100)
    for name in significance.TESTED:
        assert np.isnan(getattr(found, name)).all(), name
    assert np.isnan(found.mean).all() == (users == 0)
    assert (found.wins + found.ties + found.losses == users).all()


def test_equal_differences_are_not_tested():
    base = model(0)
    found = paired(base, [base, base + 0.1], resamples=100)
    for name in significance.TESTED:
        assert np.isnan(getattr(found, name)).all(), name
    np.testing.assert_allclose(found.difference, [[0, 0], [0.1, 0.1]], atol=1e-12)
    assert found.ties.tolist() == [[200, 200], [0, 0]]


def test_relative_intervals_need_a_baseline_above_0():
    base = np.zeros((1, 50, 1))
    found = paired(base, [np.random.default_rng(0).uniform(size=(1, 50, 1))], resamples=100)
    assert np.isnan(found.relative_low).all()
    assert (found.low > 0).all()
    base[0, 0] = 1.0  # a third of the resamples have no such user
    found = paired(base, [np.random.default_rng(0).uniform(size=(1, 50, 1))], resamples=100)
    assert np.isnan([found.relative_low, found.relative_high]).all()


METRICS = st.integers(2, 40).flatmap(
    lambda users: st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=users, max_size=users), min_size=2, max_size=2
    )
)


@given(METRICS)
@settings(max_examples=40, deadline=None)
def test_swapping_baseline_and_challenger_flips_the_signs(pair):
    a, b = (np.array(values)[None, :, None] for values in pair)
    one, other = paired(a, [b], resamples=200), paired(b, [a], resamples=200)
    for name in ("difference", "effect_size"):
        np.testing.assert_allclose(getattr(one, name), -getattr(other, name), atol=1e-12)
    np.testing.assert_allclose(one.low, -other.high, atol=1e-12)
    for name in ("p_t", "p_permutation", "p_bootstrap", "minimum_detectable", "ties"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)
    assert one.wins.tolist() == other.losses.tolist()


@given(METRICS)
@settings(max_examples=40, deadline=None)
def test_p_values_lie_in_0_1_and_intervals_are_in_order(pair):
    a, b = (np.array(values)[None, :, None] for values in pair)
    found = paired(a, [b], resamples=200)
    for name in ("p_t", "p_permutation", "p_bootstrap"):
        p = getattr(found, name)
        assert (np.isnan(p) | ((p >= 0) & (p <= 1))).all()
    assert (np.isnan(found.low) | (found.low <= found.high)).all()
    assert np.isnan(found.p_t).all() == np.isnan(found.p_permutation).all()


@given(METRICS, st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_users_without_a_difference_shrink_it_and_leave_sign_flips_as_they_are(pair, more):
    a, b = (np.array(values)[None, :, None] for values in pair)
    same = np.full((1, more, 1), 0.5)
    few = paired(a, [b], resamples=200)
    many = paired(np.concatenate([a, same], axis=1), [np.concatenate([b, same], axis=1)], resamples=200)
    np.testing.assert_allclose(many.difference * (a.shape[1] + more), few.difference * a.shape[1], atol=1e-9)
    assert (many.ties - few.ties == more).all()
    if not np.isnan(few.p_permutation).any():
        assert abs(few.p_permutation - many.p_permutation).max() < 0.2  # other random signs, the same question
