"""Is one model better than another for the same users, by how much, and how sure is that?

All tests are paired: what counts is each user's difference d_u between the metric of the challenger and that of the
baseline. Where a model was trained with several seeds, its metric is averaged over them per user first. That takes the
noise of seeds out of the averages as far as it differs from user to user, but the tests take the trained models as
given: they say what other users *like these* would show, not what another training would. `two_level` draws the seeds
again too.

Sources: Smucker, Allan & Carterette 2007, "A comparison of statistical significance tests for information retrieval
evaluation" (t-test, randomization and bootstrap agree, sign and rank tests do not); Efron & Tibshirani 1993, ch. 13
(percentile interval); Phipson & Smyth 2010 (the + 1 of a permutation p-value); Holm 1979; Owen 2007, "The pigeonhole
bootstrap" (rows and columns of a table drawn independently of each other, here users and seeds).

The mean of a resample is a product of multinomial counts with the values; so 10,000 resamples of all metrics of all
configurations are one matrix product, made in chunks of bounded memory, and all share the same resamples. The sign
flips of the permutation test are another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

CELLS = 1 << 22  # weights held at a time: 32 MiB of float64
POWER = 0.8
ROUNDING = 1e-9  # metrics that differ by less are equal


@dataclass(frozen=True)
class Paired:
    """What the differences of n users say; arrays (C, K), of C challengers and K metrics.

    All but the first five are NaN where nothing can be said: fewer than two users, or the same difference for all.

    Attributes:
        baseline: (K,) mean of the baseline; NaN without users.
        mean: of the challengers; NaN without users.
        wins, ties, losses: users for whom the challenger is better, equal, worse.
        low, high: ends of the interval of the difference.
        relative_low, relative_high: ends of the interval of difference / baseline; NaN where a resample of the baseline
            has mean 0.
        p_t: of the paired t-test, two-sided.
        p_permutation: of random sign flips, two-sided; never below 1 / (1 + resamples).
        p_bootstrap: twice the share of resamples that do not lie on the side of the difference; never below
            2 / (1 + resamples).
        effect_size: Cohen's d_z, mean / standard deviation of the differences.
        minimum_detectable: a true difference of this size would be found by the t-test in 8 of 10 such samples.
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
    """Compare every challenger with the baseline, user by user.

    Args:
        resamples: of the bootstrap and of the permutation test.
        seed: of both; decides all numbers to rounding, whatever else is compared at the same time.
        alpha: the intervals cover 1 - alpha; `minimum_detectable` is for a two-sided test at alpha.
        two_level: the bootstrap draws the seeds of every model as well as the users. A model with one seed has none to
            draw. Errs on the careful side: Owen's bootstrap counts the noise of a user with a seed about three times.

    Shape:
        baseline: (seeds, n users, K metrics). challengers: C of the same, each with seeds of its own; the users are the
        same in the same order.
    """
    models = [baseline, *challengers]
    users = baseline.shape[1]
    means = np.stack([model.mean(axis=0) for model in models])  # (1 + C, n, K)
    differences = means[1:] - means[0]
    differences[np.abs(differences) < ROUNDING] = 0.0
    counts = {"wins": differences > 0, "ties": differences == 0, "losses": differences < 0}
    overall = means.mean(axis=1) if users else np.full((len(means), means.shape[2]), np.nan)
    found = {name: which.sum(axis=1) for name, which in counts.items()}
    found |= {"baseline": overall[0], "mean": overall[1:]}
    if users < 2:
        return Paired(**found, **{name: np.full_like(overall[1:], np.nan) for name in TESTED})

    drawn = bootstrap(models if two_level else list(means[:, None]), resamples, [seed, users, 0])
    base, drawn = drawn[:, :1], drawn[:, 1:] - drawn[:, :1]
    ends = [alpha / 2, 1 - alpha / 2]
    low, high = np.quantile(drawn, ends, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative_low, relative_high = np.quantile(drawn / base, ends, axis=0)
    defined = (base > 0).all(axis=0)
    beyond = np.minimum((drawn <= ROUNDING).sum(axis=0), (drawn >= -ROUNDING).sum(axis=0))

    mean, deviation = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    varies = deviation > ROUNDING
    scale = np.where(varies, deviation, np.nan)
    freedom = users - 1
    t = mean / (scale / np.sqrt(users))
    detectable = (stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, POWER)) * scale / np.sqrt(users)
    tested = {
        "low": low,
        "high": high,
        "relative_low": np.where(defined, relative_low, np.nan),
        "relative_high": np.where(defined, relative_high, np.nan),
        "p_t": 2 * stdtr(freedom, -np.abs(t)),
        "p_permutation": sign_flips(differences, resamples, [seed, users, 1]),
        "p_bootstrap": np.minimum(1.0, 2 * (1 + beyond) / (1 + resamples)),
        "effect_size": mean / scale,
        "minimum_detectable": detectable,
    }
    return Paired(**found, **{name: np.where(varies, tested[name], np.nan) for name in TESTED})


