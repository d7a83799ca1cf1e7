import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_seq_gnn.evaluation.smooth import LEAST_USERS, curves, width_of


def slow(lengths, y, at):
    """The formula of the docstring, one user at a time."""
    weights = [np.exp(-0.5 * ((np.log1p(at) - np.log1p(n)) / width_of(lengths)) ** 2) for n in lengths]
    return sum(w * v for w, v in zip(weights, y, strict=True)) / sum(weights)


def test_a_curve_is_the_kernel_mean_of_the_formula():
    rng = np.random.default_rng(0)
    lengths, y = rng.integers(1, 80, 300), rng.random(300)
    curve = curves(lengths, {"a": y}, points=9, resamples=10)["a"]
    for at, mean in zip(curve.length, curve.mean, strict=True):
        assert mean == pytest.approx(slow(lengths, y, at)) or np.isnan(mean)
    assert np.isfinite(curve.mean).sum() >= 7


@settings(deadline=None, max_examples=25)
@given(st.floats(-5, 5), st.integers(0, 3))
def test_what_is_the_same_for_all_users_is_a_flat_curve_without_width(level, seed):
    lengths = np.random.default_rng(seed).integers(1, 60, 200)
    curve = curves(lengths, {"a": np.full(200, level)}, points=5, resamples=20)["a"]
    some = np.isfinite(curve.mean)
    for values in (curve.mean, curve.low, curve.high):
        assert values[some] == pytest.approx(level)


def test_the_band_of_a_difference_is_paired():
    rng = np.random.default_rng(1)
    lengths, base = rng.integers(1, 60, 400), rng.random(400)
    found = curves(lengths, {"a": base, "b": base + 0.1, "gain": np.full(400, 0.1)}, resamples=50)
    some = np.isfinite(found["a"].mean)
    assert (found["b"].low - found["a"].low)[some] == pytest.approx(0.1)
    assert (found["gain"].high - found["gain"].low)[some] == pytest.approx(0, abs=1e-12)


def test_the_band_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 60, 400)
    truth = curves(lengths, {"a": np.full(400, 0.3)}, points=7, resamples=1)["a"].mean
    inside = []
    for k in range(60):
        hits = (rng.random(400) < 0.3).astype(float)
        curve = curves(lengths, {"a": hits}, points=7, resamples=150, seed=k)["a"]
        inside.append(((curve.low <= truth) & (truth <= curve.high))[np.isfinite(curve.mean)].mean())
    assert 0.88 <= np.mean(inside) <= 0.99


def test_where_hardly_anybody_is_the_curve_has_a_gap():
    lengths = np.array([5] * 200 + [1000] * 5)
    curve = curves(lengths, {"a": np.ones(205)}, resamples=5)["a"]
    assert np.isfinite(curve.mean[0]) and np.isnan(curve.mean[-1]) and np.isnan(curve.high[-1])
    assert LEAST_USERS > 5
