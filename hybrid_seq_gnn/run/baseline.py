"""Compare a hybrid with its encoder alone, user by user, for results.json."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation.groups import GROUPS, in_group
from hybrid_seq_gnn.evaluation.metrics import per_user
from hybrid_seq_gnn.evaluation.significance import combined_p, gated, paired
from hybrid_seq_gnn.files import short_path
from hybrid_seq_gnn.run.per_user import COLUMNS, NAME, read_per_user
from hybrid_seq_gnn.run.record import read_results

METRICS = ("NDCG@10", "HR@10")
RESAMPLES = 2_000


def compare_with(baseline: Path, folder: Path, seed: int) -> dict[str, Any]:
    """The `baseline` block of results.json.

    It holds, for each of `METRICS`, overall and by history length: both means over test users, their difference, the
    difference relative to the baseline with its 95 % interval (paired bootstrap over users), p (the larger of a paired
    t-test and random sign flips, see `combined_p`), and p_holm: overall p itself, by length corrected for the
    three groups and at least p overall. Undefined values are null.

    Args:
        baseline, folder: folders of finished runs, with per_user.parquet.
        seed: seed of the resamples.

    Raises:
        UserError: the baseline ranked different users or targets.
    """
    results = read_results(baseline)
    if results is None:
        raise UserError(f"{baseline} has no results.json and cannot be a baseline.")
    theirs = read_per_user(baseline, results)
    ours = pd.read_parquet(folder / NAME, columns=list(COLUMNS))
    if not theirs[["user", "target"]].equals(ours[["user", "target"]]):
        raise UserError(f"{baseline} ranked different users or targets than {folder} and cannot be its baseline.")
    values = [
        np.stack([per_user(table["rank"].to_numpy())[name] for name in METRICS], axis=1) for table in (theirs, ours)
    ]
    group = ours["group"].to_numpy()
    metrics: dict[str, dict[str, Any]] = {name: {} for name in METRICS}
    for name in GROUPS:
        rows = in_group(group, name)
        baseline_values, hybrid_values = (array[rows][None] for array in values)
        tests = paired(baseline_values, [hybrid_values], resamples=RESAMPLES, seed=seed)
        p = combined_p(tests.p_t, tests.p_permutation, RESAMPLES)
        for k, metric in enumerate(METRICS):
            base = tests.baseline[k]
            row = {"users": int(rows.sum()), "baseline": base, "hybrid": tests.mean[0, k]}
            row |= {"difference": tests.difference[0, k], "p": p[0, k]}
            row["relative"] = tests.difference[0, k] / base if base > 0 else np.nan
            row |= {"low": tests.relative_low[0, k], "high": tests.relative_high[0, k]}
            metrics[metric][name] = row
    for rows_of_metric in metrics.values():
        p = np.array([row["p"] for row in rows_of_metric.values()])
        for row, p_holm in zip(rows_of_metric.values(), [p[0], *gated(p[1:], p[0])], strict=True):
            row["p_holm"] = p_holm
            row |= {key: None if value != value else float(value) for key, value in row.items() if key != "users"}
    return {
        "folder": short_path(baseline),
        "identity": results.get("identity"),
        "model": str(results["options"].get("model")),
        "best_val_metric": results["best_val_metric"],
        "seconds": results["seconds"]["total"],
        "metrics": metrics,
    }