def bootstrap(
    models: Sequence[Float[np.ndarray, "_ n K"]], resamples: int, seed: Sequence[int]
) -> Float[np.ndarray, "R M K"]:
    """Means of all models in each resample: users drawn with replacement, the same ones for all models; of a model
    with several seeds also the seeds, for each model apart.

    Drawing S of S seeds makes their spread too small by (S - 1) / S, which is much for the two or three seeds that are
    usual, so the weights of seeds are stretched around 1 / S to make up for it.
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
            mine = by_seed[:, starts[k] : starts[k + 1]]
            if count == 1:
                drawn[rows, k] = mine[:, 0]
            else:
                shares = seed_rng.multinomial(count, np.full(count, 1 / count), size=size) / count
                stretched = 1 / count + (shares - 1 / count) * np.sqrt(count / (count - 1))
                drawn[rows, k] = np.einsum("rs,rsk->rk", stretched, mine)
    return drawn


def sign_flips(
    differences: Float[np.ndarray, "C n K"], resamples: int, seed: Sequence[int]
) -> Float[np.ndarray, "C K"]:
    """Two-sided p-value of each column: how often a sum with random signs is as far from 0 as the sum itself.

    p = (1 + number of such flips) / (1 + resamples)
    """
    challengers, users, metrics = differences.shape
    columns = differences.transpose(1, 0, 2).reshape(users, -1)
    total = columns.sum(axis=0)
    bar = np.abs(total) - 1e-12 * np.abs(columns).sum(axis=0)  # what is equal but for rounding counts as as far
    rng = np.random.default_rng([*seed])
    as_far = np.zeros(columns.shape[1], dtype=np.int64)
    for rows in chunks(resamples, users):
        size = rows.stop - rows.start
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size * users // 8)), dtype=np.uint8), count=size * users)
        flipped = 2 * (bits.reshape(size, users).astype(np.float64) @ columns) - total  # bit 1 keeps, bit 0 flips
        as_far += (np.abs(flipped) >= bar).sum(axis=0)
    p: np.ndarray = (1 + as_far) / (1 + resamples)
    by_challenger: np.ndarray = p.reshape(challengers, metrics)
    return by_challenger


def chunks(resamples: int, users: int) -> Iterator[slice]:
    """Resamples by so many at a time that their weights fit into `CELLS`."""
    size = max(1, CELLS // users)
    for start in range(0, resamples, size):
        yield slice(start, min(start + size, resamples))


def combined_p(p_t: np.ndarray, p_permutation: np.ndarray, resamples: int) -> np.ndarray:
    """The p-value to go on with: the greater of the two.

    The t-test is too eager where few users differ. Only where not one flip was as extreme as the data does p_t count
    alone: 1 / (1 + resamples) is then no more than the resolution of the permutation test, and a correction for
    hundreds of comparisons would make of it what it is not.
    """
    unresolved = p_permutation <= 1.000001 / (1 + resamples)
    p: np.ndarray = np.where(unresolved, p_t, np.maximum(p_t, p_permutation))
    return p


def holm(p: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
    """Holm's correction: p-values after which alpha bounds the chance of even one false finding among all M.

        p_(i)  ->  max over j <= i of min(1, (M - j + 1) p_(j))        for p_(1) <= ... <= p_(M)

    NaN is no comparison: it stays, and is not counted.
    """
    corrected = np.full(len(p), np.nan)
    there = np.flatnonzero(~np.isnan(p))
    order = there[np.argsort(p[there], kind="stable")]
    stepped = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped)) if len(order) else stepped
    return corrected
