"""`torch.compile` for the part of a model where it can pay: the attention blocks."""

import logging
import os
import shutil

import torch
from torch import nn

from hybrid_seq_gnn.model.layers import Block

log = logging.getLogger(__name__)


def compile_blocks(model: nn.Module) -> None:
    """Compile every attention block of a model, in place, for any batch and any length.

    Embeddings, losses and ranking stay as they are: they are few large products. Dropout draws the same numbers as
    without, so that only rounding differs. The first batches take some seconds more, once for training and once for
    ranking; on one CPU core there is little to win back, on a GPU more.

    Raises:
        ValueError: there is no C++ compiler, which PyTorch needs for this.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    if not blocks:
        log.warning("training.compile=true has no effect: this model has no attention blocks.")
        return
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in names):
        raise ValueError(
            f"training.compile=true needs a C++ compiler, and {' or '.join(names)} is not found here; install one, "
            "name one in the environment variable CXX, or set training.compile=false."
        )
    for block in blocks:
        whole = torch.compile(block.at_rows, dynamic=True, options={"fallback_random": True})
        block.at_rows = whole  # type: ignore[method-assign]
