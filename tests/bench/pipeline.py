"""What worker and board do on a real Kafka of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schemas.config_file import load
from streams.sender import Sender
from tests.kafka import RealKafka

_PARTITIONS = 4
_WORKER = "127.0.0.1:29465"
_BOARD = "127.0.0.1:29464"
_TICKS = os.sysconf("SC_CLK_TCK")
_LIVE_RATE = 2000
_LIVE_S = 60
_PROBES = 100


@contextmanager
def _floorpulse(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "streams.cli", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _metric(address: str, pattern: str) -> float:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


@contextmanager
def _kafka() -> Iterator[str]:
    with RealKafka() as kafka, tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        config = Path(folder) / "floorpulse.yaml"
        config.write_text(f'kafka: {{bootstrap: ["{kafka.bootstrap}"]}}\n')
        create = ("topics", "--create", "--partitions", str(_PARTITIONS), "--config", str(config))
        subprocess.run([sys.executable, "-m", "streams.cli", *create], check=True, stdout=subprocess.DEVNULL)
        yield str(config)


def bench_drain(file: Path) -> dict[str, float]:
    """Let one worker read a backlog, journal and readings on."""
    with _kafka() as config:
        produce = [sys.executable, "-m", "streams.cli", "produce", str(file), "--config", config]
        began = time.perf_counter()
        subprocess.run(produce, check=True, stderr=subprocess.DEVNULL)
        produced_s = time.perf_counter() - began
        with file.open("rb") as lines:
            total = sum(1 for _ in lines)
        pattern = r'floorpulse_worker_events_total\{.*\}'
        with _floorpulse("worker", "--listen", _WORKER, "--config", config) as worker:
            began, cpu, counted = time.perf_counter(), 0.0, 0.0
            while counted < total:
                time.sleep(0.05)
                if counted == 0:
                    began, cpu = time.perf_counter(), _cpu_s(worker.pid)
                counted = _metric(_WORKER, pattern)
            took = time.perf_counter() - began
            cpu = _cpu_s(worker.pid) - cpu
            flushes = _metric(_WORKER, "floorpulse_worker_journal_records_total")
            journal = _metric(_WORKER, "floorpulse_worker_journal_bytes_total")
            readings = _metric(_WORKER, "floorpulse_worker_readings_total")
    return {
        "produce events/s": total / produced_s,
        "events/s": total / took,
        "CPU s per 100k events": cpu / total * 1e5,
        "events per journal record": total / flushes,
        "journal bytes per event": journal / total,
        "events per reading": total / readings,
    }


def bench_live(file: Path) -> dict[str, float]:
    """Measure event to /metrics while 2,000 simulated events a second flow."""
    del file
    with _kafka() as config, ExitStack() as stack:
        workers = [stack.enter_context(_floorpulse("worker", "--listen", _WORKER, "--config", config))]
        board = stack.enter_context(_floorpulse("board", "--listen", _BOARD, "--config", config))
        while _metric(_WORKER, "floorpulse_worker_ready") < 1:
            time.sleep(0.1)
        flow = ("simulate", "--rate", str(_LIVE_RATE), "--duration", f"{_LIVE_S + 400}s", "--config", config)
        stack.enter_context(_floorpulse(*flow))
        pattern = r'floorpulse_worker_events_total\{.*\}'
        _until_caught_up(pattern)
        cpu, counted, began = [_cpu_s(p.pid) for p in (workers[0], board)], _metric(_WORKER, pattern), time.perf_counter()
        delays = asyncio.run(_probe(config))
        took = time.perf_counter() - began
        used = [_cpu_s(p.pid) - before for p, before in zip((workers[0], board), cpu, strict=True)]
        rate = (_metric(_WORKER, pattern) - counted) / took
    ordered = sorted(delays)
    return {
        "events/s": rate,
        "event to /metrics p50, s": statistics.median(ordered),
        "event to /metrics p99, s": ordered[int(len(ordered) * 0.99)],
        "worker, share of a core": used[0] / took,
        "board, share of a core": used[1] / took,
    }


def _until_caught_up(pattern: str) -> None:
    """Wait until the simulator's warm-up has been sent and read: the rate of counting is the rate of the flow."""
    before, calm = 0.0, 0
    while calm < 3:
        time.sleep(3)
        counted = _metric(_WORKER, pattern)
        calm = calm + 1 if 0 < counted - before < 3 * 1.2 * _LIVE_RATE else 0
        before = counted


async def _probe(config: str) -> list[float]:
    """Send single events and look for their count on /metrics; return the delays in s."""
    delays: list[float] = []
    pattern = r'floorpulse_offered_total\{.*queue="probe".*\}'
    async with Sender(load(config)) as sender:
        for number in range(_PROBES):
            sent = time.time()
            session = f"probe-{number}-{sent}"
            event = {"id": session, "type": "queue.entered", "at": int(sent * 1000), "session_id": session, "queue": "probe"}
            await sender.send("queues", session.encode(), json.dumps(event).encode())
            await sender.flush()
            while await asyncio.to_thread(_metric, _BOARD, pattern) < number + 1:
                await asyncio.sleep(0.01)
                if time.time() - sent > 30:
                    raise TimeoutError(f"probe {number} never arrived")
            delays.append(time.time() - sent)
            await asyncio.sleep(_LIVE_S / _PROBES / 3)
    return delays


__all__ = ["bench_drain", "bench_live"]
