"""500 wall-screens at one board: what they cost it, and whether each gets a message a second.

The board is a process of its own that is fed from memory, each queue anew twice a second, so that every frame differs in every
queue: the most that there can be to send. The screens are in this process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from schemas.config import Config
from sinks.board import Board
from sinks.loop import new_loop, tune_process
from tests.bench.sockets import feed, raise_file_limit

SCREENS: Final = 500
QUEUES: Final = 15
"""Each on two channels: 30 tiles."""
SECONDS: Final = 20.0
_NOBODY: Final = {"bootstrap_servers": "127.0.0.1:1"}
_ASK: Final = b"GET /api/v1/stream HTTP/1.1\r\nHost: board\r\n\r\n"


async def serve(queues: int) -> None:
    """Be the board; for each line of standard input write CPU time and memory down."""
    tune_process()
    board = Board(Config.model_validate({"board": {"listen": "127.0.0.1:0"}}), _NOBODY)
    await board.start()
    feeding = asyncio.create_task(feed(board, queues))
    while not board.snapshot.ready:
        await board.next_snapshot(board.snapshot.number)
    sys.stdout.write(f"port={board.port}\n")
    sys.stdout.flush()
    while await asyncio.to_thread(sys.stdin.readline):
        told = {"cpu_s": time.process_time(), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        sys.stdout.write(f"told={json.dumps(told)}\n")
        sys.stdout.flush()
    feeding.cancel()
    await board.stop()


class Screen:
    """One screen: counts what it gets."""

    def __init__(self) -> None:
        self.bytes = 0
        self.gaps: list[float] = []
        self._heard: float | None = None

    async def look(self, port: int, opened: asyncio.Semaphore) -> None:
        """Read until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_ASK)
            await reader.readuntil(b"event: snapshot")
            opened.release()
            while data := await reader.read(262_144):
                now = time.perf_counter()
                self.bytes += len(data)
                if b"\nevent: " in data and self._heard is not None:
                    self.gaps.append(now - self._heard)
                if b"\nevent: " in data:
                    self._heard = now
        finally:
            writer.transport.abort()


def _tell(board: Any) -> dict[str, float]:
    board.stdin.write("\n")
    board.stdin.flush()
    found: dict[str, float] = json.loads(_told(board.stdout, "told"))
    return found


def _told(stream: Any, what: str) -> str:
    for line in stream:
        found, _, rest = str(line).partition("=")
        if found == what:
            return rest
    raise RuntimeError("the board ended")


async def _measure(board: Any, port: int, screens: int, seconds: float) -> dict[str, float]:
    opened = asyncio.Semaphore(0)
    looking = [Screen() for _ in range(screens)]
    tasks = [asyncio.create_task(screen.look(port, opened)) for screen in looking]
    for _ in tasks:
        await opened.acquire()
    await asyncio.sleep(2.0)
    for screen in looking:
        screen.bytes, screen.gaps = 0, []
    before, began = await asyncio.to_thread(_tell, board), time.perf_counter()
    await asyncio.sleep(seconds)
    after, took = await asyncio.to_thread(_tell, board), time.perf_counter() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gaps = sorted(gap for screen in looking for gap in screen.gaps)
    figures = {"board, share of a core": (after["cpu_s"] - before["cpu_s"]) / took, "board peak MB": after["peak_mb"]}
    if screens:
        figures["kB a second and screen"] = sum(screen.bytes for screen in looking) / screens / took / 1000
        figures["between messages p99, s"] = gaps[int(len(gaps) * 0.99)]
    return figures


def run(*, screens: int = SCREENS, queues: int = QUEUES, seconds: float = SECONDS) -> dict[str, float]:
    """Return the figures without any screen, and with so many."""
    raise_file_limit()
    command = [sys.executable, "-m", "tests.bench.screens", str(queues)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as board:
        assert board.stdin is not None
        try:
            port = int(_told(board.stdout, "port"))
            figures: dict[str, float] = {}
            for number in (0, screens):
                found = asyncio.run(_measure(board, port, number, seconds))
                figures |= {f"{number} screens: {name}": value for name, value in found.items()}
        finally:
            board.stdin.close()
            board.terminate()
    return figures


def bench_screens(file: Path) -> dict[str, float]:
    """Measure 500 screens."""
    del file
    return run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(int(sys.argv[1])))

__all__ = ["bench_screens", "run"]
