"""What the queue needs and Optuna's public interface lacks: the only module that uses a private name of Optuna."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState


def trial_of(study: optuna.Study, frozen: FrozenTrial) -> Trial:
    """A trial of any process, to write its attributes; `Study.ask` gives only new ones."""
    return Trial(study, frozen._trial_id)


def begin(study: optuna.Study, waiting: FrozenTrial) -> Trial | None:
    """Set this trial RUNNING, which of several processes only one can do; None if another was faster.

    `Study.ask` would take the oldest trial, and of an empty queue a new one, which nobody has planned.
    """
    try:
        if not study._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING):
            return None
    except UpdateFinishedTrialError:
        return None
    study._thread_local.cached_all_trials = None  # as `Study.ask` does: the sampler looks at all trials anew
    return trial_of(study, waiting)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """A value of a parameter, as `Study.ask` draws it; here each may depend on those before."""
    return trial._suggest(name, distribution)
