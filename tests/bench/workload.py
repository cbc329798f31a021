"""The events that are measured with: the simulator's mix, in live time up to now."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from time import time

from streams.simulator import Centre, encode, simulate

RATE = 500.0
"""Events per second of event time."""


def write_events(
    file: Path, count: int, seed: int = 1, *, end_ms: int | None = None, queues: int = 20, rate: float = RATE
) -> int:
    """Write so many events as JSON Lines, the last of them about `end_ms` (None: now); return how many."""
    start_ms = int((time() * 1000 if end_ms is None else end_ms) - count / rate * 1000)
    centre = Centre.default(queues=queues, seed=seed, rate=rate)
    written = 0
    with file.open("wb") as output:
        for _, _, _, event in islice(simulate(centre, start_ms, None), count):
            output.write(encode(event))
            output.write(b"\n")
            written += 1
    return written


__all__ = ["RATE", "write_events"]
