"""Python's garbage collector and the C library's heap, tuned for processes that hold much state and make few cycles."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GC_THRESHOLD: Final = (100_000, 5, 10_000)
"""By default the collector would walk the whole state again and again, every 700 new objects.

A walk through the youngest takes some 20 ms; every sixth takes along what survived the last five, up to 500,000 objects, and
what survives that is not looked at again. With every fiftieth it was up to ten million, which is probably why a live worker was
once seen to stand still for a second. With ten times smaller steps a backlog takes 6 % more CPU: more of what is only being
worked on is met.
"""


LARGE_BYTES: Final = 128 << 10
"""The size from which blocks are mapped apart by `share_heap`: where glibc begins, too, before it moves its bound."""
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep the collector from walking through what is being loaded again and again while it grows."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_memory(*, dropped: bool = True) -> None:
    """Take what was loaded out of the collector's sight, and let it look seldom.

    A walk through everything, that there was before as well, holds all threads up, heartbeats too: 2 s for a million sessions on an
    idle machine. It is made only where state was `dropped`, which hangs together in circles.
    """
    if dropped:
        gc.unfreeze()
        gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def give_back() -> None:
    """Give free pages of the heap back to the system: of itself glibc gives back only its end.

    It took 4 ms of a heap of 240 MiB with 24 free.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(ctypes.c_size_t(0))


def share_heap() -> None:
    """Let all threads share one heap, with large blocks apart from it; to be called before threads are started.

    By default glibc gives every thread a heap of its own, and maps a block apart only where it is larger than any that was freed
    before. A board's threads hand payloads and readings of up to megabytes to one another, and each of its four heaps kept holes of
    its own: beside 46 MiB in use some 35 MiB, and 6 more an hour.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:  # glibc, and others that understand it or do not mind
        tune(_M_ARENA_MAX, 1)
        tune(_M_MMAP_THRESHOLD, LARGE_BYTES)


def tidy_memory() -> None:
    """Free what hangs together in circles among what is young, and give back what is free.

    Of itself the collector would let the circles of a quiet worker lie for hours.
    """
    gc.collect(1)
    give_back()


__all__ = ["GC_THRESHOLD", "LARGE_BYTES", "collector_off", "give_back", "settle_memory", "share_heap", "tidy_memory"]
