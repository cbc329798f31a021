"""The board's event loop never stands still: not for the first snapshot, midnight, tables, nor many readings at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from schemas.readings import QUARTER_MS
from sinks.board import Board
from sinks.loop import tune_process
from tests.builders import Publisher
from tests.unit.test_board import NOBODY, config, wall
from tests.unit.test_board_returns import Sent

pytestmark = pytest.mark.alone

STALL_S = 0.1
"""Twice what is promised, for machines that do other things besides."""
QUEUES, PARTITIONS, DAYS = 20, 3, 8
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _tuned() -> Iterator[None]:
    """Tune this process as `floorpulse board` does."""
    switch_s, threshold = sys.getswitchinterval(), gc.get_threshold()
    tune_process()
    yield
    sys.setswitchinterval(switch_s)
    gc.set_threshold(*threshold)
    gc.unfreeze()


def starved_s() -> float:
    """For how long this process's threads could run but got no core, together; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        return sum(int(each.read_text().split()[1]) for each in Path("/proc/self/task").glob("*/schedstat")) / 1e9
    return 0.0


class Stalls:
    """The longest time for which the event loop did not come round, though its threads had a core."""

    def __init__(self) -> None:
        self.worst_s = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Stalls]:
    """Watch the event loop."""
    stalls = Stalls()

    async def watch() -> None:
        starved = starved_s()
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            if (stall_s := time.perf_counter() - before - 0.001) > stalls.worst_s:
                stalls.worst_s = max(stalls.worst_s, stall_s - max(0.0, starved_s() - starved))
            starved = starved_s()

    watcher = asyncio.create_task(watch())
    try:
        await asyncio.sleep(0.01)
        yield stalls
    finally:
        watcher.cancel()


def history(now: int) -> list[list[tuple[bytes, bytes | None]]]:
    """Return the readings of a centre's last days, by partition."""
    parts = {"offered": 3, "answered": 2, "answered_within": 1, "abandoned": 1, "wait_answered_ms": 20_000, "talk_ms": 90_000}
    workers = [Publisher(number) for number in range(PARTITIONS)]
    for worker in workers:
        for quarter in range(DAYS * 96):
            for queue in range(QUEUES):
                worker.put("queue", f"queue {queue}", "voice", QUARTER_MS, now - quarter * QUARTER_MS, parts)
    return [worker.flush(now) for worker in workers]


async def test_nothing_keeps_the_event_loop_from_answering() -> None:
    """Readings of days that take effect at once, the first snapshot, a table, comparisons, midnight: /livez answers all along."""
    clock, answers = [wall()], 0
    board = Board(config(), NOBODY, clock_ms=lambda: clock[0])
    reader = board._reader
    batch = [(number, records) for number, records in enumerate(history(clock[0]))]
    await board.start()
    try:
        async with ClientSession(board.url) as client, watched() as stalls:

            def read() -> None:
                for partition, records in batch:
                    for offset, (key, value) in enumerate(records):
                        reader._take(partition, Sent(offset, (key, value), wall()))

            reading = asyncio.create_task(reader.alone(read))
            while not board.snapshot.ready:
                async with client.get("/livez") as answer:
                    assert answer.status == 200
                answers += 1
                reader.ready = reading.done()
            await reading
            for path in ("/metrics", "/api/v1/intervals", "/api/v1/comparisons", "/api/v1/explain?kpi=answered&queue=queue+1"):
                async with client.get(path) as answer:
                    assert answer.status == 200
                    await answer.read()
            number = board.snapshot.number
            clock[0] += DAY_MS
            assert (await board.next_snapshot(number + 1)).ready
    finally:
        await board.stop()
    assert answers > 20
    assert stalls.worst_s < STALL_S


async def test_a_long_first_snapshot_is_no_hang_and_can_be_stopped() -> None:
    """/livez tells of a board that reads for minutes that it is alive; told to stop, it does not finish first."""
    clock, dates = [wall()], 0
    board = Board(config(), NOBODY, clock_ms=lambda: clock[0])
    for partition, records in enumerate(history(clock[0])):
        for offset, (key, value) in enumerate(records):
            board._reader._take(partition, Sent(offset, (key, value), wall()))
    go_on = board._go_on

    def slowly() -> None:
        nonlocal dates
        dates += 1
        time.sleep(0.5)
        go_on()

    board._snapshots.windows.between = slowly
    await board.start()
    board._reader.ready = True
    async with asyncio.timeout(20):
        while dates < 1:  # noqa: ASYNC110  it comes to be so in a thread
            await asyncio.sleep(0.01)
    alive = []
    for more_s in (120, 600):
        assert board._reading_since is not None
        board._reading_since -= more_s
        alive.append(board.alive)
    assert alive == [True, False]
    await board.stop()
    assert dates < DAYS
    assert not board.snapshot.ready
