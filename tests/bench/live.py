"""How long an event takes to /metrics while others flow: probes are sent one at a time, and looked for.

A direct probe is an entry into a queue, counted where it is read. A relayed one is a connect: the session's partition tells the
agent's, which counts the slot used.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Final

from schemas.config_file import load
from streams.sender import Sender
from tests.bench.processes import usage
from tests.bench.running import COUNTED, floorpulse, free_address, kafka, metric

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


def bench_live(file: Path) -> dict[str, float]:
    """Measure event to /metrics while 5,000 simulated events a second flow, or as many as this machine keeps up with."""
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
        direct, relayed = asyncio.run(_probe(config, at_board))
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


async def _probe(config: str, board: str) -> tuple[list[float], list[float]]:
    """Send single events and look for their effect on /metrics; return the delays in s, direct ones and relayed ones."""
    async with Sender(load(config)) as sender:

        async def send(topic: str, key: str, event: dict[str, Any]) -> None:
            stamped = {"id": f"{key}-{time.time_ns()}", "at": time.time_ns() // 1_000_000, **event}
            await sender.send(topic, key.encode(), json.dumps(stamped).encode())
            await sender.flush()

        async def enter(session: str) -> None:
            await send("queues", session, {"type": "queue.entered", "session_id": session, "queue": "probe"})

        async def connect(session: str) -> None:
            event = {"type": "session.connected", "session_id": session, "agent_id": _AGENT, "queue": "probe"}
            await send("sessions", session, event)

        status = {"type": "agent.status", "agent_id": _AGENT, "status": "available", "groups": ["probe"], "capacity": 1000}
        await send("status", _AGENT, status)
        direct = await _delays(enter, board, r'floorpulse_offered_total\{.*queue="probe".*\}')
        return direct, await _delays(connect, board, r'floorpulse_slots_used\{.*group="probe".*\}')


async def _delays(send: Callable[[str], Any], board: str, pattern: str) -> list[float]:
    delays: list[float] = []
    gaps = Random(1)
    for number in range(PROBES):
        sent = time.time()
        await send(f"probe-{number}-{sent}")
        while await asyncio.to_thread(metric, board, pattern) < number + 1:
            await asyncio.sleep(0.01)
            if time.time() - sent > GIVE_UP_S:
                raise TimeoutError(f"probe {number} did not arrive within {GIVE_UP_S:.0f} s: {pattern}")
        delays.append(time.time() - sent)
        await asyncio.sleep(gaps.uniform(0, GAP_S))
    return delays


__all__ = ["FLOW_S", "bench_live", "until_caught_up"]
