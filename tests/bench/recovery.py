"""From the kill of a worker with many open sessions to the first scrape that is right again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from schemas.config_file import load
from streams.sender import Sender
from tests.kafka import RealKafka, free_ports

SESSIONS: Final = 1_000_000
PARTITIONS: Final = 12
_QUEUES: Final = 20
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LOADED: Final = re.compile(rb'"seconds": ([\d.]+).*"event": "partitions.loaded"')
_WAIT_S: Final = 600.0


class Stand:
    """A broker, a board and workers; what is waiting on the board."""

    def __init__(self, kafka: RealKafka, folder: Path, prefix: str = "floorpulse.") -> None:
        self.config, self.log = folder / "floorpulse.yaml", folder / "log"
        self.config.write_text(f'kafka: {{bootstrap: ["{kafka.bootstrap}"], topic_prefix: "{prefix}", group: "{prefix}workers"}}\n')
        self._board, self._worker = (f"127.0.0.1:{port}" for port in free_ports(2))
        create = ("topics", "--create", "--partitions", str(PARTITIONS), "--config", str(self.config))
        subprocess.run([sys.executable, "-m", "streams.cli", *create], check=True, stdout=subprocess.DEVNULL)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker."""
        with self._running("worker", self._worker) as process:
            yield process

    @contextmanager
    def board(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the board."""
        with self._running("board", self._board) as process:
            yield process

    @contextmanager
    def _running(self, part: str, listen: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "streams.cli", part, "--listen", listen, "--config", str(self.config)]
        with self.log.open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def send(self, first: int, last: int) -> None:
        """Let sessions number first..last enter their queues now."""
        async with Sender(load(str(self.config))) as sender:
            for number in range(first, last):
                session = f"session-{number}"
                event = {"id": f"e{number}", "type": "queue.entered", "at": int(time.time() * 1000), "session_id": session,
                         "queue": f"queue {number % _QUEUES}", "channel": "voice"}  # fmt: skip
                await sender.send("queues", session.encode(), json.dumps(event).encode())

    def waiting(self) -> int:
        """Return what the board says is waiting; -1 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self._board}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return -1
        return int(sum(map(float, re.findall(r"^floorpulse_waiting\{[^}]*\} (\S+)$", text, re.MULTILINE))))

    def until_waiting(self, sessions: int) -> None:
        """Scrape until so many are waiting."""
        end = time.monotonic() + _WAIT_S
        while (found := self.waiting()) != sessions:
            if time.monotonic() > end:
                raise TimeoutError(f"{found} waiting, not {sessions}\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)


def recover(stand: Stand, sessions: int) -> dict[str, float]:
    """Fill, kill, start again at once; returns seconds. What is entered after the kill shows that the new worker counts."""
    with ExitStack() as stack:
        stack.enter_context(stand.board())
        with stand.worker() as first:
            asyncio.run(stand.send(0, sessions))
            stand.until_waiting(sessions)
            first.kill()
            killed = time.monotonic()
        second = stack.enter_context(stand.worker())
        asyncio.run(stand.send(sessions, sessions + 1))
        stand.until_waiting(sessions + 1)
        took = time.monotonic() - killed
        cpu_s = sum(map(int, Path(f"/proc/{second.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / _TICKS
        loads = [float(seconds) for seconds in _LOADED.findall(stand.log.read_bytes())]
    return {"kill to the first right scrape, s": took, "of it the load, s": loads[-1], "worker's CPU until then, s": cpu_s}


def bench_recovery(file: Path) -> dict[str, float]:
    """Recover a million open sessions on a real Kafka of this machine."""
    del file
    with RealKafka() as kafka, tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        return recover(Stand(kafka, Path(folder)), SESSIONS)


__all__ = ["SESSIONS", "Stand", "bench_recovery", "recover"]
