"""A baseline against other configurations: one row a configuration, metric and length group.

`compare` returns a data frame with these columns (numbers of the test split; NaN where there is nothing to say):

| column | meaning |
|---|---|
| name | of the configuration |
| metric, group | `NDCG@10`; `overall`, `short`, `medium` or `long` |
| family | `primary` (the first metric, overall), `by length` (the first metric, groups) or `exploratory` (the rest) |
| users | of the group |
| seeds, baseline_seeds | runs that were averaged per user before anything was tested |
| baseline, mean | the metric: mean over users and seeds |
| sd_over_seeds, baseline_sd_over_seeds | standard deviation (n - 1) of the runs' metrics; NaN for one seed |
| difference, relative | mean - baseline; the same as a share of the baseline |
| low, high, relative_low, relative_high | 1 - alpha interval of both: percentiles of a paired bootstrap over users |
| p_t, p_permutation | paired t-test and random sign flips over users, two-sided, uncorrected |
| p_bootstrap | of the bootstrap over seeds and users; NaN unless `two_level` |
| p_holm | Holm's correction within the family, of `combined_p` of the two tests, or of p_bootstrap with `two_level` |
| effect_size | Cohen's d_z |
| minimum_detectable | a true difference of this size would be found (uncorrected) in 8 of 10 such samples of users |
| wins, ties, losses | users |
| significant | p_holm < alpha: True or False, or None where it cannot be tested |

The chance of any false positive in a family is at most alpha. A length group is only tested where the configuration
differs overall: its p_holm is at least that of its primary row (a fixed sequence of tests; Maurer et al. 1995). What is
exploratory suggests new questions and settles none.

Rows are ordered as they were asked for: by configuration, then metric, then group.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.evaluation import significance
from hybrid_seq_gnn.evaluation.groups import GROUPS, OVERALL, in_group
from hybrid_seq_gnn.evaluation.metrics import METRICS, NAMES, per_user
from hybrid_seq_gnn.results.configurations import Configuration
from hybrid_seq_gnn.results.runs import FinishedRun, require_comparable

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = (PRIMARY, BY_LENGTH, EXPLORATORY) = ("primary", "by length", "exploratory")
COLUMNS = (
    *("name", "metric", "group", "family", "users", "seeds", "baseline_seeds"),
    *("baseline", "mean", "sd_over_seeds", "baseline_sd_over_seeds", "difference", "relative"),
    *("low", "high", "relative_low", "relative_high", "p_t", "p_permutation", "p_bootstrap", "p_holm"),
    *("effect_size", "minimum_detectable", "wins", "ties", "losses", "significant"),
)


def compare(
    baseline: Configuration,
    others: Sequence[Configuration],
    metrics: Sequence[str] = METRICS,
    groups: Sequence[str] = GROUPS,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    alpha: float = 0.05,
    two_level: bool = False,
) -> "pd.DataFrame":
    """Compare every one of `others` with the baseline; the columns are those of the module's docstring.

    Args:
        metrics: of `evaluation.metrics.NAMES`.
        groups: of `GROUPS`.
        resamples, seed, alpha, two_level: see `significance.paired`.

    Raises:
        UserError: runs of different data or splits, or files that cannot be read or do not fit together.
    """
    import pandas as pd

    wanted, groups = groups, groups if OVERALL in groups else (OVERALL, *groups)  # which opens the gate of the others
    unknown = [name for name in metrics if name not in NAMES] + [name for name in groups if name not in GROUPS]
    if unknown:
        raise UserError(f"{unknown[0]}: expected metrics of {', '.join(NAMES)} and groups of {', '.join(GROUPS)}.")
    require_comparable([run for configuration in (baseline, *others) for run in configuration.runs])
    first = baseline.runs[0]
    models = [values(configuration.runs, first, metrics) for configuration in (baseline, *others)]
    of_group = first.per_user["group"].to_numpy()
    rows: list[dict[str, Any]] = []
    for group in groups:
        members = in_group(of_group, group)
        inside = [model[:, members] for model in models]
        found = significance.paired(
            inside[0], inside[1:], resamples=resamples, seed=seed, alpha=alpha, two_level=two_level
        )
        nothing = np.full(len(metrics), np.nan)
        spread = [
            model.mean(axis=1).std(axis=0, ddof=1) if len(model) > 1 and members.any() else nothing for model in inside
        ]
        for c, configuration in enumerate(others):
            for k, metric in enumerate(metrics):
                row: dict[str, Any] = {"name": configuration.name, "metric": metric, "group": group}
                row["family"] = family(metric, group, metrics[0])
                row |= {"users": int(members.sum()), "seeds": len(configuration.runs)}
                row |= {"baseline_seeds": len(baseline.runs), "baseline": found.baseline[k]}
                row |= {"sd_over_seeds": spread[1 + c][k], "baseline_sd_over_seeds": spread[0][k]}
                row |= {name: getattr(found, name)[c, k] for name in ("mean", "difference", "wins", "ties", "losses")}
                row |= {name: getattr(found, name)[c, k] for name in significance.TESTED}
                row["relative"] = row["difference"] / row["baseline"] if row["baseline"] > 0 else np.nan
                rows.append(row)
    place = {name: k for k, name in enumerate((*metrics, *groups))}
    order = {configuration.name: k for k, configuration in enumerate(others)}
    rows.sort(key=lambda row: (order[row["name"]], place[row["metric"]], place[row["group"]]))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    p_t, p_permutation = frame["p_t"].to_numpy(dtype=float), frame["p_permutation"].to_numpy(dtype=float)
    p = significance.combined_p(p_t, p_permutation, resamples)
    if two_level:
        p = frame["p_bootstrap"].to_numpy(dtype=float)
    else:
        frame["p_bootstrap"] = np.nan
    shown = frame["group"].isin(wanted).to_numpy()
    gate = (frame["family"] == PRIMARY).to_numpy()
    frame["p_holm"] = by_family(frame, np.where(shown | gate, p, np.nan))
    frame["significant"] = pd.Series([None if np.isnan(p) else bool(p < alpha) for p in frame["p_holm"]], dtype=object)
    return frame[shown].reset_index(drop=True)


def family(metric: str, group: str, first: str) -> str:
    """The family of a test, where `first` is the first metric of a comparison."""
    if metric != first:
        return EXPLORATORY
    return PRIMARY if group == OVERALL else BY_LENGTH


def by_family(frame: "pd.DataFrame", p: np.ndarray) -> np.ndarray:
    """Holm's correction within each family; a length group has at least the p of its configuration overall."""
    primary, by_length, rest = ((frame["family"] == name).to_numpy() for name in FAMILIES)
    corrected = np.full(len(p), np.nan)
    corrected[primary], corrected[rest] = significance.holm(p[primary]), significance.holm(p[rest])
    overall = dict(zip(frame["name"][primary], corrected[primary], strict=True))
    gate = frame["name"].map(overall).to_numpy(dtype=float)
    corrected[by_length] = significance.gated(p[by_length], gate[by_length])
    return corrected


def values(runs: Sequence[FinishedRun], first: FinishedRun, metrics: Sequence[str]) -> np.ndarray:
    """Each user's metrics in each run, (runs, users, metrics); users in the order of `first.per_user`.

    Raises:
        UserError: a run has other users, targets or groups than `first`.
    """
    found = []
    for run in runs:
        for column in ("user", "target", "group"):
            if not np.array_equal(run.per_user[column].to_numpy(), first.per_user[column].to_numpy()):
                raise UserError(
                    f"{run.folder / 'per_user.parquet'} has another column {column} than that of {first.folder}, "
                    "though results.json says that both have the same split: one of the files is not of its run."
                )
        every = per_user(run.per_user["rank"].to_numpy())
        found.append(np.stack([every[name] for name in metrics], axis=1))
    return np.stack(found)
