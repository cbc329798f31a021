"""How old gauges get while workers join, leave and are killed: of the partitions that stay where they are, and of those that move.

Age is `floorpulse_readings_age_seconds` of the board, looked at five times a second. Who owns what is asked of the first worker
before and after each change; a partition stays if it is that worker's both times.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.live import FLOW_S, until_caught_up
from tests.bench.running import PARTITIONS, floorpulse, free_address, kafka, metric

RATE: Final = 2000
ROUNDS: Final = 3
WATCHED_S: Final = 30.0
"""From a change on: three times the time after which Kafka gives a worker up that says nothing."""
_AGES: Final = re.compile(r'^floorpulse_readings_age_seconds\{partition="(\d+)"\} (\S+)$', re.MULTILINE)
_OWNED: Final = re.compile(r'^floorpulse_worker_watermark_age_seconds\{partition="(\d+)"\} ', re.MULTILINE)


def bench_rebalance(file: Path) -> dict[str, float]:
    """Let a second worker join, leave, and be killed, three times, while 2,000 events a second flow."""
    del file
    staying: dict[str, list[float]] = {}
    moving: dict[str, list[float]] = {}
    with kafka() as config, ExitStack() as stack:
        first, second, at_board = free_address(), free_address(), free_address()
        stack.enter_context(floorpulse("worker", "--listen", first, "--config", config))
        stack.enter_context(floorpulse("board", "--listen", at_board, "--config", config))
        while metric(first, "floorpulse_worker_ready") < 1:
            time.sleep(0.1)
        stack.enter_context(floorpulse("simulate", "--rate", str(RATE), "--duration", f"{FLOW_S}s", "--config", config))
        if not until_caught_up(first, RATE):
            raise TimeoutError(f"the machine does not keep up with {RATE} events a second")
        for _ in range(ROUNDS):
            for end in ("leave", "kill"):
                with floorpulse("worker", "--listen", second, "--config", config) as other:
                    _watch("join", first, second, at_board, staying, moving)
                    if end == "leave":
                        other.terminate()
                    else:
                        other.kill()
                    _watch(end, first, None, at_board, staying, moving)
    names = {"staying": staying, "moving": moving}
    return dict(_figures(names))


def _watch(change: str, first: str, second: str | None, board: str, staying: dict[str, list[float]],
           moving: dict[str, list[float]]) -> None:  # fmt: skip
    """Note the greatest age of each partition from a change on."""
    before, oldest = _owned(first), dict.fromkeys(range(PARTITIONS), 0.0)
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        for number, age in _ages(board).items():
            oldest[number] = max(oldest[number], age)
        time.sleep(0.2)
    after = _owned(first)
    wanted = PARTITIONS if second is None else PARTITIONS // 2
    if len(after) != wanted:
        raise TimeoutError(f"{change}: the first worker has {len(after)} partitions after {WATCHED_S:g} s, not {wanted}")
    for number, age in oldest.items():
        where = staying if number in before & after else moving
        where.setdefault(change, []).append(age)


def _figures(names: Mapping[str, Mapping[str, Sequence[float]]]) -> Iterator[tuple[str, float]]:
    for which, by_change in names.items():
        for change, ages in by_change.items():
            yield f"{which}, {change}: oldest, s", max(ages)
            yield f"{which}, {change}: median of the oldest, s", median(ages)


def _owned(worker: str) -> set[int]:
    return {int(number) for number in _OWNED.findall(_text(worker))}


def _ages(board: str) -> dict[int, float]:
    return {int(number): float(age) for number, age in _AGES.findall(_text(board))}


def _text(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


__all__ = ["bench_rebalance"]
