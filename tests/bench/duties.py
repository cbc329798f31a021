"""What costs time though no event comes: commands that start, and processes that wait."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.processes import usage
from tests.bench.running import floorpulse, free_address, kafka, metric

IDLE_S: Final = 30.0
SETTLE_S: Final = 10.0


def bench_start(file: Path) -> dict[str, float]:
    """Time `--help`, and worker and board from their start to ready, on empty topics."""
    del file
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("floorpulse"), "--help"], check=True, stdout=subprocess.DEVNULL)
    figures = {"floorpulse --help, s": time.perf_counter() - began}
    with kafka() as config:
        for role, ready in (("worker", "floorpulse_worker_ready"), ("board", "floorpulse_ready")):
            address, began = free_address(), time.perf_counter()
            with floorpulse(role, "--listen", address, "--config", config):
                while metric(address, ready) < 1:
                    time.sleep(0.02)
                figures[f"{role}, start to ready, s"] = time.perf_counter() - began
    return figures


def bench_idle(file: Path) -> dict[str, float]:
    """Let a worker and a board wait for events that do not come."""
    del file
    with kafka() as config, ExitStack() as stack:
        addresses = {role: free_address() for role in ("worker", "board")}
        processes = {
            role: stack.enter_context(floorpulse(role, "--listen", address, "--config", config))
            for role, address in addresses.items()
        }
        while metric(addresses["worker"], "floorpulse_worker_ready") + metric(addresses["board"], "floorpulse_ready") < 2:
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        before = {role: usage(process.pid).cpu_s for role, process in processes.items()}
        time.sleep(IDLE_S)
        shares = {role: (usage(process.pid).cpu_s - before[role]) / IDLE_S for role, process in processes.items()}
    return {"both, share of a core": sum(shares.values())} | {f"{role}, share of a core": s for role, s in shares.items()}


__all__ = ["bench_idle", "bench_start"]
