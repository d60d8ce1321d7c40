"""Keep freed memory in the process while training on a CPU.

glibc gives large blocks back to the system when they are freed and takes them again in the next step; every page of
them is then cleared and mapped anew. On virtual machines that can cost as much as the arithmetic.
"""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # malloc.h
LARGEST_BLOCK_BYTES = 32 * 2**20  # glibc takes no more
KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the rest of the process; does nothing on other systems.

    Returns:
        Whether it was told.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BLOCK_BYTES) and mallopt(TRIM_THRESHOLD, KEPT_BYTES))
