"""A metric as a smooth curve over history length, with a confidence band.

Source: Nadaraya 1964 and Watson 1964, kernel regression; the width is Silverman's (1986, eq. 3.31) rule of thumb.
Ours differs: the kernel works on log(1 + n), because ten more events matter for a short history and hardly at all for
a long one. The band is a percentile bootstrap over users. All series share the same resamples, so the band of a
difference is a paired one.
"""

from dataclasses import dataclass

import numpy as np

LEAST_USERS = 15.0  # effective number of users under the kernel below which a curve has a gap


@dataclass(frozen=True)
class Curve:
    """A smoothed metric at G history lengths.

    Attributes:
        length: events, (G,).
        mean: of the metric near each length, (G,); NaN where the kernel covers fewer than LEAST_USERS users.
        low, high: the pointwise 95 % band, (G,).
    """

    length: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def width_of(lengths: np.ndarray) -> float:
    """Kernel width: Silverman's 0.9 min(sd, IQR / 1.34) U^(-1/5) on log(1 + n), but at least 0.05."""
    x = np.log1p(lengths)
    spread = min(float(x.std()), float(np.subtract(*np.quantile(x, [0.75, 0.25]))) / 1.34)
    return float(max(0.9 * spread * len(x) ** -0.2, 0.05))


def curves(
    lengths: np.ndarray, values: dict[str, np.ndarray], *, points: int = 60, resamples: int = 500, seed: int = 0
) -> dict[str, Curve]:
    """The curve of each series over the lengths between the 1st and the 99th percentile.

        mean(n) = sum_u K((log(1 + n) - log(1 + n_u)) / h) y_u / sum_u K(...),   K Gaussian

    Args:
        lengths: (U,) events before the held-out item.
        values: per series, the metric of the same users in the same order, (U,).
        points: G, number of lengths at which the curve is computed, evenly spaced in log(1 + n).
        resamples: bootstrap resamples of the users, for the band.
        seed: of the resamples.

    Cost: resamples * (U + G * distinct lengths) per series.
    """
    distinct, index = np.unique(lengths, return_inverse=True)
    first, last = np.log1p(np.quantile(lengths, [0.01, 0.99]))
    grid = np.linspace(first, last, points)
    kernel = np.exp(-0.5 * ((grid[:, None] - np.log1p(distinct)[None, :]) / width_of(lengths)) ** 2)  # (G, L)

    def smooth(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((kernel @ sums) / (kernel @ counts))

    size = len(distinct)
    all_users = np.bincount(index, minlength=size).astype(np.float64)
    enough = (kernel @ all_users) ** 2 >= LEAST_USERS * np.maximum(kernel**2 @ all_users, 1e-300)  # Kish's size
    rng = np.random.default_rng(seed)
    drawn = {name: np.empty((resamples, points)) for name in values}
    for k in range(resamples):
        sample = rng.integers(0, len(lengths), len(lengths))
        drawn_index = index[sample]
        counts = np.bincount(drawn_index, minlength=size).astype(np.float64)
        for name, y in values.items():
            drawn[name][k] = smooth(counts, np.bincount(drawn_index, weights=y[sample], minlength=size))
    smoothed = {}
    for name, y in values.items():
        mean = smooth(all_users, np.bincount(index, weights=y, minlength=size))
        mean[~enough] = np.nan
        low, high = np.full(points, np.nan), np.full(points, np.nan)
        low[enough], high[enough] = np.nanquantile(drawn[name][:, enough], [0.025, 0.975], axis=0)
        smoothed[name] = Curve(np.expm1(grid), mean, low, high)
    return smoothed
