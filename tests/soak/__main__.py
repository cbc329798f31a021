"""`python -m tests.soak --hours 2 --rate 2000`: one worker and one board under steady load on a real Kafka; prints a JSON result.

Before that the worker reads some hours at once, so that what it keeps for a time has its size when the two hours begin. Sessions,
agents' days and ids come and go; duplicates, late and invalid events are among them. Every minute: memory, how much of it
is kept for days by intention, where it lies (blocks of Python's allocator, the C library's heap), open files and tasks of worker
and board, journal and readings on disk, events counted. The exit status is 1 when a bound of
`tests.soak.judge` is broken.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean
from typing import Any, Final

from streams.native import is_made
from tests.kafka import RealKafka
from tests.soak.judge import EVERY_S, judge, judge_history
from tests.soak.settings import SETTINGS

PARTITIONS: Final = 4
_WORKER: Final = "127.0.0.1:29475"
_BOARD: Final = "127.0.0.1:29474"
_AGES: Final = r"floorpulse_worker_watermark_age_seconds\{[^}]*\} (\S+)"
CAUGHT_UP_S: Final = 300.0
"""A worker whose watermarks are no older has read the history: in steady flow they are some 200 s old."""
FASTER: Final = 6.0
"""Some six hours of history are read in one: so much oftener a sample is taken meanwhile."""
_EVENTS: Final = r"floorpulse_worker_events_total\{[^}]*\} (\S+)"


@contextmanager
def _running(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _metrics(address: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _on_disk_mib(data: Path, topic: str) -> float:
    found = 0
    for file in data.glob(f"{topic}-[0-9]*/*.log"):
        try:
            found += file.stat().st_size
        except FileNotFoundError:
            continue  # the broker has just removed it
    return found / 2**20


class Soak:
    """What is looked at."""

    def __init__(self, processes: dict[str, int], folder: Path, data: Path) -> None:
        self._processes, self._folder, self._data = processes, folder, data
        self._rss_mib: dict[str, list[float]] = {name: [] for name in processes}

    def look(self) -> None:
        """Note the resident memory, which goes up and down by some 50 MiB within a minute; to be called once a second."""
        for name, pid in self._processes.items():
            self._rss_mib[name].append(_rss_mib(pid))

    def sample(self, at_h: float) -> dict[str, float]:
        """Return what there is now, which is told to be `at_h`; of the resident memory the mean since the last sample."""
        self.look()
        found: dict[str, float] = {"at_h": at_h}
        for name, pid in self._processes.items():
            found[f"{name}_rss_mib"] = mean(self._rss_mib[name])
            self._rss_mib[name].clear()
            found[f"{name}_files"] = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  names are enough
            counted = json.loads((self._folder / f"{name}.tasks").read_text())
            found[f"{name}_tasks"] = counted.pop("tasks")
            found[f"{name}_blocks"] = counted.pop("blocks")
            found |= {f"{name}_{part}_mib": size / 2**20 for part, size in counted.items()}
        for topic in ("journal", "readings"):
            found[f"{topic}_disk_mib"] = _on_disk_mib(self._data, f"floorpulse.{topic}")
        _metrics(_BOARD)  # somebody scrapes, as in life
        found["events"] = sum(map(float, re.findall(_EVENTS, _metrics(_WORKER))))
        return found


def _ended(processes: Mapping[str, subprocess.Popen[bytes]]) -> str:
    return ", ".join(name for name, process in processes.items() if process.poll() is not None)


def _behind_s() -> float:
    """Return the age of the oldest watermark; that of a worker which knows none yet is endless."""
    ages = [float(age) for age in re.findall(_AGES, _metrics(_WORKER))]
    return max(ages) if len(ages) == PARTITIONS else math.inf


def _samples(watched: Soak, processes: Mapping[str, subprocess.Popen[bytes]], every_s: float, at_h: Callable[[], float],
             is_over: Callable[[], bool]) -> Iterator[dict[str, float]]:  # fmt: skip
    """Yield a sample at each turn until it is over, or a process has ended."""
    due = time.monotonic() + every_s
    while not _ended(processes):
        time.sleep(1)
        if time.monotonic() < due:
            watched.look()
            continue
        due += every_s
        if is_over():
            return
        now_h = at_h()
        if math.isfinite(now_h):
            sample = watched.sample(now_h)
            sys.stderr.write("  ".join(f"{key} {value:.2f}" for key, value in sample.items()) + "\n")
            yield sample


def soak(hours: float, history_h: float, rate: float, every_s: float, core: str) -> dict[str, Any]:
    """Run it; returns samples and judgement."""
    with RealKafka() as kafka, tempfile.TemporaryDirectory(prefix="floorpulse-soak-") as name, ExitStack() as stack:
        folder = Path(name)
        config, log = folder / "floorpulse.yaml", folder / "log"
        config.write_text(f'kafka: {{bootstrap: ["{kafka.bootstrap}"]}}\nworker: {{core: {core}}}\n{SETTINGS}')
        create = ("streams.cli", "topics", "--create", "--partitions", str(PARTITIONS), "--config", str(config))
        subprocess.run([sys.executable, "-m", *create], check=True, stdout=subprocess.DEVNULL)
        parts = {}
        for part, listen in (("worker", _WORKER), ("board", _BOARD)):
            command = ("tests.soak.counted", str(folder / f"{part}.tasks"), part, "--listen", listen, "--config", str(config))
            parts[part] = stack.enter_context(_running(log, *command))
        while "floorpulse_worker_ready 1" not in _metrics(_WORKER):
            if parts["worker"].poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.5)
        flow = ("streams.cli", "simulate", "--rate", f"{rate:g}", "--history", f"{history_h * 3600:.0f}s", "--mess",
                "--queues", "20", "--config", str(config))  # fmt: skip
        load = stack.enter_context(_running(log, *flow))
        everybody = {**parts, "simulator": load}
        watched = Soak({part: process.pid for part, process in parts.items()}, folder, kafka._home / "data")
        began = time.monotonic()

        def event_h() -> float:
            return history_h + (time.monotonic() - began) / 3600 - _behind_s() / 3600

        history = list(_samples(watched, everybody, every_s / FASTER, event_h, lambda: _behind_s() < CAUGHT_UP_S))
        sys.stderr.write(f"history read in {(time.monotonic() - began) / 60:.1f} min\n")
        live = time.monotonic()

        def live_h() -> float:
            return (time.monotonic() - live) / 3600

        samples = list(_samples(watched, everybody, every_s, live_h, lambda: live_h() >= hours))
        ended = _ended(everybody)
        asked = {"hours": hours, "history_hours": history_h, "rate": rate, "core": core}
        before = judge_history(history)
        result = {**asked, "history": before, **judge(samples, hours), "history_samples": history, "samples": samples}
        result["broken"] = [*(f"history: {each}" for each in before["broken"]), *result["broken"]]
        if ended:
            result["broken"] = [*result["broken"], f"{ended} ended by itself", *log.read_text().splitlines()[-5:]]
        return result


def main() -> int:
    """Run it; the exit status is 1 when a bound is broken."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--history", type=float, default=3.0, help="hours before, read at once")
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two samples")
    parser.add_argument("--core", choices=("auto", "compiled", "python"), default="auto")
    options = parser.parse_args()
    core = "compiled" if options.core == "auto" and is_made() else options.core
    result = soak(options.hours, options.history, options.rate, options.every, core)
    for part, slopes in (("history", result["history"]["slopes_per_h"]), ("live", result["slopes_per_h"])):
        for name, value in slopes.items():
            sys.stderr.write(f"{part:8} {name:22} {value:+14.3f} per hour\n")
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return int(bool(result["broken"]))


if __name__ == "__main__":
    sys.exit(main())
