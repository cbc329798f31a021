"""How fast workers read a backlog on a real Kafka of this machine."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

from schemas.config_file import load
from streams.topics import DEFAULT_PREFIX
from tests.bench.processes import usage
from tests.bench.running import COUNTED, PARTITIONS, fill, floorpulse, free_address, kafka, metric

TIMEOUT_S = 600.0


def bench_drain(file: Path) -> dict[str, float]:
    """Let one worker read a backlog, journal and readings on."""
    return _drained_by(1, "python", file)


def bench_drain_compiled(file: Path) -> dict[str, float]:
    """Do the same with the compiled core."""
    return _drained_by(1, "compiled", file)


def _drained_by(number: int, core: str, file: Path) -> dict[str, float]:
    """Let so many workers read a backlog together, from its first event to its last.

    They start and share the partitions out before, and are stopped while the backlog is filled: so neither their start nor the
    first flush, behind which events are first seen to be counted, is added or left out.
    """
    addresses = [free_address() for _ in range(number)]
    with kafka() as config, ExitStack() as stack:
        with Path(config).open("a") as more:
            more.write(f"worker: {{session_timeout: 120s, core: {core}}}\n")
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
        used = [usage(worker.pid) for worker in workers]

        def said(name: str) -> float:
            return sum(metric(address, f"floorpulse_worker_{name}_total") for address in addresses)

        return {
            "events/s": total / took,
            "CPU s per 100k events": (sum(each.cpu_s for each in used) - before) / total * 1e5,
            "peak MB": sum(each.peak_mb for each in used),
            "events per journal record": total / said("journal_records"),
            "journal bytes per event": said("journal_bytes") / total,
            "events per reading": total / said("readings"),
        }


def bench_workers(file: Path) -> dict[str, float]:
    """Compare two workers with one."""
    one, two = _drained_by(1, "python", file), _drained_by(2, "python", file)
    figures = {f"{name}, {number}": value for number, each in (("one", one), ("two", two)) for name, value in each.items()}
    return figures | {"two workers' speed over one's": two["events/s"] / one["events/s"]}


__all__ = ["bench_drain", "bench_drain_compiled", "bench_workers"]
