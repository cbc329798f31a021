"""1,000 idle and slow sockets against a board with 50,000 series: how long a scrape takes, how long the event loop stands still.

The board is a process of its own that is fed from memory, each queue anew twice a second; so is the scraper, which begins before
the sockets come and keeps its connection, as Prometheus does. The sockets are in this process. A quarter each of them says
nothing, never ends its question, takes the gauges, and the stream, 1 kB a second.

On a machine that does other work besides, most of a long wait is for a core. Linux tells how long a thread that could run did not
(`schedstat`): figures "but for a core" have that of the threads concerned taken off; the event loop's CPU is of the round itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import trustme
from aiohttp import ClientSession, ClientTimeout

from schemas.config import Config
from schemas.parts import COUNTS, SERIES, SUMS, bucket_part
from schemas.sketch import bucket_of
from sinks.board import Board
from sinks.loop import new_loop, tune_process
from tests.builders import Publisher

SOCKETS: Final = 1000
QUEUES: Final = 37
"""Each on two channels: some 50,000 series."""
SCRAPES: Final = 200
PAUSE_S: Final = 0.25
WARM: Final = 2
"""Scrapes before anything is measured."""
_NOBODY: Final = {"bootstrap_servers": "127.0.0.1:1"}
_ASK: Final = b"GET %s HTTP/1.1\r\nHost: board\r\n\r\n"


def raise_file_limit() -> None:
    """Let this process have as many sockets as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Clock:
    """How long a process's first thread has waited for a core, in seconds; 0 where the system does not tell."""

    def __init__(self, pid: int) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open(f"/proc/{pid}/task/{pid}/schedstat", os.O_RDONLY)

    def waited_s(self) -> float:
        """Return it."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 64, 0).split()[1]) / 1e9


class Stall(NamedTuple):
    """For how long the event loop did not come round: by the clock, but for a core, and its own CPU of that."""

    wall_s: float
    without_core_s: float
    cpu_s: float


class Watch:
    """Times for which the event loop did not come round."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []

    async def run(self) -> None:
        """Watch until cancelled."""
        clock = Clock(os.getpid())
        while True:
            before, waited, cpu = time.perf_counter(), clock.waited_s(), time.thread_time()
            await asyncio.sleep(0.001)
            wall = time.perf_counter() - before - 0.001
            self.stalls.append(Stall(wall, max(0.0, wall - clock.waited_s() + waited), time.thread_time() - cpu))

    def told(self) -> dict[str, float]:
        """Return the figures."""
        walls = sorted(stall.wall_s for stall in self.stalls)
        return {
            "event loop stall max, s": walls[-1],
            "event loop stall p99.9, s": walls[int(len(walls) * 0.999)],
            "event loop stall max but for a core, s": max(stall.without_core_s for stall in self.stalls),
            "event loop round max, CPU s": max(stall.cpu_s for stall in self.stalls),
        }


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
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {**watch.told(), "board CPU s": time.process_time(), "board peak MB": peak_mb}
    sys.stdout.write(f"stalls={json.dumps(told)}\n")
    sys.stdout.flush()
    await board.stop()


async def _slow(port: int, tls: ssl.SSLContext | None, question: bytes, opened: asyncio.Semaphore) -> None:
    """Hold a socket: say something or nothing, then take 1 kB a second."""
    name = "localhost" if tls else None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name, limit=4096)
    finally:
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


async def scrape(port: int, board: int, scrapes: int, authority: str) -> None:
    """Be the scraper: scrape until told that all sockets are open, and then so many times more; write down the times."""
    tls = ssl.create_default_context(cafile=authority) if authority else None
    url = f"{'https' if tls else 'http'}://localhost:{port}/metrics"
    clocks, times, lines = (Clock(board), Clock(os.getpid())), [], 0
    opened = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    connecting, left = 0, scrapes
    async with ClientSession(timeout=ClientTimeout(total=60)) as client:
        while left:
            began, waited = time.perf_counter(), sum(clock.waited_s() for clock in clocks)
            async with client.get(url, headers={"Accept-Encoding": "gzip"}, ssl=tls or False) as answer:
                body = await answer.read()
            took = time.perf_counter() - began
            times.append((took, max(0.0, took - sum(clock.waited_s() for clock in clocks) + waited)))
            lines = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
            if len(times) == WARM:
                sys.stdout.write("warm=1\n")
                sys.stdout.flush()
            if opened.done():
                left -= 1
            else:
                connecting = len(times)
            await asyncio.sleep(PAUSE_S)
    sys.stdout.write(f"times={json.dumps([lines, times[WARM : connecting + 1], times[connecting + 1 :]])}\n")
    sys.stdout.flush()


