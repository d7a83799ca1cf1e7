"""How much weight the sequence side really had, and for whom."""

import numpy as np

from hybrid_seq_gnn.evaluation.groups import LengthGroups


def alpha_statistics(
    alpha: np.ndarray, lengths: np.ndarray, groups: LengthGroups
) -> dict[str, dict[str, float | int | None]]:
    """Mean, standard deviation (population), least, greatest and number of alpha, by group and overall.

    An empty group has count 0 and nulls.

    Shape:
        alpha: (U,) weight of the sequence side at each user's held-out item. lengths: (U,) events before it.
    """
    statistics: dict[str, dict[str, float | int | None]] = {}
    for name, rows in groups.members(lengths).items():
        values = alpha[rows].astype(np.float64)
        some = len(values) > 0
        statistics[name] = {
            "mean": float(values.mean()) if some else None,
            "std": float(values.std()) if some else None,
            "min": float(values.min()) if some else None,
            "max": float(values.max()) if some else None,
            "count": len(values),
        }
    return statistics
