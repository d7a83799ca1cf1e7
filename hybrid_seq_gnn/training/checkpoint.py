"""Files that are whole or not there: written beside, then renamed."""

from pathlib import Path
from typing import Any

import torch

from hybrid_seq_gnn.files import atomic


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` so that a crash at any moment leaves the old file or the new one, never half of one."""
    with atomic(path) as beside:
        torch.save(state, beside)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote; only tensors and plain values are accepted.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "set training.resume=false to start this run anew."
        ) from error
    return state
