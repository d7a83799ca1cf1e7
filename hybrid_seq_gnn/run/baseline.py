"""A hybrid against its encoder alone, user by user, for results.json."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid_seq_gnn.evaluation.groups import OVERALL, LengthGroups
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.significance import combined_p, holm, paired
from hybrid_seq_gnn.files import shown
from hybrid_seq_gnn.run.record import read_results

METRICS = ("NDCG@10", "HR@10")
RESAMPLES = 2_000


def compare_with(baseline: Path, folder: Path, seed: int) -> dict[str, Any]:
    """The `baseline` block of results.json.

    Holds for each of `METRICS`, overall and by history length: both means over test users, the difference, the same in
    per cent of the baseline with its 95 % interval (paired bootstrap over users), and p: the greater of a paired t-test
    and random sign flips, and p_holm, corrected for the four rows of a metric. Null where nothing can be said.

    Args:
        baseline, folder: finished run folders, with per_user.parquet.
        seed: of the resamples.

    Raises:
        ValueError: the baseline ranked other users or targets.
    """
    done = read_results(baseline)
    theirs, ours = (pd.read_parquet(place / "per_user.parquet") for place in (baseline, folder))
    if done is None or not theirs[["user", "target"]].equals(ours[["user", "target"]]):
        raise ValueError(f"{baseline} ranked other users or targets than {folder}; it is no baseline for it.")
    values = [
        np.stack([per_user(each["rank"].to_numpy())[name] for name in METRICS], axis=1) for each in (theirs, ours)
    ]
    names = (OVERALL, *LengthGroups.names)
    group = ours["group"].to_numpy()
    metrics: dict[str, dict[str, Any]] = {name: {} for name in METRICS}
    for name in names:
        rows = np.ones(len(ours), dtype=bool) if name == OVERALL else group == name
        before, after = (each[rows][None] for each in values)
        found = paired(before, [after], resamples=RESAMPLES, seed=seed)
        p = combined_p(found.p_t, found.p_permutation, RESAMPLES)
        for k, metric in enumerate(METRICS):
            base = found.baseline[k]
            row = {"users": int(rows.sum()), "baseline": base, "hybrid": found.mean[0, k]}
            row |= {"difference": found.difference[0, k], "p": p[0, k]}
            row["relative"] = found.difference[0, k] / base if base > 0 else np.nan
            row |= {"low": found.relative_low[0, k], "high": found.relative_high[0, k]}
            metrics[metric][name] = row
    for rows_of_metric in metrics.values():
        corrected = holm(np.array([row["p"] for row in rows_of_metric.values()]))
        for row, p_holm in zip(rows_of_metric.values(), corrected, strict=True):
            row["p_holm"] = p_holm
            row |= {key: None if value != value else float(value) for key, value in row.items() if key != "users"}
    return {
        "folder": shown(baseline),
        "identity": done["identity"],
        "model": done["options"]["model"],
        "best_val_metric": done["best_val_metric"],
        "seconds": done["seconds"]["total"],
        "metrics": metrics,
    }
