"""The collector's and the C library's part in a worker's memory."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.memory import GC_THRESHOLD, settle_memory, tidy_memory
from streams.run import _tidy


class Circle:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def settled() -> Iterator[None]:
    """The collector as a worker sets it; put back afterwards."""
    before = gc.get_threshold()
    settle_memory()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("settled")
def test_circles_go_without_a_hundred_thousand_objects() -> None:
    """A quiet worker makes a dozen objects a second in circles, as each connection of a client leaves them."""
    made = [weakref.ref(Circle()) for _ in range(10)]
    assert gc.get_threshold() == GC_THRESHOLD
    assert all(each() is not None for each in made)
    tidy_memory()
    assert all(each() is None for each in made)


@pytest.mark.usefixtures("settled")
def test_what_was_loaded_is_not_walked_through() -> None:
    """A million sessions take the collector 2 s."""
    old = Circle()
    known = weakref.ref(old)
    gc.freeze()
    del old
    tidy_memory()
    assert known() is not None


def resident_bytes() -> int:
    """Return what this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


_HOLES = """
from streams.memory import tidy_memory
from tests.unit.test_memory import resident_bytes

blocks = [bytearray(64 << 10) for _ in range(2_000)]
del blocks[::2]
before = resident_bytes()
tidy_memory()
print((before - resident_bytes()) >> 20)
"""


def test_holes_in_the_heap_are_given_back() -> None:
    """62 MiB of them, between blocks that stay; in a process of its own, whose heap is known."""
    done = subprocess.run([sys.executable, "-c", _HOLES], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 40


async def test_a_board_gives_memory_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, again and again."""
    loop, times = asyncio.get_running_loop(), asyncio.Semaphore(0)
    monkeypatch.setattr("streams.run.TIDY_S", 0.01)
    monkeypatch.setattr("streams.memory.give_back", lambda: loop.call_soon_threadsafe(times.release))
    tidying = asyncio.create_task(_tidy())
    async with asyncio.timeout(20):
        for _ in range(2):
            await times.acquire()
    tidying.cancel()
