"""How long an event takes to /metrics and to a screen while others flow: probes are sent one at a time, and looked for.

A direct probe is an entry into a queue, counted where it is read. A relayed one is a connect: the session's partition tells the
agent's, which counts the slot used. A probe for the screen is an entry, too: a page of its queue is open in Chromium, and says when
it shows one more who waits.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from playwright.async_api import async_playwright

from schemas.config_file import load
from streams.sender import Sender
from tests.bench.processes import usage
from tests.bench.running import COUNTED, floorpulse, free_address, kafka, metric
from tests.e2e.conftest import ARGUMENTS

RATES: Final = (5000, 2000, 500)
"""Events per second; the first that the machine keeps up with is measured at."""
FLOW_S: Final = 900
CALM_TIMEOUT_S: Final = 480.0
"""The simulator's first five minutes are sent at once, at some 10,000 events a second; at 5,000 that takes five minutes."""
PROBES: Final = 100
GAP_S: Final = 1.0
"""Between two probes, at most: at random, or all would meet flush and snapshot at the same moment of their rounds."""
GIVE_UP_S: Final = 30.0
_AGENT: Final = "probe"
_SHOWN: Final = """number => new Promise((done) => {
  const look = () => {
    const large = [...document.querySelectorAll(".hero .huge")];
    if (large.some((each) => each.textContent === String(number))) done(Date.now());
    else requestAnimationFrame(look);
  };
  look();
})"""
"""Tell when a queue's page shows so many who wait, looking at each frame."""


def bench_live(file: Path) -> dict[str, float]:
    """Measure event to /metrics and screen while 5,000 simulated events a second flow, or as many as this machine keeps up with."""
    del file
    for rate in RATES:
        figures = _live_at(rate)
        if figures:
            return figures
    raise TimeoutError(f"the machine does not keep up with {RATES[-1]} events a second")


def _live_at(rate: int) -> dict[str, float]:
    with kafka() as config, ExitStack() as stack:
        at_worker, at_board = free_address(), free_address()
        worker = stack.enter_context(floorpulse("worker", "--listen", at_worker, "--config", config))
        board = stack.enter_context(floorpulse("board", "--listen", at_board, "--config", config))
        while metric(at_worker, "floorpulse_worker_ready") < 1:
            time.sleep(0.1)
        flow = stack.enter_context(floorpulse("simulate", "--rate", str(rate), "--duration", f"{FLOW_S}s", "--config", config))
        if not until_caught_up(at_worker, rate):
            return {}
        processes = {"worker": worker, "board": board, "simulator": flow}
        before = {name: usage(process.pid).cpu_s for name, process in processes.items()}
        counted, began = metric(at_worker, COUNTED), time.perf_counter()
        direct, relayed, seen = asyncio.run(_probe(config, at_board))
        took = time.perf_counter() - began
        counted = (metric(at_worker, COUNTED) - counted) / took
        shares = {f"{name}, share of a core": (usage(p.pid).cpu_s - before[name]) / took for name, p in processes.items()}
    return {
        "events/s sent": float(rate),
        "events/s counted": counted,
        "event to /metrics p50, s": statistics.median(direct),
        "event to /metrics p99, s": _p99(direct),
        "by relay p50, s": statistics.median(relayed),
        "by relay p99, s": _p99(relayed),
        **({"event to screen p50, s": statistics.median(seen), "event to screen p99, s": _p99(seen)} if seen else {}),
        **shares,
    }


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def until_caught_up(address: str, rate: int) -> bool:
    """Wait until the simulator's warm-up has been sent and read: the rate of counting is the rate of the flow."""
    before, calm, began, first = 0.0, 0, time.monotonic(), metric(address, COUNTED)
    deadline = began + CALM_TIMEOUT_S
    while calm < 3:
        time.sleep(3)
        counted = metric(address, COUNTED)
        calm = calm + 1 if 0 < counted - before < 3 * 1.2 * rate else 0
        before = counted
        if calm == 3 and counted - first < 0.7 * rate * (time.monotonic() - began):
            return False  # steady, but slower than what is sent
        if time.monotonic() > deadline:
            return False
    return True


async def _probe(config: str, board: str) -> tuple[list[float], list[float], list[float]]:
    """Send single events and look for their effect; return the delays in s: direct ones, relayed ones, those to a screen."""
    async with Sender(load(config)) as sender:

        async def send(topic: str, key: str, event: dict[str, Any]) -> None:
            stamped = {"id": f"{key}-{time.time_ns()}", "at": time.time_ns() // 1_000_000, **event}
            await sender.send(topic, key.encode(), json.dumps(stamped).encode())
            await sender.flush()

        async def enter(session: str, queue: str = "probe") -> None:
            await send("queues", session, {"type": "queue.entered", "session_id": session, "queue": queue})

        async def connect(session: str) -> None:
            event = {"type": "session.connected", "session_id": session, "agent_id": _AGENT, "queue": "probe"}
            await send("sessions", session, event)

        status = {"type": "agent.status", "agent_id": _AGENT, "status": "available", "groups": ["probe"], "capacity": 1000}
        await send("status", _AGENT, status)
        direct = await _delays(enter, board, r'floorpulse_offered_total\{.*queue="probe".*\}')
        relayed = await _delays(connect, board, r'floorpulse_slots_used\{.*group="probe".*\}')
        return direct, relayed, await _delays_to_screen(partial(enter, queue="screen"), board)


async def _delays(send: Callable[[str], Any], board: str, pattern: str) -> list[float]:
    delays: list[float] = []
    gaps = Random(1)
    for number in range(PROBES):
        sent = time.time()
        await send(f"probe-{number}-{sent}")
        await _until_counted(board, pattern, number + 1)
        delays.append(time.time() - sent)
        await asyncio.sleep(gaps.uniform(0, GAP_S))
    return delays


async def _until_counted(board: str, pattern: str, count: int) -> None:
    since = time.monotonic()
    while await asyncio.to_thread(metric, board, pattern) < count:
        await asyncio.sleep(0.01)
        if time.monotonic() - since > GIVE_UP_S:
            raise TimeoutError(f"event {count} did not arrive within {GIVE_UP_S:.0f} s: {pattern}")


async def _delays_to_screen(send: Callable[[str], Any], board: str) -> list[float]:
    chromium = shutil.which("chromium")
    if chromium is None:
        return []
    delays: list[float] = []
    gaps = Random(2)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = await browser.new_page()
        await send("screen-0")
        await _until_counted(board, r'floorpulse_offered_total\{.*queue="screen".*\}', 1)
        await page.goto(f"http://{board}/?kiosk&page=queue&queue=screen")
        for number in range(1, PROBES + 1):
            async with asyncio.timeout(GIVE_UP_S):
                await page.evaluate(_SHOWN, number)
            await asyncio.sleep(gaps.uniform(0, GAP_S))
            sent = time.time()
            await send(f"screen-{number}")
            async with asyncio.timeout(GIVE_UP_S):
                shown = await page.evaluate(_SHOWN, number + 1)
            delays.append(shown / 1000 - sent)
        await browser.close()
    return delays


__all__ = ["FLOW_S", "bench_live", "until_caught_up"]
