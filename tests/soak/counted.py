"""A command of floorpulse that writes down what a soak wants to know of it: `python -m tests.soak.counted FILE board --config ...`.

The file holds numbers by name: tasks, bytes of what is kept for days, and where memory lies (`tests.soak.memory`).
Quarter-hours, dates and the roster's hours come and stay for 15 or 31 days, complaints until they are closed: a soak sees them
grow, and must be able to tell that from a leak.

What is kept is measured in a child of the process, a copy as it stands at that moment: adding up two million objects takes note of
each, and notes made in the process itself make it grow with what it holds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from schemas.readings import SLICE_MS
from sinks.cells import Cells
from streams.cli import main
from streams.core.floor import Floor
from streams.native import CompiledFloor
from tests.soak.memory import arena_bytes, holes, memory, regions
from tests.soak.state import kept_of, size_of

EVERY_S = 5.0
KEPT_EVERY = 12
"""Every so many times what is kept is measured, too, and what else takes a while."""
OF_A_HORIZON: Final = frozenset({"agents' changes", "reviewers"})
"""What a compiled floor names as kept and a soak does not take off: its settings close agents' and reviewers' history soon."""
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
        return sum(size for part, size in thing.kept().items() if part not in OF_A_HORIZON)
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


def _write(file: Path) -> None:
    turn = 0
    seldom: dict[str, int] = {}
    while True:
        if turn % KEPT_EVERY == 0:
            seldom = {"kept": in_a_child(kept_bytes), "arenas": in_a_child(arena_bytes)}
            seldom |= holes(file.with_suffix(".heap")) | regions()
        turn += 1
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"tasks": tasks(), **memory(), **seldom}))
        fresh.replace(file)  # who reads it sees one or the other
        time.sleep(EVERY_S)


if __name__ == "__main__":
    watch()
    threading.Thread(target=_write, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
