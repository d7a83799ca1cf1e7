"""Train all weights together with one loss, as for any model without a fusion and for the study's hybrids."""

from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_seq_gnn.files import read_json
from hybrid_seq_gnn.training.fusion_fit import check_chosen
from hybrid_seq_gnn.training.loop import train
from hybrid_seq_gnn.training.strategy import Outcome, Strategy, StrategyRun, stage_of


@dataclass(frozen=True, kw_only=True)
class Joint(Strategy):
    """Train the whole model in one stage."""

    def __call__(self, run: StrategyRun) -> Outcome:
        """Train the run's model, in place.

        Raises:
            UserError: an alpha of the fusion is null.
        """
        check_chosen(getattr(run.model, "fusion", None))
        return Outcome(train(stage_of(run, run.model, run.loss), self))

    def refit(self, run: StrategyRun, first: Path) -> Outcome:
        stage = replace(stage_of(run, run.model, run.loss), validate=None)
        return Outcome(train(stage, self, until=read_json(first / "results.json")["best_epoch"]))
