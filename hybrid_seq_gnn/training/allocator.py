"""Keep the memory of a long run from growing."""

import ctypes
import ctypes.util
from functools import lru_cache


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("c")
    libc = ctypes.CDLL(name) if name else None
    return libc if libc is not None and hasattr(libc, "malloc_trim") else None


def release_freed_memory() -> None:
    """Return freed memory to the operating system. Does nothing if the C library is not glibc.

    Batches differ in size, and glibc keeps the fragments between them: without this call, a run of 40 epochs grew from
    0.4 to 1.4 GiB. Cost: about 10 ms.
    """
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)
