"""A command of floorpulse that writes down what a soak wants to know of it: `python -m tests.soak.counted FILE board --config ...`.

The file holds two numbers: tasks, and bytes of the slices that are kept for days. Quarter-hours, dates and the roster's hours come
and stay for 15 or 31 days: a soak of two hours sees them grow, and must be able to tell that from a leak.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sinks.cells
import streams.core.cells
from schemas.readings import SLICE_MS
from streams.cli import main

EVERY_S = 5.0
KEPT_EVERY = 12
"""Every so many times the slices are measured, too: that holds the interpreter for a moment."""
_Cells = streams.core.cells.Cells | sinks.cells.Cells
_known: weakref.WeakSet[_Cells] = weakref.WeakSet()


def tasks() -> int:
    """Return the unfinished tasks of all event loops; asyncio's own set, which another thread may be changing."""
    known: list[asyncio.Task[object]] = _again(lambda: list(asyncio.tasks._all_tasks))  # type: ignore[attr-defined]
    return sum(not task.done() for task in known)


def watch_cells() -> None:
    """Remember all stores of slices that are made from now on."""
    for kind in (streams.core.cells.Cells, sinks.cells.Cells):
        kind.__init__ = _remembering(kind.__init__)  # type: ignore[method-assign]


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    def remembering(self: _Cells, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        _known.add(self)

    return remembering


def kept_bytes() -> int:
    """Return the bytes of the slices of all stores but the short ones."""
    held: list[Any] = []
    for cells in _again(lambda: list(_known)):
        if isinstance(cells, streams.core.cells.Cells):
            held += [slices for length, slices in cells.slices.items() if length != SLICE_MS]
        elif cells.length_ms != SLICE_MS:
            held.append(cells._rows)
    return sum(_again(partial(size_of, slices)) for slices in held)


def size_of(thing: Any) -> int:
    """Return the bytes of nested dicts with what only they hold: numbers and packed values; keys are shared by all slices."""
    found = sys.getsizeof(thing)
    if isinstance(thing, dict):
        for value in thing.values():
            if not isinstance(value, int) or value > 256 or value < -5:  # small numbers exist once
                found += size_of(value)
    return found


def _again(look: Callable[[], Any]) -> Any:
    """Look until nobody has changed it meanwhile."""
    while True:
        try:
            return look()
        except RuntimeError:
            continue


def _write(file: Path) -> None:
    turn, kept = 0, 0
    while True:
        if turn % KEPT_EVERY == 0:
            kept = kept_bytes()
        turn += 1
        file.write_text(f"{tasks()} {kept}")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    watch_cells()
    threading.Thread(target=_write, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
