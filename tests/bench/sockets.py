"""1,000 idle and slow sockets against a board with 50,000 series: how long a scrape takes, how long the event loop stands still.

The board is a process of its own that is fed from memory, each queue anew twice a second; sockets and scraper are in this one. A
quarter each of the sockets says nothing, never ends its question, takes the gauges, and the stream, 1 kB a second.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import trustme
from aiohttp import ClientSession, ClientTimeout

from schemas.config import Config
from schemas.parts import COUNTS, SERIES, SUMS, bucket_part
from schemas.sketch import bucket_of
from sinks.board import Board
from sinks.loop import new_loop, tune_process
from tests.builders import Publisher

SOCKETS: Final = 1000
QUEUES: Final = 55
"""Each on two channels: some 50,000 series."""
SCRAPES: Final = 200
PAUSE_S: Final = 0.25
_NOBODY: Final = {"bootstrap_servers": "127.0.0.1:1"}
_ASK: Final = b"GET %s HTTP/1.1\r\nHost: board\r\n\r\n"


def raise_file_limit() -> None:
    """Let this process have as many sockets as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Watch:
    """Times for which the event loop did not come round."""

    def __init__(self) -> None:
        self.stalls: list[float] = []

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.stalls.append(time.perf_counter() - before - 0.001)


def _publisher(queues: int) -> Publisher:
    worker, now = Publisher(0), time.time_ns() // 1_000_000
    for number in range(queues):
        for channel in ("voice", "chat"):
            name = f"queue {number}"
            counts = {part: 3 + index % 5 for index, part in enumerate(COUNTS)}
            worker.count(name, now, channel, **counts, **dict.fromkeys(SUMS, 7000))
            for series in SERIES:
                buckets = Counter(bucket_part(series, bucket_of(1000 * n)) for n in range(1, 11))
                worker.add("queue", name, channel, now, buckets)
            worker.now("queue", name, channel, waiting=1, active_sessions=2, oldest_entered_at=now)
            worker.total(name, channel, offered=9, answered=8)
    return worker


async def feed(board: Board, queues: int) -> None:
    """Feed a board from memory, each queue anew twice a second."""
    worker = _publisher(queues)
    while True:
        now = time.time_ns() // 1_000_000
        records = worker.flush(now)

        def put(records: Any = records) -> None:
            for key, value in records:
                board.merge.put_record(key, value)

        await board.alone(put)
        board._reader.ready = True
        await asyncio.sleep(0.5)
        for number in range(queues):
            worker.count(f"queue {number}", now, offered=1, answered=1)


async def serve(settings: dict[str, Any], queues: int) -> None:
    """Be the board, until standard input ends; then write down how it went."""
    tune_process()
    board = Board(Config.model_validate({"board": {"listen": "127.0.0.1:0", **settings}}), _NOBODY)
    await board.start()
    feeding = asyncio.create_task(feed(board, queues))
    while not board.snapshot.ready:
        await board.next_snapshot(board.snapshot.number)
    sys.stdout.write(f"port={board.port}\n")
    sys.stdout.flush()
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    await asyncio.to_thread(sys.stdin.readline)
    watch.stalls.clear()
    await asyncio.to_thread(sys.stdin.readline)
    watching.cancel()
    feeding.cancel()
    stalls = sorted(watch.stalls)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"max": stalls[-1], "p99.9": stalls[int(len(stalls) * 0.999)], "cpu_s": time.process_time(), "peak_mb": peak_mb}
    sys.stdout.write(f"stalls={json.dumps(told)}\n")
    sys.stdout.flush()
    await board.stop()


async def _slow(port: int, tls: ssl.SSLContext | None, question: bytes, opened: asyncio.Semaphore) -> None:
    """Hold a socket: say something or nothing, then take 1 kB a second."""
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name, limit=4096)
    opened.release()
    try:
        writer.write(question)
        while await reader.read(1024):  # noqa: ASYNC110  slowness is what is measured
            await asyncio.sleep(1)
        await asyncio.sleep(3600)
    except OSError:
        await asyncio.sleep(3600)
    finally:
        writer.transport.abort()


