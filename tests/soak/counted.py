"""A command of floorpulse that writes down what a soak wants to know of it: `python -m tests.soak.counted FILE board --config ...`.

The file holds numbers by name: tasks, bytes of what is kept for days, and where memory lies: blocks of Python's allocator, bytes
of the C library's heap that are used and that are free, bytes that it has mapped apart, bytes of the compiled core's heap.
Quarter-hours, dates and the roster's hours come and stay for 15 or 31 days, reviews and agents' changes for one: a soak sees them
grow, and must be able to tell that from a leak.

What is kept is measured in a child of the process, a copy as it stands at that moment: adding up two million objects takes note of
each, and notes made in the process itself make it grow with what it holds.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from schemas.readings import SLICE_MS
from sinks.cells import Cells
from streams.cli import main
from streams.core.floor import Floor
from streams.native import CompiledFloor, heap_bytes
from tests.soak.state import kept_of, size_of

EVERY_S = 5.0
KEPT_EVERY = 12
"""Every so many times what is kept is measured, too."""
Thing = Cells | Floor | CompiledFloor

_known: weakref.WeakSet[Thing] = weakref.WeakSet()


def tasks() -> int:
    """Return the unfinished tasks of all event loops; asyncio's own set, which another thread may be changing."""
    while True:
        try:
            known: list[asyncio.Task[object]] = list(asyncio.tasks._all_tasks)  # type: ignore[attr-defined]
        except RuntimeError:  # one came or went meanwhile
            continue
        return sum(not task.done() for task in known)


def watch() -> None:
    """Remember all floors, and all stores of slices of a board, that are made from now on."""
    for kind in (Floor, CompiledFloor, Cells):
        kind.__init__ = _remembering(kind.__init__)  # type: ignore[method-assign]


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    def remembering(self: Thing, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        _known.add(self)

    return remembering


def kept_bytes() -> int:
    """Return the bytes of what is kept for days in all of them."""
    return sum(map(_kept, _known))


def _kept(thing: Thing) -> int:
    if isinstance(thing, CompiledFloor):
        return sum(thing.kept().values())
    if isinstance(thing, Floor):
        return sum(kept_of(thing, set()).values())
    return 0 if thing.length_ms == SLICE_MS else size_of(thing._rows, set())


def in_a_child(look: Callable[[], int]) -> int:
    """Return what a child of this process finds, in which nothing else goes on.

    A child in which the compiled core stands in the middle of something finds nothing; then another one looks. One that fails
    says why on stderr, and `RuntimeError` is raised.
    """
    found = ""
    while not found:
        found = _asked(look)
    return int(found)


def _asked(look: Callable[[], int]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(look()).encode())
        except RuntimeError:  # the compiled core is at work
            time.sleep(0.01)
        except BaseException:  # noqa: BLE001  a child must never go on as its parent would
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = answer.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("what is kept could not be measured")
    return found


class _Heap(ctypes.Structure):
    """What `mallinfo2` of the C library says."""

    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


_LIBRARY = ctypes.CDLL(None)
HOLES: tuple[int, ...] = (512, 4 << 10, 64 << 10)
"""Sizes up to which free chunks of the heap are added up; those beyond are a sum of their own.

Which of them grow tells what leaves them: blocks of 4 KiB did, buffers of readings that had doubled until they were as long.
"""


def memory() -> dict[str, int]:
    """Return where memory lies; of the C library's heap nothing where it cannot be asked."""
    found = {"blocks": sys.getallocatedblocks(), "core_heap": heap_bytes()}
    ask = getattr(_LIBRARY, "mallinfo2", None)
    if ask is not None:
        ask.restype = _Heap
        heap = ask()
        found |= {"heap_used": heap.uordblks, "heap_free": heap.fordblks, "mapped": heap.hblkhd}
    return found


def holes(scratch: Path) -> dict[str, int]:
    """Return the bytes of free chunks of the C library's heap by size; nothing where it cannot be asked. `scratch` is written."""
    if getattr(_LIBRARY, "malloc_info", None) is None:
        return {}
    _LIBRARY.fopen.restype = ctypes.c_void_p
    out = ctypes.c_void_p(_LIBRARY.fopen(os.fsencode(scratch), b"w"))
    _LIBRARY.malloc_info(0, out)
    _LIBRARY.fclose(out)
    found = dict.fromkeys([*(f"holes_{most}" for most in HOLES), "holes_larger"], 0)
    for chunks in ElementTree.parse(scratch).iterfind("heap/sizes/*"):
        most = next((most for most in HOLES if int(chunks.get("to", 0)) <= most), "larger")
        found[f"holes_{most}"] += int(chunks.get("total", 0))
    return found


def _write(file: Path) -> None:
    turn, kept = 0, 0
    by_size: dict[str, int] = {}
    while True:
        if turn % KEPT_EVERY == 0:
            kept, by_size = in_a_child(kept_bytes), holes(file.with_suffix(".heap"))
        turn += 1
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"tasks": tasks(), "kept": kept, **memory(), **by_size}))
        fresh.replace(file)  # who reads it sees one or the other
        time.sleep(EVERY_S)


if __name__ == "__main__":
    watch()
    threading.Thread(target=_write, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
