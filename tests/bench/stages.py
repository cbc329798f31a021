"""Where the CPU of a worker goes: one real `Partition` per partition, fed from memory, its captures thrown away.

What is left out is the client: Faust, aiokafka, compression, sockets. Relay records come back as they would from Kafka.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from time import process_time, thread_time
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from schemas.config import Config
from schemas.partitioner import PARTITIONERS
from schemas.rules import Rules
from streams import partition as shell
from streams.core import floor as core
from streams.core.booking import Books
from streams.core.floor import Floor
from streams.core.output import Entries
from streams.journal.fold import Folded
from streams.journal.ports import Landed, Ports
from streams.journal.record import Outgoing
from streams.lines import read_lines
from streams.memory import settle_memory
from streams.transport import BATCH_RECORDS

PARTITIONS: Final = 4
FLUSH_EVENTS: Final = 30_000
_INPUTS: Final = ("sessions", "queues", "status", "business", "relay")


class Sent(NamedTuple):
    """A record as the client hands it over."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Nowhere:
    """Journal, outlet and inputs in one: takes everything, knows nothing."""

    record_bytes = 64 << 20

    def end(self, topic: str, partition: int) -> int | None:
        """Return that the end is unknown."""
        del topic, partition
        return None

    def passed(self, topic: str, partition: int, offset: int) -> int:
        """Return that nothing was passed."""
        del topic, partition
        return offset

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Take a record of the journal."""
        del partition, value
        return -1

    async def send(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], Landed]:
        """Take records for other topics."""
        del records
        return {}


class Stages:
    """CPU seconds per stage; one inside another counts for itself only."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that measures itself."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = thread_time() - began
                self.spent[name] += took - self._inner.pop()
                self._inner[-1] += took

        return measured


class Bench:
    """A worker's partitions without a broker."""

    def __init__(self, rules: Rules, partitions: int = PARTITIONS, flush_events: int = FLUSH_EVENTS) -> None:
        self.now_ms = 0
        nowhere: Any = Nowhere()
        names = {name: name for name in _INPUTS}
        ports = Ports(nowhere, nowhere, nowhere, names, lambda: self.now_ms)
        limits = shell.Limits(flush_events=flush_events, backlog_events=3 * flush_events)
        offsets = dict.fromkeys(_INPUTS, 0)
        self.floors = [Floor(number, partitions, rules) for number in range(partitions)]
        self.partitions = [
            shell.Partition(number, partitions, floor, Folded(0), offsets, ports, limits=limits)
            for number, floor in enumerate(self.floors)
        ]
        self.flush_events = flush_events
        self.journal_bytes = self.readings_bytes = self.readings = self.flushes = self.relayed = 0

    def take(self, number: int, topic: str, lane: list[tuple[bytes | None, bytes | None]]) -> None:
        """Hand a batch to a partition, and flush it when that is due."""
        partition = self.partitions[number]
        first = partition.next[topic]
        records = [Sent(first + index, 0, key, value) for index, (key, value) in enumerate(lane)]
        asyncio_free(partition.receive(topic, records))
        if partition.pending >= self.flush_events:
            self.flush(number)

    def flush(self, number: int) -> None:
        """Capture one partition; what it relays is delivered at once."""
        captured = self.partitions[number]._capture()
        self.flushes += 1
        self.journal_bytes += sum(map(len, captured.records))
        self.readings += captured.readings
        relayed: dict[int, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        for record in captured.outgoing:
            if record.topic == "relay":
                relayed[record.partition].append((record.key, record.value))
            else:
                self.readings_bytes += len(record.value or b"")
        for target, lane in sorted(relayed.items()):
            self.relayed += len(lane)
            self.take_relay(target, lane)

    def take_relay(self, number: int, lane: list[tuple[bytes | None, bytes | None]]) -> None:
        """Deliver relay records; they never make a flush due here, so that a flush is through before the next begins."""
        partition = self.partitions[number]
        first = partition.next["relay"]
        asyncio_free(partition.receive("relay", [Sent(first + index, 0, *pair) for index, pair in enumerate(lane)]))


def asyncio_free(work: Any) -> None:
    """Run a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


Lane = tuple[int, str, list[tuple[bytes | None, bytes | None]], int]
"""(partition, topic, (key, value) each, wall clock in ms)."""


def lanes_of(file: Path, partitions: int = PARTITIONS) -> list[Lane]:
    """Return the events of a file as batches in the order in which a client hands them over in a backlog."""
    place = PARTITIONERS["murmur2"]
    waiting: dict[tuple[int, str], list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
    lanes: list[Lane] = []
    for batch in read_lines(file):
        for line in batch:
            number = place(line.key, partitions) if line.key else 0
            lane = waiting[number, line.topic]
            lane.append((line.key, line.value))
            if len(lane) >= BATCH_RECORDS:
                lanes.append((number, line.topic, lane, 0))
                waiting[number, line.topic] = []
    lanes += [(number, topic, lane, 0) for (number, topic), lane in waiting.items() if lane]
    return lanes


@contextmanager
def measured(stages: Stages) -> Any:
    """Measure the stages of all floors and partitions made meanwhile."""
    wrap = stages.around
    places: list[tuple[Any, str, str]] = [
        (core, "decode_batch", "decode"),
        (Floor, "_apply_relay", "take relay in"),
        (Floor, "apply", "take in"),
        (Floor, "_book_sessions", "book sessions"),
        (Floor, "_book_agents", "book agents"),
        (Floor, "_book_others", "book others"),
        (Books, "settle", "settle cells"),
        (core, "readings_of", "make readings"),
        (Entries, "changed", "make entries"),
        (Floor, "flush", "flush, the rest"),
        (Floor, "entry", "snapshot piece"),
        (Floor, "keys", "snapshot keys"),
        (shell, "encode_within", "encode journal record"),
        (shell.Partition, "_outgoing", "encode readings"),
        (shell.Partition, "_capture", "capture, the rest"),
        (shell.Partition, "_apply", "receive"),
    ]
    patches = [patch.object(where, name, wrap(stage, getattr(where, name))) for where, name, stage in places]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def run(lanes: list[Lane], rules: Rules, now_ms: int, partitions: int = PARTITIONS, flush_events: int = FLUSH_EVENTS,
        limit: int | None = None) -> tuple[Bench, float]:  # fmt: skip
    """Work through all batches; return what came of it and the CPU seconds."""
    bench = Bench(rules, partitions, flush_events)
    bench.now_ms = now_ms
    settle_memory()
    began = process_time()
    for number, topic, lane, _ in lanes[:limit]:
        bench.take(number, topic, lane)
    for number in range(partitions):
        bench.flush(number)
    return bench, process_time() - began


def bench_stages(file: Path) -> dict[str, float]:
    """Return CPU us per event by stage."""
    lanes = lanes_of(file)
    events = sum(len(lane) for _, _, lane, _ in lanes)
    rules, now_ms = Config().rules(), 4_000_000_000_000
    bench, cpu_s = run(lanes, rules, now_ms)
    stages = Stages()
    with measured(stages):
        run(lanes, rules, now_ms)
    figures = {"all, CPU us/event": cpu_s / events * 1e6}
    figures |= {f"{stage}, us/event": spent / events * 1e6 for stage, spent in sorted(stages.spent.items(), key=lambda s: -s[1])}
    return figures | {
        "events per flush": events / bench.flushes,
        "journal bytes/event": bench.journal_bytes / events,
        "readings bytes/event": bench.readings_bytes / events,
        "events per reading": events / bench.readings,
        "relay records/event": bench.relayed / events,
    }


__all__ = ["bench_stages"]
