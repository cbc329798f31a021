"""How fast workers read a backlog on a real Kafka of this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from schemas.config_file import load
from streams.topics import DEFAULT_PREFIX
from tests.bench.processes import usage
from tests.bench.running import COUNTED, PARTITIONS, fill, floorpulse, free_address, kafka, metric

TIMEOUT_S = 600.0


def _produce(file: Path, config: str) -> tuple[int, float]:
    """Send the events; return how many, and how long it took."""
    began = time.perf_counter()
    produce = [sys.executable, "-m", "streams.cli", "produce", str(file), "--config", config]
    subprocess.run(produce, check=True, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - began
    with file.open("rb") as lines:
        return sum(1 for _ in lines), took


def bench_drain(file: Path) -> dict[str, float]:
    """Let one worker read a backlog, journal and readings on."""
    return _bench_drain(file, "python")


def bench_drain_compiled(file: Path) -> dict[str, float]:
    """Do the same with the compiled core."""
    return _bench_drain(file, "compiled")


def _bench_drain(file: Path, core: str) -> dict[str, float]:
    address = free_address()
    with kafka() as config:
        with Path(config).open("a") as more:
            more.write(f"worker: {{core: {core}}}\n")
        total, produced_s = _produce(file, config)
        with floorpulse("worker", "--listen", address, "--config", config) as worker:
            began, cpu, counted = time.perf_counter(), 0.0, 0.0
            while counted < total:
                time.sleep(0.05)
                if counted == 0:
                    began, cpu = time.perf_counter(), usage(worker.pid).cpu_s
                counted = metric(address, COUNTED)
                if time.perf_counter() > began + TIMEOUT_S or worker.poll() is not None:
                    raise TimeoutError(f"{counted:.0f} of {total} events counted")
            took = time.perf_counter() - began
            used = usage(worker.pid)
            flushes = metric(address, "floorpulse_worker_journal_records_total")
            journal = metric(address, "floorpulse_worker_journal_bytes_total")
            readings = metric(address, "floorpulse_worker_readings_total")
    return {
        "produce events/s": total / produced_s,
        "events/s": total / took,
        "CPU s per 100k events": (used.cpu_s - cpu) / total * 1e5,
        "peak MB": used.peak_mb,
        "events per journal record": total / flushes,
        "journal bytes per event": journal / total,
        "events per reading": total / readings,
    }


def _drained_by(number: int, file: Path) -> dict[str, float]:
    """Let so many workers read a backlog together. They share the partitions out first and are stopped while it is filled."""
    addresses = [free_address() for _ in range(number)]
    with kafka() as config, ExitStack() as stack:
        with Path(config).open("a") as more:
            more.write("worker: {session_timeout: 40s, core: python}\n")
        workers = [stack.enter_context(floorpulse("worker", "--listen", address, "--config", config)) for address in addresses]
        deadline = time.perf_counter() + TIMEOUT_S
        while any(metric(each, "floorpulse_worker_partitions") != PARTITIONS / number for each in addresses):
            time.sleep(0.2)
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{number} workers did not share the partitions out")
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        total = fill(load(config).kafka.bootstrap[0], DEFAULT_PREFIX, file)
        before = sum(usage(worker.pid).cpu_s for worker in workers)
        began = time.perf_counter()
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
        while sum(metric(address, COUNTED) for address in addresses) < total:
            time.sleep(0.05)
            if time.perf_counter() > began + TIMEOUT_S or any(worker.poll() is not None for worker in workers):
                raise TimeoutError(f"{number} workers were not done")
        took = time.perf_counter() - began
        cpu = sum(usage(worker.pid).cpu_s for worker in workers) - before
    return {"events/s": total / took, "CPU s per 100k events": cpu / total * 1e5}


def bench_workers(file: Path) -> dict[str, float]:
    """Compare two workers with one."""
    one, two = _drained_by(1, file), _drained_by(2, file)
    figures = {f"{name}, {number}": value for number, each in (("one", one), ("two", two)) for name, value in each.items()}
    return figures | {"two workers' speed over one's": two["events/s"] / one["events/s"]}


__all__ = ["bench_drain", "bench_drain_compiled", "bench_workers"]
