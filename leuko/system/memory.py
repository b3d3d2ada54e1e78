"""What a process does with memory it has freed; glibc's alone, since others have nothing to be told."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of mallopt(3)


def share_one_heap() -> None:
    """Let all threads take memory from one heap, before there are any.

    Each would get one of its own, grown to the largest image it ever saw: under load about 100 MB that nobody uses.
    """
    _set_option(_ARENA_MAX, 1)


def keep_freed() -> None:
    """Keep what is freed, to be used again, as long as the process lives.

    A network's feature maps are so large that each is asked of the system and given back anew, at every step, and the
    system fills every page with zeros first. On a CPU that takes as long as all the arithmetic of training.
    """
    _set_option(_MMAP_MAX, 0)
    _set_option(_TRIM_THRESHOLD, 2**31 - 1)


def give_back() -> None:
    """Give freed memory back to the system, which glibc keeps as if it were needed again."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _set_option(option: int, value: int) -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(option, value)
