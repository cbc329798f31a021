"""What a board keeps in memory for 100 queues, 12 partitions and 15 days, all of it filled, and what one more cell costs.

The board is a process of its own, fed from memory with readings as a worker writes them, kind by kind; after each kind it tells
its memory. Every queue has facts in every partition and every slice of time: more cells cannot be.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas.config import Config
from schemas.parts import SERIES, bucket_part
from schemas.readings import DATE_MS, QUARTER_MS, SLICE_MS, ReadingKey, encode_key, encode_value
from schemas.sketch import bucket_of
from sinks.board import Board
from sinks.loop import new_loop, tune_process
from tests.bench.running import free_address

QUEUES: Final = 100
PARTITIONS: Final = 12
DAYS: Final = 15
SKETCH_DAYS: Final = 2
SLICE_HOURS: Final = 2
_COUNTS: Final = (
    "offered", "answered", "answered_within", "left", "handled", "started", "connected", "ended", "offers", "ended_inbound",
    "connected_inbound", "messages_customer", "messages_agent", "messages_system", "first_response_n", "first_response_within",
    "response_time_n", "response_time_within", "first_reply_n", "ring_time_n", "wait_answered_ms", "queue_time_ms", "session_ms",
    "ring_time_ms", "first_response_ms", "first_reply_ms", "response_time_ms", "talk_ms", "wrap_up_ms",
)  # fmt: skip
"""What a queue that is worked in books in a quarter-hour."""
_SHORT: Final = _COUNTS[:12]
"""What one of its partitions books in 10 s."""
_BUCKETS: Final = {series: [bucket_part(series, bucket_of(700 * n)) for n in range(1, 13)] for series in SERIES}
_NOBODY: Final = {"bootstrap_servers": "127.0.0.1:1"}
_CHUNK: Final = 5_000
_HEAT_BEATS: Final = 20


def _sketches() -> dict[str, int]:
    return {bucket: 3 for buckets in _BUCKETS.values() for bucket in buckets}


def _plain(parts: tuple[str, ...]) -> dict[str, int]:
    return {part: 40 + 7000 * part.endswith("_ms") for part in parts}


def kinds(now: int) -> Iterator[tuple[str, dict[str, int], int, list[int]]]:
    """Yield (kind, parts of one cell, length, starts)."""
    day = now // DATE_MS * DATE_MS
    quarters = [now // QUARTER_MS * QUARTER_MS - n * QUARTER_MS for n in range(DAYS * 96 - 1, -1, -1)]
    slices = [now // SLICE_MS * SLICE_MS - n * SLICE_MS for n in range(SLICE_HOURS * 360 - 1, -1, -1)]
    fresh = SKETCH_DAYS * 96
    yield "quarter-hour", _plain(_COUNTS), QUARTER_MS, quarters[:-fresh]
    yield "quarter-hour with sketches", _plain(_COUNTS) | _sketches(), QUARTER_MS, quarters[-fresh:]
    yield "day of sketches", _sketches(), DATE_MS, [day - n * DATE_MS for n in range(DAYS - 1, -1, -1)]
    yield "10 s slice", _plain(_SHORT), SLICE_MS, slices


def _records(parts: dict[str, int], length: int, starts: list[int], queues: int) -> Iterator[tuple[bytes, bytes | None]]:
    value = encode_value({"parts": parts}, 1, 1)
    for start in starts:
        for partition in range(PARTITIONS):
            for queue in range(queues):
                key = ReadingKey("slice", partition, "queue", f"queue {queue}", "voice", length, start)
                yield encode_key(key), value


def _memory_mb(what: str = "VmRSS") -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024


async def serve(queues: int) -> None:
    """Be the board: take everything, telling the memory after each kind; then live a little on heartbeats, and tell it again."""
    tune_process()
    board = Board(Config.model_validate({"board": {"listen": free_address()}}), _NOBODY)
    await board.start()
    told: dict[str, float] = {"empty": _memory_mb()}
    beats, now, seq = (list(range(PARTITIONS)), time.time_ns() // 1_000_000, 1)

    async def put(records: list[tuple[bytes, bytes | None]]) -> None:
        def take() -> None:
            for key, value in records:
                board.merge.put_record(key, value)

        await board.alone(take)
        await asyncio.sleep(0)

    async def beat(now: int, seq: int) -> None:
        clock = {"clock": {"now": now, "watermark": now, "newest": now, "live": True}}
        await put([(encode_key(ReadingKey("heartbeat", p)), encode_value(clock, 1, seq)) for p in beats])

    took = time.process_time()
    for kind, parts, length, starts in kinds(now):
        chunk: list[tuple[bytes, bytes | None]] = []
        for record in _records(parts, length, starts, queues):
            chunk.append(record)
            if len(chunk) == _CHUNK:
                await put(chunk)
                chunk = []
                seq += 1
                await beat(now, seq)
        await put(chunk)
        seq += 1
        await beat(now, seq)
        gc.collect()
        told[kind] = _memory_mb()
    told["read_cpu_s"] = time.process_time() - took
    board._reader.ready = True
    for _ in range(_HEAT_BEATS):
        seq += 1
        await beat(time.time_ns() // 1_000_000, seq)
        await asyncio.sleep(0.5)
    told["serving"] = _memory_mb()
    told["peak"] = _memory_mb("VmHWM")
    sys.stdout.write(f"told={json.dumps(told)}\n")
    sys.stdout.flush()
    await board.stop()


def measure(queues: int = QUEUES) -> dict[str, float]:
    """Return MB in all, and bytes per cell of each kind."""
    command = [sys.executable, "-m", "tests.bench.boardmemory", str(queues)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=900)
    told: dict[str, Any] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("told="))[5:])
    figures, before = {"empty board, MB": told["empty"]}, told["empty"]
    cells = {kind: len(starts) * PARTITIONS * queues for kind, _, _, starts in kinds(time.time_ns() // 1_000_000)}
    for kind, number in cells.items():
        figures[f"bytes per {kind}"] = (told[kind] - before) * 2**20 / number
        before = told[kind]
    figures |= {"serving, MB": told["serving"], "peak, MB": told["peak"], "cells": float(sum(cells.values()))}
    return figures | {"CPU s to read them": told["read_cpu_s"]}


def bench_board(file: Path) -> dict[str, float]:
    """Measure a full board."""
    del file
    return measure()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(int(sys.argv[1])))

__all__ = ["bench_board", "measure"]
