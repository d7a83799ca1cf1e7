"""Is one model better than another for the same users, by how much, and how certain is that?

All tests are paired: they use each user's difference d_u between the metric of the challenger and that of the baseline.
If a model was trained with several seeds, its metric is first averaged over seeds for each user. This reduces the seed
noise that differs between users, but the tests still treat the trained models as fixed: they tell what other users
*like these* would show, not what another training would. `two_level` resamples the seeds as well.

Sources: Smucker, Allan & Carterette 2007, "A comparison of statistical significance tests for information retrieval
evaluation" (t-test, randomization and bootstrap agree, sign and rank tests do not); Efron & Tibshirani 1993, ch. 13
(percentile interval); Phipson & Smyth 2010 (the + 1 in a permutation p-value); Holm 1979; Owen 2007, "The pigeonhole
bootstrap" (rows and columns of a table resampled independently, here users and seeds).

The mean of a resample is a product of multinomial counts and values. So 10,000 resamples of all metrics of all
configurations are one matrix product, computed in chunks of bounded memory, and all configurations share the same
resamples. The sign flips of the permutation test are a second matrix product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtr, stdtrit

CELLS = 1 << 22  # most weights in memory at once: 32 MiB of float64
POWER = 0.8
ROUNDING = 1e-9  # smaller differences count as 0


@dataclass(frozen=True)
class Paired:
    """Tests of C challengers against a baseline on K metrics; arrays are (C, K) unless noted.

    All but the first five are NaN if there are fewer than two users or all users have the same difference.

    Attributes:
        baseline: (K,) mean metric of the baseline; NaN without users.
        mean: mean metric of each challenger; NaN without users.
        wins, ties, losses: number of users for whom the challenger is better, equal or worse.
        low, high: confidence interval of the difference.
        relative_low, relative_high: confidence interval of difference / baseline; NaN if a resample of the baseline
            has mean 0.
        p_t: p-value of the two-sided paired t-test.
        p_permutation: two-sided p-value of random sign flips; never below 1 / (1 + resamples).
        p_bootstrap: twice the share of resamples that do not have the sign of the difference; where there is none, the
            tail of a normal distribution. Never below p_t: with few users a bootstrap is too sure.
        effect_size: Cohen's d_z, mean / standard deviation of the differences.
        minimum_detectable: true difference that the t-test would detect in 8 of 10 samples of users like this one.
    """

    baseline: np.ndarray
    mean: np.ndarray
    wins: np.ndarray
    ties: np.ndarray
    losses: np.ndarray
    low: np.ndarray
    high: np.ndarray
    relative_low: np.ndarray
    relative_high: np.ndarray
    p_t: np.ndarray
    p_permutation: np.ndarray
    p_bootstrap: np.ndarray
    effect_size: np.ndarray
    minimum_detectable: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        difference: np.ndarray = self.mean - self.baseline
        return difference


TESTED = [field.name for field in fields(Paired)][5:]


def paired(
    baseline: Float[np.ndarray, "_ n K"],
    challengers: Sequence[Float[np.ndarray, "_ n K"]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    alpha: float = 0.05,
    two_level: bool = False,
) -> Paired:
    """Compare each challenger with the baseline, user by user.

    Args:
        resamples: number of resamples in the bootstrap and in the permutation test.
        seed: for both. Up to rounding (with `two_level`, up to chance), results do not depend on what else is compared
            in the same call.
        alpha: the intervals cover 1 - alpha; `minimum_detectable` is for a two-sided test at alpha.
        two_level: resample the seeds of each model as well as the users; a model with one seed has none to resample.
            Owen's bootstrap counts the noise of each (user, seed) pair about three times, and draws the seeds of two
            models apart even where they share encoders: both make it conservative. Two things make it too sure:
            ensembles of neighbouring seeds, which share encoders (`compare` says so), and two or three seeds whose
            trainings differ more than users do, where percentiles are too narrow.

    Shape:
        baseline: (seeds, n users, K metrics). challengers: C arrays of that form, each with its own number of seeds.
        All have the same users in the same order.
    """
    models = [baseline, *challengers]
    users = baseline.shape[1]
    means = np.stack([model.mean(axis=0) for model in models])  # (1 + C, n, K)
    differences = means[1:] - means[0]
    differences[np.abs(differences) < ROUNDING] = 0.0
    counts = {"wins": differences > 0, "ties": differences == 0, "losses": differences < 0}
    overall = means.mean(axis=1) if users else np.full((len(means), means.shape[2]), np.nan)
    described = {name: mask.sum(axis=1) for name, mask in counts.items()}
    described |= {"baseline": overall[0], "mean": overall[1:]}
    if users < 2:
        return Paired(**described, **{name: np.full_like(overall[1:], np.nan) for name in TESTED})

    drawn = bootstrap(models if two_level else list(means[:, None]), resamples, [seed, users, 0])
    base, drawn = drawn[:, :1], drawn[:, 1:] - drawn[:, :1]  # from here on, drawn holds differences
    ends = [alpha / 2, 1 - alpha / 2]
    low, high = np.quantile(drawn, ends, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative_low, relative_high = np.quantile(drawn / base, ends, axis=0)
    defined = (base > 0).all(axis=0)
    beyond = np.minimum((drawn <= ROUNDING).sum(axis=0), (drawn >= -ROUNDING).sum(axis=0))

    mean, deviation = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    spread = drawn.std(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = 2 * ndtr(-np.abs(mean) / spread)  # normal; what so many resamples cannot resolve
    varies = deviation > ROUNDING
    scale = np.where(varies, deviation, np.nan)
    freedom = users - 1
    t = mean / (scale / np.sqrt(users))
    detectable = (stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, POWER)) * scale / np.sqrt(users)
    if two_level:
        detectable = (ndtri(1 - alpha / 2) + ndtri(POWER)) * spread
    p_t = 2 * stdtr(freedom, -np.abs(t))
    resampled = np.where(beyond, np.minimum(1.0, 2 * (1 + beyond) / (1 + resamples)), tail)
    tested = {
        "low": low,
        "high": high,
        "relative_low": np.where(defined, relative_low, np.nan),
        "relative_high": np.where(defined, relative_high, np.nan),
        "p_t": p_t,
        "p_permutation": sign_flips(differences, resamples, [seed, users, 1]),
        "p_bootstrap": np.maximum(resampled, p_t),
        "effect_size": mean / scale,
        "minimum_detectable": detectable,
    }
    return Paired(**described, **{name: np.where(varies, tested[name], np.nan) for name in TESTED})


def bootstrap(
    models: Sequence[Float[np.ndarray, "_ n K"]], resamples: int, seed: Sequence[int]
) -> Float[np.ndarray, "R M K"]:
    """Means of all models in each resample.

    Users are drawn with replacement, the same users for all models. If a model has several seeds, these are drawn too,
    separately for each model. Drawing S of S seeds makes their variance too small by the factor (S - 1) / S, which
    matters for the usual two or three seeds, so the seed weights are stretched around 1 / S to correct for it.
    """
    users, metrics = models[0].shape[1:]
    seeds = [len(model) for model in models]
    columns = np.concatenate([model.transpose(1, 0, 2).reshape(users, -1) for model in models], axis=1)
    starts = np.cumsum([0, *seeds])
    rng, seed_rng = np.random.default_rng([*seed, 0]), np.random.default_rng([*seed, 1])
    drawn = np.empty((resamples, len(models), metrics))
    for rows in chunks(resamples, users):
        size = rows.stop - rows.start
        picked = rng.integers(users, size=(size, users)) + users * np.arange(size)[:, None]
        weights = np.bincount(picked.ravel(), minlength=size * users).reshape(size, users) / users
        by_seed = (weights @ columns).reshape(size, -1, metrics)
        for k, count in enumerate(seeds):
            means = by_seed[:, starts[k] : starts[k + 1]]
            if count == 1:
                drawn[rows, k] = means[:, 0]
            else:
                shares = seed_rng.multinomial(count, np.full(count, 1 / count), size=size) / count
                stretched = 1 / count + (shares - 1 / count) * np.sqrt(count / (count - 1))
                drawn[rows, k] = np.einsum("rs,rsk->rk", stretched, means)
    return drawn


def sign_flips(
    differences: Float[np.ndarray, "C n K"], resamples: int, seed: Sequence[int]
) -> Float[np.ndarray, "C K"]:
    """Two-sided p-value of each column: how often the sum with random signs is at least as far from 0 as the sum.

    p = (1 + number of such flips) / (1 + resamples)
    """
    challengers, users, metrics = differences.shape
    columns = differences.transpose(1, 0, 2).reshape(users, -1)
    total = columns.sum(axis=0)
    bar = np.abs(total) - 1e-12 * np.abs(columns).sum(axis=0)  # sums that are equal up to rounding reach it
    rng = np.random.default_rng([*seed])
    extreme = np.zeros(columns.shape[1], dtype=np.int64)
    for rows in chunks(resamples, users):
        size = rows.stop - rows.start
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size * users // 8)), dtype=np.uint8), count=size * users)
        flipped = 2 * (bits.reshape(size, users).astype(np.float64) @ columns) - total  # bit 1 keeps, bit 0 flips
        extreme += (np.abs(flipped) >= bar).sum(axis=0)
    p: np.ndarray = (1 + extreme) / (1 + resamples)
    by_challenger: np.ndarray = p.reshape(challengers, metrics)
    return by_challenger


def chunks(resamples: int, users: int) -> Iterator[slice]:
    """Slices of the resamples whose weights fit into `CELLS`."""
    size = max(1, CELLS // users)
    for start in range(0, resamples, size):
        yield slice(start, min(start + size, resamples))


def combined_p(p_t: np.ndarray, p_permutation: np.ndarray, resamples: int) -> np.ndarray:
    """The p-value to report: the larger of the two.

    The t-test finds too many differences where few users differ. If no flip was as extreme as the data, p_t is used
    alone: p_permutation is then 1 / (1 + resamples), the resolution of the test, and correcting that for hundreds of
    comparisons would make it look insignificant.
    """
    unresolved = p_permutation <= 1.000001 / (1 + resamples)
    p: np.ndarray = np.where(unresolved, p_t, np.maximum(p_t, p_permutation))
    return p


def holm(p: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
    """Holm's correction: adjusted p-values that control the chance of any false positive among all M.

        p_(i)  ->  max over j <= i of min(1, (M - j + 1) p_(j))        for p_(1) <= ... <= p_(M)

    NaN means that nothing was tested: it stays NaN and does not count towards M.
    """
    corrected = np.full(len(p), np.nan)
    valid = np.flatnonzero(~np.isnan(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    stepped = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped)) if len(order) else stepped
    return corrected


def gated(p: Float[np.ndarray, "M"], gate: Float[np.ndarray, "M"] | float) -> Float[np.ndarray, "M"]:
    """Holm's correction of tests that are only made where an earlier one succeeded, whose corrected p is `gate`.

    A NaN gate is open. Source: Maurer, Hothorn & Lehmacher 1995, a-priori ordered hypotheses.
    """
    found: np.ndarray = np.where(np.isnan(p), np.nan, np.fmax(holm(p), gate))
    return found
