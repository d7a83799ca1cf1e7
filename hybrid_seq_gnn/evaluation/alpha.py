"""How much weight the fusion gave to the sequence side, overall and by history length."""

import numpy as np

from hybrid_seq_gnn.evaluation.groups import LengthGroups


def alpha_statistics(
    alpha: np.ndarray, lengths: np.ndarray, groups: LengthGroups
) -> dict[str, dict[str, float | int | None]]:
    """Mean, population standard deviation, minimum, maximum and count of alpha, by group and overall.

    For an empty group, count is 0 and everything else is None.

    Shape:
        alpha: (U,) weight of the sequence side at each user's held-out item. lengths: (U,) events before it.
    """
    statistics: dict[str, dict[str, float | int | None]] = {}
    for name, rows in groups.members(lengths).items():
        values = alpha[rows].astype(np.float64)
        found = {of: float(getattr(values, of)()) if len(values) else None for of in ("mean", "std", "min", "max")}
        statistics[name] = {**found, "count": len(values)}
    return statistics
