"""A warning at the start of a training that will take long, with what would make it shorter."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from torch import nn

from hybrid_seq_gnn.graph.sparse import SparseMatrix
from hybrid_seq_gnn.loss.cross_entropy import CrossEntropy
from hybrid_seq_gnn.loss.unseen import Unseen
from hybrid_seq_gnn.training.settings import TrainingSettings

log = logging.getLogger(__name__)

LONG = 600.0  # seconds of an epoch
STEPS, SECONDS = 10, 10.0  # measured, whichever comes first, after a first step that is not typical

Item = TypeVar("Item")


def warn_if_slow(batches: Iterable[Item], steps: int, epochs: int, advice: str) -> Iterator[Item]:
    """The batches of the first epoch; warns once if epochs of so many steps will take longer than `LONG`."""
    started: float | None = None
    for done, item in enumerate(batches):
        now = time.perf_counter()
        if done == 1:
            started = now
        elif started is not None and (done > STEPS or now - started > SECONDS):
            epoch = steps * (now - started) / (done - 1)
            if epoch > LONG:
                log.warning(
                    "an epoch will take about %s, and %d epochs up to %s, going by the first %d steps. Shorter: %s.",
                    duration(epoch), epochs, duration(epochs * epoch), done, advice,
                )  # fmt: skip
            started = None
        yield item


def duration(seconds: float) -> str:
    """A time to read: 0.4 s, 42 s, 7 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def advice(model: nn.Module, loss: nn.Module, settings: TrainingSettings) -> str:
    """What would make an epoch shorter, the most promising first."""
    graph = any(isinstance(part, SparseMatrix) for part in model.modules())
    ways = {
        "loss=sampled_softmax": isinstance(loss, CrossEntropy | Unseen),
        "a lower graph.top_k": graph,
        f"a larger training.batch_size than {settings.batch_size}": True,
        "a lower model.max_length": True,
        "training.device=cuda": settings.torch_device().type == "cpu",
        "training.train_users or data.max_users for a quick look": True,
    }
    return ", ".join(way for way, applies in ways.items() if applies)
