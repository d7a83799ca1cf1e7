"""The interface of loggers, and functions that they share."""

import importlib.util
import logging
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from hybrid_seq_gnn.errors import UserError

log = logging.getLogger(__name__)

Record = dict[str, Any]


@runtime_checkable
class Logger(Protocol):
    """Receives the progress of a run. Created before the run; must not touch the run folder before the first call.

    The program fills constructor parameters without a default: `folder` (the run folder), `settings` (settings of the
    run, `a.b.c` to value) and `name` (name of the run).
    """

    def epochs(self, history: list[Record]) -> None:
        """Called with all records so far, once at the start (those of a resumed run) and then after each epoch."""
        ...

    def finish(self, results: Record) -> None:
        """Called with the content of results.json when the run has finished."""
        ...

    def close(self) -> None:
        """Called once when the run has ended, finished or not, even if nothing else was called before."""
        ...


class SafeLogger:
    """Wraps a logger so that its errors (a full disk, a database that does not answer) never end a run.

    After the first error, which is logged as a warning, the logger is not called any more.
    """

    def __init__(self, logger: Logger) -> None:
        self.logger: Logger | None = logger

    def epochs(self, history: list[Record]) -> None:
        self._call("epochs", history)

    def finish(self, results: Record) -> None:
        self._call("finish", results)

    def close(self) -> None:
        self._call("close")

    def _call(self, method: str, *arguments: Any) -> None:
        if self.logger is None:
            return
        try:
            getattr(self.logger, method)(*arguments)
        except Exception as error:
            name = type(self.logger).__name__
            self.logger = None
            log.warning("%s failed and is switched off; the run continues. %s: %s", name, type(error).__name__, error)


def require(package: str, extra: str) -> None:
    """Raise an error if a logger's package is not installed.

    Raises:
        UserError: not installed; the message names the extra that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"logger={extra} needs the package {package}, which is not installed: pip install 'hybrid_seq_gnn[{extra}]'"
        )


def scalars(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a nested record as (`validation/NDCG_at_10`, value), without @, which loggers do not allow.

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
    """What loggers store of a finished run: test metrics overall and by group, best epoch, size and time."""
    test = {
        "test": results["grouped_metrics"],
        "best_epoch": results["best_epoch"],
        "parameters": results["parameters"],
    }
    return dict(scalars(test | {"best_validation_NDCG@10": results["best_val_metric"], "seconds": results["seconds"]}))
