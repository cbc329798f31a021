"""What grows with windows, queues and open sessions: the same events on a small and on a large floor, in turns.

CPU time of floors that take the same events chunk by chunk in turns, so that what else the machine does falls on all of them alike.
A worker knows nothing of windows: they are made on the board, so it is the board that is measured for them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any, Final
from zlib import crc32

from schemas.events import INPUT_TOPICS
from schemas.instants import parse_instant
from schemas.readings import Reading
from schemas.rules import HOUR_MS, MINUTE_MS, Rules
from sinks.merge import Merge
from sinks.snapshot import Snapshots
from streams.core.driver import Driver, Record
from streams.lines import read_lines
from streams.memory import settle_memory
from streams.native import core_named
from streams.simulator import Centre, encode, simulate

EVENTS: Final = 60_000
CHUNK: Final = 5_000
WARM_UP: Final = 2
"""Chunks that are not measured: all agents are new in them."""
QUEUES: Final = (10, 1_000, 10_000)
OPEN: Final = (1_000, 100_000, 1_000_000)
WINDOWS: Final = (1, 100)
WINDOW_MS: Final = 30_000
RATE: Final = 10.0
"""Events per second of event time for the windows, over longer than the longest of them."""
WARM_UP_MS: Final = 55 * MINUTE_MS
MEASURED_MS: Final = 5 * MINUTE_MS
STEP_MS: Final = 1_000
RULES: Final = replace(Rules(), max_cells=1_000_000, max_ids=1 << 40)
"""No limit that a large floor would meet."""
CORE: Final = core_named("compiled" if os.environ.get("FLOORPULSE_WORKER__CORE") == "compiled" else "python")


def say(what: str) -> None:
    """Tell how far it is, on stderr."""
    sys.stderr.write(f"  {what}\n")
    sys.stderr.flush()


def in_turns(drivers: Sequence[Driver], chunks: Iterable[Sequence[list[Record]]]) -> list[float]:
    """Let each driver take its part of each chunk and flush; return CPU us per event of each."""
    spent, events = [0.0] * len(drivers), 0
    settle_memory()
    for number, chunk in enumerate(chunks):
        for place, (driver, records) in enumerate(zip(drivers, chunk, strict=True)):
            began = process_time()
            driver.apply(records)
            driver.flush(at_end=INPUT_TOPICS)
            driver.throw_away()
            if number >= WARM_UP:
                spent[place] += process_time() - began
        events += len(chunk[0]) if number >= WARM_UP else 0
    return [seconds / events * 1e6 for seconds in spent]


def _chunks(file: Path, forms: Sequence[Callable[[Record], Record]], number: int) -> Iterator[list[list[Record]]]:
    """Yield the first events of a file in chunks, in each form."""
    lines = islice((line[:3] for batch in read_lines(file) for line in batch), number)
    while records := list(islice(lines, CHUNK)):
        yield [[form(record) for record in records] for form in forms]


def _spread(queues: int) -> Callable[[Record], Record]:
    """Return what gives an event one of so many queues, by its key and the queue it had."""

    def other(key: str, queue: str) -> str:
        return f"queue {crc32(f'{key} {queue}'.encode()) % queues}"

    def spread(record: Record) -> Record:
        topic, key, value = record
        event = json.loads(value)
        name = key.decode()
        for field in ("queue", "to_queue"):
            if isinstance(event.get(field), str):
                event[field] = other(name, event[field])
        if "queues" in event:
            event["queues"] = [other(name, queue) for queue in event["queues"]]
        key = str(event["queue"]).encode() if topic == "business" and "queue" in event and "complaint_id" not in event else key
        return topic, key, json.dumps(event).encode()

    return spread


def queues(file: Path, sizes: Sequence[int] = QUEUES, events: int = EVENTS) -> dict[str, float]:
    """Return CPU per event by the number of queues."""
    say(f"{events} events over {', '.join(f'{size:,}' for size in sizes)} queues")
    took = in_turns([Driver(1, RULES, CORE) for _ in sizes], _chunks(file, [_spread(size) for size in sizes], events))
    return _compared("queues", sizes, took)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _waiting(number: int, newest_ms: int) -> Iterator[list[Record]]:
    """Yield the events of sessions that wait, begun over three quarters of an hour before an instant."""
    records: list[Record] = []
    for n in range(number):
        at, name = newest_ms - 3 * HOUR_MS // 4 + n * 2_640_000 // number, f"waiting-{n:08x}"
        start: dict[str, Any] = {"id": f"s{n:x}", "type": "session.started", "at": at, "session_id": name, "channel": "chat"}
        entry = {"id": f"q{n:x}", "type": "queue.entered", "at": at, "session_id": name, "queue": f"queue {n % 20}"}
        records.append(("sessions", name.encode(), json.dumps(start).encode()))
        records.append(("queues", name.encode(), json.dumps(entry).encode()))
        if len(records) >= 8 * CHUNK:
            yield records
            records = []
    yield records


def _filled(number: int, newest_ms: int) -> tuple[Driver, float]:
    """Return a driver with so many open sessions, and the bytes that each takes."""
    driver = Driver(1, RULES, CORE)
    gc.collect()
    before = _resident_bytes()
    for records in _waiting(number, newest_ms):
        driver.apply(records)
        driver.flush(at_end=INPUT_TOPICS)
        driver.throw_away()
    gc.collect()
    return driver, (_resident_bytes() - before) / number


def sessions(file: Path, sizes: Sequence[int] = OPEN, events: int = EVENTS) -> dict[str, float]:
    """Return CPU per event by the number of sessions that are open meanwhile, and what each of them takes."""
    first = json.loads(next(read_lines(file))[0].value)["at"]
    drivers, each = [], 0.0
    for size in sizes:
        say(f"{size:,} open sessions")
        driver, each = _filled(size, parse_instant(first))
        drivers.append(driver)
    say(f"{events} events beside them")
    took = in_turns(drivers, _chunks(file, [lambda record: record] * len(sizes), events))
    began = process_time()
    entries = len(drivers[-1].floors[0].keys())
    listed = process_time() - began
    found = _compared("open sessions", sizes, took)
    found[f"bytes per waiting session and its 2 ids, of {sizes[-1]:,}"] = each
    found[f"CPU us per entry to begin a snapshot cycle, {entries:,} entries"] = listed / entries * 1e6
    return found


def _flushes(warm_up_ms: int, measured_ms: int) -> Iterator[tuple[int, list[Reading]]]:
    """Yield (event time, readings of a flush), one a second."""
    start_ms = 1_790_000_000_000
    driver = Driver(4, RULES)
    records: list[Record] = []
    due = start_ms + STEP_MS
    for at, topic, key, event in simulate(Centre.default(queues=20, seed=1, rate=RATE), start_ms, None):
        while at >= due:
            driver.apply(records)
            driver.flush(at_end=INPUT_TOPICS)
            records = []
            yield due, driver.take()
            due += STEP_MS
            if due > start_ms + warm_up_ms + measured_ms:
                return
        records.append((topic, key.encode(), encode(event)))


class Watcher:
    """A board's arithmetic, without sockets: readings in, snapshots out."""

    def __init__(self, windows: int) -> None:
        self._merge = Merge(RULES)
        self._snapshots = Snapshots(self._merge, [n * WINDOW_MS for n in range(1, windows + 1)])
        self.reading_s = self.snapshot_s = 0.0
        self.readings = self.snapshots = 0

    def take(self, seq: int, now_ms: int, readings: list[Reading], *, measured: bool) -> None:
        """Take a flush in, and make a snapshot."""
        began = process_time()
        self._merge.put_readings(readings, seq)
        put = process_time()
        self._snapshots.take(now_ms, ready=True, readings_age_ms={})
        if measured:
            self.reading_s += put - began
            self.snapshot_s += process_time() - put
            self.readings += len(readings)
            self.snapshots += 1


