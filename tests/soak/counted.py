"""A command of floorpulse that writes down what a soak wants to know of it: `python -m tests.soak.counted FILE board --config ...`.

The file holds two numbers: tasks, and bytes of what is kept for days. Quarter-hours, dates and the roster's hours come and stay
for 15 or 31 days, reviews and agents' changes for one: a soak sees them grow, and must be able to tell that from a leak.
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

from schemas.readings import SLICE_MS
from sinks.cells import Cells
from streams.cli import main
from streams.core.floor import Floor
from streams.native import CompiledFloor
from tests.soak.state import kept_of, size_of

EVERY_S = 5.0
KEPT_EVERY = 12
"""Every so many times what is kept is measured, too: that holds the interpreter for a moment."""
Thing = Cells | Floor | CompiledFloor

_known: weakref.WeakSet[Thing] = weakref.WeakSet()


def tasks() -> int:
    """Return the unfinished tasks of all event loops; asyncio's own set, which another thread may be changing."""
    known: list[asyncio.Task[object]] = _again(lambda: list(asyncio.tasks._all_tasks))  # type: ignore[attr-defined]
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
    return sum(_again(partial(_kept, thing)) for thing in _again(lambda: list(_known)))


def _kept(thing: Thing) -> int:
    if isinstance(thing, CompiledFloor):
        return sum(thing.kept().values())
    if isinstance(thing, Floor):
        return sum(kept_of(thing, set()).values())
    return 0 if thing.length_ms == SLICE_MS else size_of(thing._rows, set())


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
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{tasks()} {kept}")
        fresh.replace(file)  # who reads it sees one or the other
        time.sleep(EVERY_S)


if __name__ == "__main__":
    watch()
    threading.Thread(target=_write, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
