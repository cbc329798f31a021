"""A command of floorpulse that writes down how many tasks it has: `python -m tests.soak.counted FILE board --config ...`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path

from streams.cli import main

EVERY_S = 5.0


def tasks() -> int:
    """Return the unfinished tasks of all event loops; asyncio's own set, which another thread may be changing."""
    while True:
        try:
            known: list[asyncio.Task[object]] = list(asyncio.tasks._all_tasks)  # type: ignore[attr-defined]
            return sum(not task.done() for task in known)
        except RuntimeError:
            continue


def _write(file: Path) -> None:
    while True:
        file.write_text(str(tasks()))
        time.sleep(EVERY_S)


if __name__ == "__main__":
    threading.Thread(target=_write, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
