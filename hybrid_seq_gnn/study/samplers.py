"""Optuna's samplers and pruners by the names of `study.sampler` and `study.pruner`."""

import warnings
from collections.abc import Callable
from functools import partial

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from hybrid_seq_gnn.study.settings import StudySettings

STRIDE = 1_000_003  # between the seeds of two trials
SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "random": RandomSampler,
    "gp": GPSampler,
    "cmaes": CmaEsSampler,
    "nsga2": NSGAIISampler,
    # runs that are still going count as bad, so that two processes do not try the same region (constant liar)
    "tpe": partial(TPESampler, constant_liar=True),
}


def sampler(study: StudySettings, trial: int) -> BaseSampler:
    """The sampler of one trial.

    Each trial has a seed of its own, so that a continued search draws on, and processes that search together do not
    draw the same points; what a search tries depends on its seed and on what it knows when it asks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[study.sampler](seed=(study.seed * STRIDE + trial) % (1 << 32))


def pruner(study: StudySettings, epochs: int) -> BasePruner:
    """What stops a run early; a step is an epoch."""
    if study.pruner == "median":
        return MedianPruner(n_startup_trials=study.pruner_startup, n_warmup_steps=study.pruner_warmup)
    if study.pruner == "hyperband":
        return HyperbandPruner(min_resource=max(study.pruner_warmup, 1), max_resource=epochs)
    return NopPruner()
