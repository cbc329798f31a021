"""A worker's process, and a board's, ends in time, also where its log blocks or a signal comes inside of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

DEADLINE_S: Final = 2.0
PROGRAM: Final = """
import asyncio, os, signal, sys
from schemas.errors import FloorpulseError
from streams import worker as module
from streams.logs import configure_logs

class Worker:
    def __init__(self, settings, thaw, *, on_stopping):
        self.told, self.on_stopping = asyncio.Event(), on_stopping
    def stop(self):
        self.told.set()
    async def run(self):
        print("up", flush=True)
        await WAYS[sys.argv[1]](self)
        self.on_stopping()
        module._log.info("worker.stopping")

class Interrupting:
    def isatty(self): return False
    def flush(self): pass
    def write(self, text):
        if "partition.hole" in text:
            os.kill(os.getpid(), signal.SIGTERM)
        sys.stderr.write(text)

async def waits(worker):
    await worker.told.wait()

async def is_interrupted(worker):
    configure_logs(stream=Interrupting())
    module._log.warning("partition.hole")
    await worker.told.wait()

async def floods(worker):
    while not worker.told.is_set():
        module._log.warning("partition.hole", filler="x" * 500)
        await asyncio.sleep(0)

async def hangs(worker):
    import time
    time.sleep(1000)

async def fails(worker):
    os.set_blocking(2, False)
    try:
        while True:
            os.write(2, b"x")
    except BlockingIOError:
        os.set_blocking(2, True)
    raise FloorpulseError("the reason")

class Settings:
    deadline_s = float(sys.argv[2])

WAYS = {way.__name__: way for way in (waits, is_interrupted, floods, hangs, fails)}
module.Worker = Worker
configure_logs()
module.run_worker(Settings(), None)
"""
"""A worker without Kafka that comes to its end in one of several ways."""


@contextmanager
def process(way: str) -> Iterator[subprocess.Popen[bytes]]:
    """Such a worker as a process that is up, killed at the end; nobody reads its stderr meanwhile."""
    command = [sys.executable, "-c", PROGRAM, way, str(DEADLINE_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        assert made.stdout is not None
        assert made.stdout.readline() == b"up\n"
        try:
            yield made
        finally:
            made.kill()


def stderr_of(made: subprocess.Popen[Any]) -> bytes:
    """What it has said, once it is over."""
    assert made.stderr is not None
    said: bytes = made.stderr.read()
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_worker(number: signal.Signals) -> None:
    """And is told in the log."""
    with process("waits") as made:
        made.send_signal(number)
        assert made.wait(10) == 0
        assert f'"signal": "{number.name}"'.encode() in stderr_of(made)


def test_a_signal_inside_a_log_call_stops_a_worker() -> None:
    """A handler that logs itself would wait for ever for the lock that its own thread holds."""
    with process("is_interrupted") as made:
        assert made.wait(10) == 0
        said = stderr_of(made)
        assert said.index(b"partition.hole") < said.index(b"worker.signal") < said.index(b"worker.stopping")


def test_a_worker_whose_log_nobody_reads_ends_by_the_deadline() -> None:
    """Its main thread waits for room in the pipe, with the log's lock in its hand."""
    with process("floods") as made:
        time.sleep(0.5)
        began = time.monotonic()
        made.send_signal(signal.SIGTERM)
        assert made.wait(10) == 1
        assert time.monotonic() - began < DEADLINE_S + 1


def test_a_worker_that_hangs_ends_by_the_deadline_and_says_so() -> None:
    """Its event loop does not turn any more."""
    with process("hangs") as made:
        made.send_signal(signal.SIGTERM)
        assert made.wait(10) == 1
        assert b"worker.deadline" in stderr_of(made)


def test_a_worker_that_fails_ends_though_nobody_reads_why() -> None:
    """Before the deadline: nothing is under way any more."""
    with process("fails") as made:
        assert made.wait(10) == 1


@pytest.mark.parametrize("way", ["waits", "floods"])
def test_a_burst_of_signals_stops_a_worker(way: str) -> None:
    """Of both kinds, at any moment; one that meets the interpreter taking itself apart ends it, when all is said."""
    with process(way) as made:
        until = time.monotonic() + 0.3
        while time.monotonic() < until and made.poll() is None:
            made.send_signal(signal.SIGINT)
            made.send_signal(signal.SIGTERM)
            time.sleep(0.0003)
        assert made.wait(10) in (0, 1, -signal.SIGINT, -signal.SIGTERM)


_BOARD: Final = """
import asyncio, sys, time
from schemas.config import Config
from sinks import board
from streams import run

async def serve(config, kafka, stop):
    print("up", flush=True)
    if sys.argv[1] == "hangs":
        time.sleep(1000)
    await stop.wait()

board.serve, run.BOARD_STOP_S = serve, float(sys.argv[2])
run.run_board(Config())
"""


@pytest.mark.parametrize(("way", "status"), [("waits", 0), ("hangs", 1)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_board_ends_when_told_to_and_by_the_deadline_where_it_hangs(way: str, status: int, number: signal.Signals) -> None:
    """It says so then."""
    command = [sys.executable, "-c", _BOARD, way, str(DEADLINE_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        assert made.stdout is not None
        assert made.stdout.readline() == b"up\n"
        made.send_signal(number)
        assert made.wait(10) == status
        assert (b"board.deadline" in stderr_of(made)) == (way == "hangs")
