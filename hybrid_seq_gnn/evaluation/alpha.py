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
        statistics[name] = {
            "mean": float(values.mean()) if len(values) else None,
            "std": float(values.std()) if len(values) else None,
            "min": float(values.min()) if len(values) else None,
            "max": float(values.max()) if len(values) else None,
            "count": len(values),
        }
    return statistics