async def _hold(port: int, tls: ssl.SSLContext | None, sockets: int, until: Callable[[], str]) -> str:
    """Open the sockets, and hold them until `until`, which is called in a thread once they are open, returns."""
    questions = (b"", b"GET /metrics HTTP/1.1\r\nHost: ", _ASK % b"/metrics", _ASK % b"/api/v1/stream")
    opened = asyncio.Semaphore(0)
    holders = [asyncio.create_task(_slow(port, tls, questions[number % 4], opened)) for number in range(sockets)]
    try:
        for _ in holders:
            await opened.acquire()
        refused = [holder for holder in holders if holder.done()]
        if refused:
            raise RuntimeError(f"{len(refused)} of {sockets} sockets did not come in: {refused[0].exception()!r}")
        return await asyncio.to_thread(until)
    finally:
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run another part of this bench, which ends with its standard input."""
    command, pipe = [sys.executable, "-m", "tests.bench.sockets", *arguments], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            process.terminate()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def run(*, secure: bool, sockets: int = SOCKETS, queues: int = QUEUES, scrapes: int = SCRAPES) -> dict[str, float]:
    """Return the figures of one board."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder, contextlib.ExitStack() as stack:
        settings, tls, authority = _secured(Path(folder)) if secure else ({}, None, "")
        board = stack.enter_context(_process("board", json.dumps(settings), str(queues)))
        port = int(_told(board.stdout, "port"))
        scraper = stack.enter_context(_process("scrape", str(port), str(board.pid), str(scrapes), authority))
        _told(scraper.stdout, "warm")
        _tell(board)

        def until() -> str:
            _tell(scraper)
            return _told(scraper.stdout, "times")

        series, connecting, held = json.loads(asyncio.run(_hold(port, tls, sockets, until)))
        _tell(board)
        stalls: dict[str, float] = json.loads(_told(board.stdout, "stalls"))
    times, others = (sorted(each[number] for each in held) for number in (0, 1))
    return {
        "series": series,
        "scrape p50, s": times[len(times) // 2],
        "scrape p99, s": times[_p99(times)],
        "scrape max, s": times[-1],
        "scrape p99 but for a core, s": others[_p99(others)],
        "scrape max but for a core, s": others[-1],
        "scrape max while they connect, s": max((took for took, _ in connecting), default=0.0),
        "the same but for a core, s": max((took for _, took in connecting), default=0.0),
        **stalls,
    }


def _p99(times: list[float]) -> int:
    return max(0, math.ceil(0.99 * len(times)) - 1)


def _secured(folder: Path) -> tuple[dict[str, str], ssl.SSLContext, str]:
    """Return the board's settings for TLS, how to speak it with that board, and the file of the authority."""
    authority, files = trustme.CA(), (folder / "cert.pem", folder / "key.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(folder / "authority.pem")
    tls = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    return {"tls_certfile": str(files[0]), "tls_keyfile": str(files[1])}, tls, str(folder / "authority.pem")


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


def _main(role: str, *arguments: str) -> None:
    if role == "board":
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve(json.loads(arguments[0]), int(arguments[1])))
    else:
        asyncio.run(scrape(int(arguments[0]), int(arguments[1]), int(arguments[2]), arguments[3]))


if __name__ == "__main__":
    _main(*sys.argv[1:])

__all__ = ["bench_scrape", "bench_sockets", "feed", "raise_file_limit", "run"]
