"""A worker's transport and nothing behind it: batches are counted, not decoded. BOOTSTRAP PREFIX RUN, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from typing import Any, cast

import faust
from faust.types import TP

from streams.app import INPUTS, Ownership, build_app
from streams.memory import settle_memory


class Counter:
    """Stands in the place of the partitions: everything that came may be committed."""

    def __init__(self) -> None:
        self._seen: dict[TP, int] = {}

    def attach(self, app: faust.App) -> None:
        """Follow nothing."""

    def fail(self, error: BaseException) -> None:
        """End."""
        raise SystemExit(str(error))

    async def take(self, topic: str, partition: int, records: Any) -> None:
        """Take a batch."""
        self._seen[TP(topic, partition)] = records[-1].offset + 1

    def positions(self) -> Mapping[TP, int]:
        """Begin where the group stands: nowhere."""
        return {}

    def committable(self) -> Mapping[TP, int]:
        """Return up to where batches came."""
        return self._seen

    def commit_failed(self, error: Exception) -> None:
        """Leave it to the next commit."""


async def main(bootstrap: str, prefix: str, run: str) -> None:
    """Read until SIGTERM."""
    names = {short: prefix + short for short in INPUTS}
    app = build_app(cast(Ownership, Counter()), names, run, broker=f"kafka://{bootstrap}")
    app.finalize()
    settle_memory()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with app:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
