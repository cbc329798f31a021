"""Two boards on a real Kafka while partitions move: one that was there all along but for a while cut off, one that comes late."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import ClientSession

from schemas.config import Config
from sinks import reader
from sinks.board import Board
from tests.integration.test_worker import DEADLINE_S, PARTITIONS, Rig, expected, free_port, get, records, rig

__all__ = ["rig"]  # a fixture

OWN: Final = (
    "process_", "floorpulse_readings_age", "floorpulse_data_age", "floorpulse_publish_delay", "floorpulse_readings_ignored",
    "floorpulse_level{",
)  # fmt: skip
"""What each board says of itself and of its own reading. A level, too, depends on what the board has seen: between limit and margin
it stays what it was, and a board that comes late has seen nothing (decision 41). All the rest is the floor's.
"""
_SERIES: Final = re.compile(r"^([a-z_]+(?:\{.*\})?) (\S+)$", re.MULTILINE)
_COUNTED: Final = re.compile(r'floorpulse_(?:worker_)?events_total\{(?=.*topic="(\w+)")(?=.*outcome="(\w+)").*\}')


async def series(board: Board) -> dict[str, str]:
    """Return what a board exports of the floor, each value as it is written."""
    async with ClientSession(board.url) as client, client.get("/metrics") as answer:
        text = await answer.text()
    return {name: value for name, value in _SERIES.findall(text) if not name.startswith(OWN)}


def accounting(of: dict[str, str]) -> Counter[tuple[str, str]]:
    """Return events by topic and outcome from the series of a board or of a worker."""
    counted: Counter[tuple[str, str]] = Counter()
    for name, value in of.items():
        if match := _COUNTED.fullmatch(name):
            counted[match[1], match[2]] += int(float(value))
    return +counted


async def of_worker(port: int) -> dict[str, str]:
    """Return what a worker exports."""
    return dict(_SERIES.findall((await asyncio.to_thread(get, f"http://127.0.0.1:{port}/metrics"))[1]))


async def of_workers(ports: list[int]) -> Counter[tuple[str, str]]:
    """Return what the workers count, each for the partitions that it has."""
    return sum([accounting(await of_worker(port)) for port in ports], Counter())


async def share(ports: list[int]) -> bool:
    """Tell whether these workers have all partitions, and each has some."""
    have = [float((await of_worker(port)).get("floorpulse_worker_partitions", 0)) for port in ports]
    return all(have) and sum(have) == PARTITIONS


async def shows_some(board: Board) -> bool:
    """Tell whether a board shows indicators."""
    return any("queue=" in name for name in await series(board))


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Board]:
    """Run a board in this process."""
    kafka = {"bootstrap": [rig.section.bootstrap], "topic_prefix": rig.layout.prefix}
    told = {"kafka": kafka, "time": {"mode": "replay"}, "board": {"listen": "127.0.0.1:0", "refresh": "200ms"}}
    board = Board(Config.model_validate({**told, "alerts": {"enabled": False}}), rig.connection)
    await board.start()
    try:
        yield board
    finally:
        await board.stop()


async def until(condition: Callable[[], Awaitable[bool]], what: Callable[[], object]) -> None:
    """Wait until something is so; `what` tells what is the case instead."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():  # noqa: ASYNC110  it comes to be so in other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not so after {DEADLINE_S} s: {what()}")


async def shows_none_until_it_has_caught_up(board: Board) -> int:
    """Look at a board that reads until it is ready; returns how often it was found half-way."""
    half_way = 0
    while True:
        read = sum(board._reader._positions.values())
        shown = await series(board)
        if board._reader.ready:
            return half_way
        assert [name for name in shown if "queue=" in name or "group=" in name] == []
        assert shown["floorpulse_ready"] == "0.0"
        half_way += read > 0


def differing(some: dict[str, str], others: dict[str, str]) -> list[tuple[str, str | None, str | None]]:
    """Return what differs: name, one value, the other."""
    names = sorted(some.keys() | others.keys())
    return [(name, some.get(name), others.get(name)) for name in names if some.get(name) != others.get(name)]


@pytest.mark.timeout(300)
async def test_boards_agree_with_each_other_and_with_the_workers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last digit, whoever came late or was cut off while partitions moved; before it has caught up a board shows none.

    It is a replay, so what is the case "now" stands still, too, once all is read.
    """
    of, ports = records(12, 200), [free_port() for _ in range(3)]
    async with running(rig) as early:
        with contextlib.ExitStack() as workers:
            first = workers.enter_context(rig.worker(ports[0]))
            workers.enter_context(rig.worker(ports[1]))
            await rig.feed(of[: len(of) // 2])
            await rig.until_applied(len(of) // 4)
            await until(lambda: shows_some(early), lambda: rig.log.read_text()[-3000:])
            await early._reader.stop()  # cut off; later it goes on from where it was
            first.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(first.wait, 20) == 0
            workers.enter_context(rig.worker(ports[2]))
            await until(lambda: share(ports[1:]), lambda: rig.log.read_text()[-3000:])
            await rig.feed(of[len(of) // 2 :])
            await rig.until_applied(len(of))
            await rig.until_equal(expected(of))
            early._reader.start()
            monkeypatch.setattr(reader, "MAX_RECORDS", 20)
            async with running(rig) as late:
                assert await shows_none_until_it_has_caught_up(late) > 0
                shown: list[dict[str, str]] = []

                async def agree() -> bool:
                    shown[:] = [await series(early), await series(late)]
                    return shown[0] == shown[1]

                await until(agree, lambda: differing(*shown)[:10])
            counted = await of_workers(ports[1:])
    assert counted == accounting(shown[0])
    assert sum(counted.values()) == len(of)
    assert len([name for name in shown[0] if "queue=" in name or "group=" in name]) > 500
