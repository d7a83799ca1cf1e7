"""`torch.compile` for the part of a model where it pays off: the feed-forward layers of its attention blocks."""

import logging
import os
import shutil

import torch
from torch import nn

from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.model.layers import Block

log = logging.getLogger(__name__)


def compile_blocks(model: nn.Module) -> None:
    """Compile the feed-forward layers of all attention blocks in place, for any number of positions.

    Attention sees another number of groups in each batch, and would be compiled again and again. Embeddings, losses
    and ranking are a few large products. Dropout draws the same numbers as without compilation, so only rounding
    differs. The first training batch and the first ranking batch take a few seconds longer. On one CPU core there is
    little to gain, on a GPU more.

    Raises:
        ValueError: there is no C++ compiler, which PyTorch needs to compile.
    """
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    if not blocks:
        log.warning("training.compile=true has no effect: this model has no attention blocks.")
        return
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in names):
        raise UserError(
            f"training.compile=true needs a C++ compiler, and {' or '.join(names)} was not found. Install one, name "
            "yours in the environment variable CXX, or set training.compile=false."
        )
    for block in blocks:
        compiled = torch.compile(block.feed_forward, dynamic=True, options={"fallback_random": True})
        block.feed_forward = compiled  # type: ignore[method-assign]
