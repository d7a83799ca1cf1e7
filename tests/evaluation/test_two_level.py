"""The bootstrap that draws seeds as well as users."""

import numpy as np
import pytest

from hybrid_seq_gnn.evaluation.significance import bootstrap, paired
from tests.evaluation.test_significance import model


def test_a_two_level_bootstrap_draws_the_seeds_of_each_model_apart():
    users, resamples = 11, 40
    models = [model(0, users, seeds=3), model(1, users, seeds=1)]
    rng, seed_rng = np.random.default_rng([5, 0]), np.random.default_rng([5, 1])
    slow = np.empty((resamples, 2, 2))
    shares = seed_rng.multinomial(3, [1 / 3] * 3, size=resamples) / 3
    for r in range(resamples):
        picked = rng.integers(users, size=users)
        per_seed = models[0][:, picked].mean(axis=1)
        middle = per_seed.mean(axis=0)
        drawn = sum(share * one for share, one in zip(shares[r], per_seed, strict=True))
        slow[r, 0] = middle + np.sqrt(3 / 2) * (drawn - middle)
        slow[r, 1] = models[1][0, picked].mean(axis=0)
    np.testing.assert_allclose(bootstrap(models, resamples, [5]), slow, atol=1e-12)


def test_with_seeds_drawn_again_what_is_detectable_grows_with_their_noise():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 200, 1))
    noise, level = rng.normal(size=base.shape), np.array([-2, 0, 2])[:, None, None]
    found = paired(base, [base + noise, base + noise + level], resamples=500, two_level=True).minimum_detectable
    assert found[1] > 3 * found[0]


def test_a_shift_that_a_seed_gives_to_all_users_fools_all_but_the_two_level_bootstrap():
    rng = np.random.default_rng(13)
    one, two = 0, 0
    for sample in range(200):
        level = rng.normal(0, 0.15, (2, 5, 1, 1))  # of each training, for all users: retraining would draw it again
        users = rng.normal(0, 1, (1, 1, 300, 1))
        base, other = users + level + rng.normal(0, 0.3, (2, 5, 300, 1))
        one += (paired(base, [other], resamples=200, seed=sample).p_t < 0.05).item()
        two += (paired(base, [other], resamples=400, seed=sample, two_level=True).p_bootstrap < 0.05).item()
    assert one / 200 > 0.4
    assert two / 200 < 0.15  # of five seeds the spread is known badly, so a few more than 5 in 100


@pytest.mark.parametrize("users", [2, 5, 15])
def test_few_users_do_not_make_the_two_level_bootstrap_surer_than_the_t_test(users):
    differences = np.random.default_rng(14).normal(0, 1, (1, users, 400))
    found = paired(np.zeros_like(differences), [differences], resamples=200, two_level=True)
    assert (found.p_bootstrap < 0.05).mean() <= 0.08
    assert (found.p_bootstrap >= found.p_t).all()
