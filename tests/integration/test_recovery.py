"""How soon a worker is back, and how it ends: killed under many open sessions, told to stop in any state, stalled, a full disk."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from streams.connection import admin_options
from streams.topics import create
from tests.bench.recovery import Stand, recover
from tests.integration.conftest import skip_without_kafka
from tests.integration.test_worker import Rig, expected, free_port, get, records, until
from tests.kafka import RealKafka

RECOVERY_S: Final = 60.0
TERM_S: Final = 20.0
MOMENTS_S: Final = (0.3, 1.0, 1.7, 2.4, 3.1)
"""When a worker is told to stop after its start: imports, connecting, joining, loading, the first flush."""
SCALED: Final = """
import sys
import streams.worker
streams.worker.STALL_S, streams.worker.GIVE_UP_S, streams.worker.LAG_S = 4.0, 12.0, 1.0
from schemas.config_file import load
from streams.run import run_worker
run_worker(load(sys.argv[1]))
"""
"""A worker that waits a fifth of the time."""


@pytest.fixture(scope="module")
def fragile() -> Iterator[RealKafka]:
    """A broker that these tests may hurt; started again for the next one."""
    skip_without_kafka()
    with RealKafka() as broker:
        yield broker


@pytest.fixture
def rig(fragile: RealKafka, prefix: str, tmp_path: Path) -> Rig:
    """Topics of its own."""
    fragile.start()
    made = Rig(fragile.bootstrap, prefix, tmp_path)
    create(admin_options(made.section), made.layout)
    return made


@contextmanager
def frozen(broker: RealKafka) -> Iterator[None]:
    """A broker that holds its connections and says nothing."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Status of a worker that is told to stop, and how long that took."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(process.wait, 2 * TERM_S)
    return status, time.monotonic() - began


@pytest.mark.timeout(180)
def test_twenty_thousand_open_sessions_are_back_after_a_kill(kafka: RealKafka, prefix: str, tmp_path: Path) -> None:
    """The first right scrape comes soon; a million are measured with `python -m tests.bench --only recovery`."""
    figures = recover(Stand(kafka, tmp_path, prefix), 20_000)
    assert figures["kill to the first right scrape, s"] < RECOVERY_S


@pytest.mark.timeout(240)
async def test_a_worker_stops_in_time_whatever_it_is_doing(rig: Rig) -> None:
    """At moments of the start, and under load; then nothing is lost, and nothing counted twice."""
    of = records(11, 1500)
    feeding = asyncio.ensure_future(rig.feed(of, 0.1))
    for moment_s in MOMENTS_S:
        with rig.worker() as worker:
            await asyncio.sleep(moment_s)
            status, took_s = await ended(worker)
            assert took_s < TERM_S, rig.log.read_text()[-3000:]
            assert status in (0, -signal.SIGTERM), "until the worker has begun, Python's own handler ends it"
    await feeding
    with rig.worker() as worker:
        await rig.until_applied(len(of))
        await rig.until_equal(expected(of))
        assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
        assert (await ended(worker))[0] == 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("after_s", [pytest.param(2.0, marks=pytest.mark.deep), None])
async def test_a_worker_stops_in_time_when_the_broker_says_nothing(rig: Rig, fragile: RealKafka, after_s: float | None) -> None:
    """While it starts and loads, or at work; what was not flushed is read again by the next one."""
    of = records(12, 300)
    await rig.feed(of[:100])
    with rig.worker() as worker:
        if after_s is None:
            await rig.until_applied(100)
            await rig.feed(of[100:])
        else:
            await asyncio.sleep(after_s)
        with frozen(fragile):
            await asyncio.sleep(1)
            assert (await ended(worker))[1] < TERM_S, rig.log.read_text()[-3000:]
    if after_s is not None:
        await rig.feed(of[100:])
    with rig.worker():
        await rig.until_applied(len(of))
        await rig.until_equal(expected(of))


@pytest.mark.deep
@pytest.mark.timeout(120)
async def test_a_worker_stops_in_time_when_the_broker_is_gone(rig: Rig, fragile: RealKafka) -> None:
    """Nobody listens any more."""
    of = records(12, 100)
    await rig.feed(of)
    with rig.worker() as worker:
        await rig.until_applied(len(of))
        fragile.kill()
        await asyncio.sleep(1)
        assert (await ended(worker))[1] < TERM_S, rig.log.read_text()[-3000:]


async def stall(rig: Rig, fragile: RealKafka, program: str | None, port: int) -> tuple[float, float, int]:
    """Let a worker stall under load; returns after how long `/livez` failed, it ended, and with which status."""
    of = records(13, 200)
    with rig.worker(port, program) as worker:
        await rig.feed(of)
        await rig.until_applied(len(of))
        assert get(f"http://127.0.0.1:{port}/livez")[0] == 200
        with frozen(fragile):
            began = time.monotonic()
            await until(lambda: get(f"http://127.0.0.1:{port}/livez")[0] == 503, "a failing /livez")
            failed_s = time.monotonic() - began
            status = await asyncio.to_thread(worker.wait, 120)
            return failed_s, time.monotonic() - began, status


@pytest.mark.timeout(180)
@pytest.mark.alone
async def test_a_worker_that_stalls_says_so_and_ends(rig: Rig, fragile: RealKafka) -> None:
    """With a fifth of the times; by the clock in the long run."""
    failed_s, ended_s, status = await stall(rig, fragile, SCALED, free_port())
    assert 3.5 < failed_s < 8
    assert failed_s < ended_s < 12 + TERM_S
    assert status == 1
    assert "no progress for 12 s" in rig.log.read_text()
    assert "floorpulse worker: no progress for 12 s" in rig.log.read_text()


@pytest.mark.deep
@pytest.mark.timeout(300)
async def test_a_stalled_worker_fails_livez_within_30_s_and_ends_within_90(rig: Rig, fragile: RealKafka) -> None:
    """By the clock, with the settings as they are."""
    failed_s, ended_s, status = await stall(rig, fragile, None, free_port())
    assert failed_s < 30
    assert ended_s < 90
    assert status == 1


@pytest.mark.deep
@pytest.mark.timeout(180)
async def test_a_full_disk_loses_nothing(rig: Rig, fragile: RealKafka) -> None:
    """The broker cannot write and gives up; the worker says so and ends; with room again all is as it should be."""
    of = records(14, 400)
    half = len(of) // 2
    with rig.worker(None, SCALED) as worker:
        await rig.feed(of[:half])
        await rig.until_applied(half)
        resource.prlimit(fragile.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))  # as a full disk: writes fail
        assert await asyncio.to_thread(worker.wait, 90) == 1
    assert "no progress for 12 s" in rig.log.read_text(), rig.log.read_text()[-3000:]
    await asyncio.to_thread(fragile.restart)
    with rig.worker():
        await rig.feed(of[half:])
        await rig.until_applied(len(of))
        await rig.until_equal(expected(of))
        assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
