"""Whether bfloat16 is worth it on this CPU: from 7 times faster to 80 times slower than float32 were seen."""

import logging
import timeit

import torch

log = logging.getLogger(__name__)

SIZE, REPEATS = 256, 5


def warn_slow_bf16() -> None:
    """Measure one matrix product in both types, and warn if bfloat16 is the slower one. Cost: milliseconds."""
    half, single = seconds(torch.bfloat16), seconds(torch.float32)
    if half > single:
        log.warning(
            "training.amp=bf16: on this CPU a matrix product takes %.1f times as long in bfloat16 as in float32; "
            "training.amp=off is faster.",
            half / single,
        )


def seconds(dtype: torch.dtype) -> float:
    """Shortest time of a product of two SIZE x SIZE matrices."""
    x = torch.ones(SIZE, SIZE, dtype=dtype)
    return min(timeit.repeat(lambda: x @ x, repeat=REPEATS, number=1))