def windows(sizes: Sequence[int] = WINDOWS, warm_up_ms: int = WARM_UP_MS, measured_ms: int = MEASURED_MS) -> dict[str, float]:
    """Return what a board takes per reading and per snapshot by the number of windows, all of them full."""
    say(f"a board with {' and '.join(map(str, sizes))} windows")
    watchers = [Watcher(size) for size in sizes]
    settle_memory()
    for seq, (now_ms, readings) in enumerate(_flushes(warm_up_ms, measured_ms), 1):
        for watcher in watchers:
            watcher.take(seq, now_ms, readings, measured=seq * STEP_MS > warm_up_ms)
    found: dict[str, float] = {}
    for size, watcher in zip(sizes, watchers, strict=True):
        found[f"board, {size} windows: CPU us per reading"] = watcher.reading_s / watcher.readings * 1e6
        found[f"board, {size} windows: CPU ms per snapshot"] = watcher.snapshot_s / watcher.snapshots * 1e3
    return found | {"readings per snapshot": watchers[0].readings / watchers[0].snapshots}


def _compared(what: str, sizes: Sequence[int], took: Sequence[float]) -> dict[str, float]:
    found = {f"{size:,} {what}: CPU us per event": each for size, each in zip(sizes, took, strict=True)}
    return found | {f"{sizes[-1]:,} {what} over {sizes[0]:,}: times": took[-1] / took[0]}


def bench_scaling(file: Path) -> dict[str, float]:
    """Measure all three, the largest floor last."""
    return windows() | queues(file) | sessions(file)


__all__ = ["bench_scaling", "queues", "sessions", "windows"]