async def _scrape(port: int, tls: ssl.SSLContext | None, scrapes: int) -> tuple[list[float], int]:
    url, times, lines = f"{'https' if tls else 'http'}://localhost:{port}/metrics", [], 0
    async with ClientSession(timeout=ClientTimeout(total=60)) as client:
        for _ in range(scrapes):
            began = time.perf_counter()
            async with client.get(url, headers={"Accept-Encoding": "gzip"}, ssl=tls or False) as answer:
                body = await answer.read()
            times.append(time.perf_counter() - began)
            lines = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
            await asyncio.sleep(PAUSE_S)
    return times, lines


async def measure(port: int, tls: ssl.SSLContext | None, sockets: int, scrapes: int, told: Any) -> tuple[list[float], int]:
    """Open the sockets, then scrape; `told` is called once they are open."""
    questions = (b"", b"GET /metrics HTTP/1.1\r\nHost: ", _ASK % b"/metrics", _ASK % b"/api/v1/stream")
    await _scrape(port, tls, 2)
    told()
    opened = asyncio.Semaphore(0)
    holders = [asyncio.create_task(_slow(port, tls, questions[number % 4], opened)) for number in range(sockets)]
    try:
        for _ in holders:
            await opened.acquire()
        return await _scrape(port, tls, scrapes)
    finally:
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)


def run(*, secure: bool, sockets: int = SOCKETS, queues: int = QUEUES, scrapes: int = SCRAPES) -> dict[str, float]:
    """Return the figures of one board."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        settings, tls = {}, None
        if secure:
            authority, files = trustme.CA(), (Path(folder) / "cert.pem", Path(folder) / "key.pem")
            issued = authority.issue_cert("localhost")
            issued.cert_chain_pems[0].write_to_path(files[0])
            issued.private_key_pem.write_to_path(files[1])
            settings = {"tls_certfile": str(files[0]), "tls_keyfile": str(files[1])}
            tls = ssl.create_default_context()
            authority.configure_trust(tls)
        command = [sys.executable, "-m", "tests.bench.sockets", json.dumps(settings), str(queues)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as board:
            assert board.stdin is not None
            assert board.stdout is not None
            stdin = board.stdin

            def told() -> None:
                stdin.write("\n")
                stdin.flush()

            try:
                port = int(_told(board.stdout, "port"))
                times, series = asyncio.run(measure(port, tls, sockets, scrapes, told))
                told()
                stalls = json.loads(_told(board.stdout, "stalls"))
            finally:
                board.stdin.close()
                board.terminate()
    times.sort()
    return {
        "series": series,
        "scrape p50, s": times[len(times) // 2],
        "scrape p99, s": times[max(0, math.ceil(0.99 * len(times)) - 1)],
        "scrape max, s": times[-1],
        "event loop stall max, s": stalls["max"],
        "event loop stall p99.9, s": stalls["p99.9"],
        "board peak MB": stalls["peak_mb"],
        "board CPU s": stalls["cpu_s"],
    }


def _told(stream: Any, what: str) -> str:
    """Return what the board says of something; it logs there, too."""
    for line in stream:
        found, _, rest = str(line).partition("=")
        if found == what:
            return rest
    raise RuntimeError("the board ended")


def bench_sockets(file: Path) -> dict[str, float]:
    """Measure plain and TLS."""
    del file
    return {
        f"{'TLS' if secure else 'plain'}: {name}": value for secure in (False, True) for name, value in run(secure=secure).items()
    }


def bench_scrape(file: Path) -> dict[str, float]:
    """Measure scrapes of a board with 50,000 series that nobody else asks."""
    del file
    return run(secure=False, sockets=0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(json.loads(sys.argv[1]), int(sys.argv[2])))

__all__ = ["bench_scrape", "bench_sockets", "feed", "raise_file_limit", "run"]
