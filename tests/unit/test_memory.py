"""The collector's and the C library's part in a worker's memory."""

from __future__ import annotations

import asyncio
import ctypes
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


_HEAPS = """
import ctypes, sys, threading
from pathlib import Path
from xml.etree import ElementTree
from streams.memory import LARGE_BYTES, share_heap
from tests.soak.memory import holes, memory

if sys.argv[2] == "shared":
    share_heap()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free(ctypes.c_void_p(library.malloc(ctypes.c_size_t(8 << 20))))  # by itself glibc moves its bound to 8 MiB now
threads = [threading.Thread(target=library.malloc, args=(ctypes.c_size_t(1000),)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = memory()["mapped"]
for _ in range(20):
    library.malloc(ctypes.c_size_t(LARGE_BYTES))
apart = memory()["mapped"] - before
file = Path(sys.argv[1])
holes(file)
print(len(ElementTree.parse(file).findall("heap")), apart > 10 * LARGE_BYTES)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library cannot be asked how many heaps it has")
@pytest.mark.parametrize(("how", "one_heap", "is_apart"), [("shared", True, "True"), ("as it is", False, "False")])
def test_a_boards_threads_share_a_heap_and_large_blocks_are_apart(tmp_path: Path, how: str, one_heap: bool, is_apart: str) -> None:
    """In a process of its own; by default each thread has one, and what is large lies in it."""
    done = subprocess.run([sys.executable, "-c", _HEAPS, str(tmp_path / "heap"), how], check=True, capture_output=True, text=True)
    heaps, apart = done.stdout.split()
    assert (int(heaps) == 1, apart) == (one_heap, is_apart)


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
