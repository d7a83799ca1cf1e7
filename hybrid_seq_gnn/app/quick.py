"""The check list of `training=quick`."""

import logging
from pathlib import Path
from typing import Any

from hybrid_seq_gnn.training.loop import Progress

log = logging.getLogger(__name__)


def check_list(results: dict[str, Any], progress: Progress, folder: Path) -> None:
    """Say what a quick test found, point by point.

    Raises:
        RuntimeError: a point does not hold.
    """
    assert progress.history is not None
    first, last = progress.history[0]["loss"], progress.history[-1]["loss"]
    counts = {name: group["count"] for name, group in results["grouped_metrics"].items()}
    points = [("groups are there", set(counts) == {"short", "medium", "long", "overall"}, str(counts))]
    points += [("the best model is saved", (folder / "model.pt").exists(), str(folder / "model.pt"))]
    if first is not None:
        points += [("the loss falls", last < first or len(progress.history) == 1, f"{first:.4f} -> {last:.4f}")]
    if alpha := results.get("alpha_stats"):
        low, high = alpha["overall"]["min"], alpha["overall"]["max"]
        points += [("alpha is in [0, 1]", 0 <= low <= high <= 1, f"{low:.4f} to {high:.4f}")]
    log.info("%s", "\n".join(f"{'ok    ' if good else 'FAILED'}  {what}: {found}" for what, good, found in points))
    if failed := [what for what, good, _ in points if not good]:
        raise RuntimeError(f"training=quick: not so: {'; '.join(failed)}.")
