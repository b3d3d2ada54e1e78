"""How the process treats freed memory: options of glibc's malloc; other C libraries have none of them."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of mallopt(3)


def share_one_heap() -> None:
    """Let all threads use one heap; to be called before the first thread starts.

    Otherwise each thread has its own, as large as its largest image so far: under load about 100 MB of unused memory.
    """
    _set_option(_ARENA_MAX, 1)


def keep_freed() -> None:
    """Keep freed memory for later use, as long as the process lives.

    Otherwise the system allocates a network's large feature maps anew at every step and fills every page with zeros. On
    a CPU that takes as long as all the arithmetic of training.
    """
    _set_option(_MMAP_MAX, 0)
    _set_option(_TRIM_THRESHOLD, 2**31 - 1)


def give_back() -> None:
    """Return freed memory, which glibc keeps for later use, to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _set_option(option: int, value: int) -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(option, value)
