"""What a logger is, and what all of them share."""

import importlib.util
import logging
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

log = logging.getLogger(__name__)

Record = dict[str, Any]


@runtime_checkable
class Logger(Protocol):
    """Told how a run goes. Made before the run, whose folder may not be touched before the first call.

    A constructor parameter without a default is given by the program: `folder` (of the run), `settings` (of the run,
    `a.b.c` to value) and `name` (what to call it).
    """

    def epochs(self, history: list[Record]) -> None:
        """All records so far, after each epoch; once when an interrupted run is taken up, with those from before."""
        ...

    def finish(self, results: Record) -> None:
        """results.json of the finished run."""
        ...

    def close(self) -> None:
        """The run has ended, finished or not; called once, whatever was called before."""
        ...


class Careful:
    """A logger whose own trouble (a full disk, a database that does not answer) never ends a run.

    The first error is said, and the logger left alone from then on.
    """

    def __init__(self, logger: Logger) -> None:
        self.logger: Logger | None = logger

    def epochs(self, history: list[Record]) -> None:
        """See `Logger`."""
        self._tell("epochs", history)

    def finish(self, results: Record) -> None:
        """See `Logger`."""
        self._tell("finish", results)

    def close(self) -> None:
        self._tell("close")

    def _tell(self, what: str, *given: Any) -> None:
        if self.logger is None:
            return
        try:
            getattr(self.logger, what)(*given)
        except Exception as error:
            name = type(self.logger).__name__
            self.logger = None
            log.warning("%s is told no more of this run, which goes on: %s: %s", name, type(error).__name__, error)


def require(package: str, extra: str) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        ValueError: names the extra that brings it.
    """
    if importlib.util.find_spec(package) is None:
        raise ValueError(
            f"logger={extra} needs the package {package}, which is not installed: pip install 'hybrid_seq_gnn[{extra}]'"
        )


def scalars(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a nested record as (`validation/NDCG_at_10`, value); no logger's names may hold an @.

    Example:
        >>> list(scalars({"epoch": 3, "loss": 0.5, "validation": {"HR@10": 0.25, "HR@10/long": None}}))
        [('loss', 0.5), ('validation/HR_at_10', 0.25)]
    """
    for key, value in record.items():
        name = f"{prefix}{key}".replace("@", "_at_")
        if isinstance(value, dict):
            yield from scalars(value, f"{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "epoch":
            yield name, float(value)


def summary(results: Record) -> dict[str, float]:
    """What a logger keeps of a finished run: test metrics of all users and by group, best epoch, size and time."""
    kept = {
        "test": results["grouped_metrics"],
        "best_epoch": results["best_epoch"],
        "parameters": results["parameters"],
    }
    return dict(scalars(kept | {"best_validation_NDCG@10": results["best_val_metric"], "seconds": results["seconds"]}))
