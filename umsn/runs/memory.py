"""Memory that a training asks for again and again stays with it."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_NEVER: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to keep the memory that tensors free, for the next ones; return whether it does.

    Otherwise glibc gives a large tensor's memory back to the system at once, and every step has the system
    clear new pages. Only glibc has these settings (``mallopt(3)``); elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return library.mallopt(_M_MMAP_MAX, 0) == 1 and library.mallopt(_M_TRIM_THRESHOLD, _NEVER) == 1
