"""Keep a long run's memory flat."""

import ctypes
import ctypes.util
from functools import lru_cache


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("c")
    libc = ctypes.CDLL(name) if name else None
    return libc if libc is not None and hasattr(libc, "malloc_trim") else None


def release_freed_memory() -> None:
    """Give what is freed back to the system, where the C library can (glibc); elsewhere nothing happens.

    Batches differ in size, and glibc keeps the holes between them: a run of 40 epochs grew from 0.4 to 1.4 GiB without
    this. Cost: about 10 ms.
    """
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
