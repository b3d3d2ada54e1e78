"""The server's memory, kept small and flat; glibc's alone, since others have nothing to be told."""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8  # of mallopt(3)


def share_one_heap() -> None:
    """Let all threads take memory from one heap, before there are any.

    Each would get one of its own, grown to the largest image it ever saw: under load about 100 MB that nobody uses.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(_ARENA_MAX, 1)


def give_back() -> None:
    """Give freed memory back to the system, which glibc keeps as if it were needed again."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
