"""What one process does in memory: decoding, the core, the report."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time

import msgspec

from schemas.codec import decode_batch
from schemas.events import INPUT_TOPICS
from schemas.rules import Rules
from sinks.table import choose
from streams.core.floor import RELAY, Floor, RelayRecord
from streams.lines import read_lines
from streams.memory import settle_memory
from streams.native import CompiledFloor, Core
from streams.report import report

_BATCH = 10_000
_YARDSTICK = 50_000
_encode = msgspec.msgpack.Encoder().encode


def _records(file: Path) -> list[list[tuple[str, bytes, bytes]]]:
    lines = [line[:3] for batch in read_lines(file) for line in batch]
    return [lines[i : i + _BATCH] for i in range(0, len(lines), _BATCH)]


def _figures(events: int, cpu_s: float) -> dict[str, float]:
    return {"events/s": events / cpu_s, "CPU s per 100k events": cpu_s / events * 1e5}


def bench_yardstick(file: Path) -> dict[str, float]:
    """Do a fixed piece of work of the usual kind, none of it ours: read JSON, count in dicts."""
    lines = file.read_bytes().splitlines()[:_YARDSTICK]
    counts: dict[object, int] = {}
    began = process_time()
    for _ in range(3):
        for line in lines:
            for pair in json.loads(line).items():
                counts[pair[0]] = counts.get(pair[0], 0) + 1
    return {"CPU s per 100k events": (process_time() - began) / (3 * len(lines)) * 1e5}


def bench_decode(file: Path) -> dict[str, float]:
    """Decode every record."""
    batches = [[record[2] for record in batch] for batch in _records(file)]
    began = process_time()
    for batch in batches:
        decode_batch(batch)
    return _figures(sum(map(len, batches)), process_time() - began)


def _bench_core(file: Path, core: type[Floor | CompiledFloor]) -> dict[str, float]:
    """Apply and flush every batch of 10,000, on one partition; all that is handed out is encoded and thrown away."""
    batches = [_by_topic(batch) for batch in _records(file)]
    floor = core(0, 1, Rules())
    settle_memory()
    events = 0
    relay: list[RelayRecord] = []
    began = process_time()
    for seq, batch in enumerate(batches, 1):
        for topic, keys, values in batch:
            floor.apply(topic, keys, values, 0)
            events += len(values)
        floor.apply(RELAY, [None] * len(relay), [each.value for each in relay], 0)
        flush = floor.flush(seq, 0, INPUT_TOPICS)
        _encode(flush.packed)
        flush.records()
        relay = flush.relay
    return _figures(events, process_time() - began)


def _by_topic(batch: list[tuple[str, bytes, bytes]]) -> list[tuple[str, list[bytes | None], list[bytes | None]]]:
    lanes: dict[str, tuple[list[bytes | None], list[bytes | None]]] = {}
    for topic, key, value in batch:
        keys, values = lanes.setdefault(topic, ([], []))
        keys.append(key)
        values.append(value)
    return [(topic, *lane) for topic, lane in lanes.items()]


def bench_core(file: Path) -> dict[str, float]:
    """Measure the core."""
    return _bench_core(file, Floor)


def bench_compiled(file: Path) -> dict[str, float]:
    """Measure the compiled core."""
    return _bench_core(file, CompiledFloor)


def _bench_report(file: Path, core: Core) -> dict[str, float]:
    """Compute the 15-minute table from the file."""
    settle_memory()
    began = process_time()
    result = report([file], Rules(), choose("15m", "queue", None), core=core)
    return _figures(result.read, process_time() - began)


def bench_report(file: Path) -> dict[str, float]:
    """Measure a report."""
    return _bench_report(file, "python")


def bench_report_compiled(file: Path) -> dict[str, float]:
    """Measure a report by the compiled core."""
    return _bench_report(file, "compiled")


__all__ = ["bench_compiled", "bench_core", "bench_decode", "bench_report", "bench_report_compiled", "bench_yardstick"]
