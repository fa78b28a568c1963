"""Reusing freed memory while a network runs."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt and their defaults, from malloc.h and the manual page mallopt(3) of glibc.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536
_LARGEST_INT = 2**31 - 1


@contextmanager
def reused_memory() -> Iterator[None]:
    """Keep freed memory for the next allocation instead of giving it back to the system at once.

    A network allocates and frees the same large arrays for every batch. With its defaults glibc maps each of them
    afresh and the system clears every page again, which on a virtual machine can take longer than the arithmetic.
    Everything is given back when the block ends; the thresholds of glibc, which it adapts by itself until somebody sets
    them, then stay at their documented defaults. Does nothing where the C library is not glibc.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _LARGEST_INT)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
        libc.mallopt(_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
