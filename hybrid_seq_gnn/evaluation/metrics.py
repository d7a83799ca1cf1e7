"""Ranking metrics with one held-out item per user."""

import numpy as np

METRIC = "NDCG@10"  # by which models are chosen on validation and compared on test
METRICS = (METRIC, "HR@10", "MRR@10")  # compared where no others are asked for
CUTOFFS = (5, 10, 20)
NAMES = tuple(f"{metric}@{k}" for metric in ("HR", "NDCG", "MRR") for k in CUTOFFS)


def per_user(ranks: np.ndarray) -> dict[str, np.ndarray]:
    """All metrics, user by user.

        HR@k = [r <= k],    NDCG@k = [r <= k] / log2(r + 1),    MRR@k = [r <= k] / r

    With one relevant item the ideal DCG is 1, and HR equals recall.

    Shape:
        ranks: (U,), from 1. Returns nine float64 arrays of shape (U,).
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    gains = {"HR": np.ones_like(ranks), "NDCG": 1 / np.log2(ranks + 1), "MRR": 1 / ranks}
    return {f"{name}@{k}": np.where(ranks <= k, gain, 0.0) for name, gain in gains.items() for k in CUTOFFS}


def metrics(ranks: np.ndarray) -> dict[str, float | None]:
    """Mean of each metric over users; None if there are no users."""
    return {name: float(values.mean()) if len(values) else None for name, values in per_user(ranks).items()}
