"""What bad records cost: the core over a load, and over the same load with a tenth of it mutated."""

from __future__ import annotations

import random
import statistics
from pathlib import Path
from time import process_time, time_ns
from typing import Final

from schemas.events import INPUT_TOPICS
from schemas.rules import Rules
from streams.core.driver import Driver, Record
from streams.lines import read_lines
from streams.memory import settle_memory
from tests.garbage import mutated

SHARE: Final = 0.10
_BATCH: Final = 2_000
_TURNS: Final = 5
"""Good and poisoned runs take turns, so that whatever else the machine does meets both."""


def _poisoned(records: list[Record], rng: random.Random) -> list[Record]:
    return [(topic, key, mutated(rng, value) if rng.random() < SHARE else value) for topic, key, value in records]


def _cpu_us(records: list[Record]) -> tuple[float, int]:
    """Return the CPU per record in us, and how many were rejected."""
    driver, now_ms = Driver(1, Rules(live=True)), time_ns() // 1_000_000  # a mutated time may lie in the year 9999
    settle_memory()
    began = process_time()
    for begin in range(0, len(records), _BATCH):
        driver.apply(records[begin : begin + _BATCH], now_ms)
        driver.flush(now_ms, at_end=INPUT_TOPICS)
        driver.take()
    return (process_time() - began) / len(records) * 1e6, len(driver.rejects)


def bench_poison(file: Path) -> dict[str, float]:
    """Compare CPU per record, one run after the other in turns."""
    good = [line[:3] for batch in read_lines(file) for line in batch][:200_000]
    bad = _poisoned(good, random.Random(1))
    turns = [(_cpu_us(good), _cpu_us(bad)) for _ in range(_TURNS)]
    return {
        "CPU us per record": statistics.median(clean for (clean, _), _ in turns),
        "CPU us per record, a tenth mutated": statistics.median(mixed for _, (mixed, _) in turns),
        "ratio": statistics.median(mixed / clean for (clean, _), (mixed, _) in turns),
        "rejected, share": turns[0][1][1] / len(bad),
    }


__all__ = ["bench_poison"]
