"""One owned partition: what comes in, in order and without holes, and what goes out, journal first.

Theory of operation. `receive` takes batches of an input, looks at every offset (`streams.journal.contiguity`) and hands
the records that follow on to the floor. `flush` is the only way out:

1. capture, without waiting: the floor's changes, rejects, the offsets up to which they hold, all encoded now;
2. append it to the journal and wait; another offset than the one after our last means that somebody else has claimed
   the partition: `Replaced`, and nothing is published;
3. send dead letters, late records, relay and readings, the heartbeat last, and wait for every acknowledgement;
4. only now the offsets are committable, and the next record says that this flush is published.

A crash before 2 loses nothing, since the input is read again from the journal's offsets; a crash between 2 and 4 is made
good by the next owner, who publishes again what the journal says may be missing. One flush is under way at a time;
processing goes on meanwhile, up to `Limits.backlog_events`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import structlog
from prometheus_client import Histogram

from schemas.errors import Replaced
from schemas.readings import Reading, encode_key, encode_value
from streams.journal.contiguity import Explanation, Finding, cut
from streams.journal.fold import KEPT_CYCLES, Folded
from streams.journal.record import Delta, Outgoing, encode_within, freeze_entries
from streams.journal.rolling import CYCLE_FLUSHES, Rolling

DEAD_LETTER_BYTES: Final = 900_000
"""The most of a value that a dead letter keeps, so that with its headers it fits a broker's default limit of 1 MiB."""
FLUSH_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_log = structlog.get_logger(__name__)


class Reject(Protocol):
    """A record that the floor did not take: its place in the batch, and why."""

    @property
    def index(self) -> int: ...
    @property
    def outcome(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Flush(Protocol):
    """What a floor hands over at a flush: changed entries (None: deleted), readings, records for the relay topic."""

    @property
    def entries(self) -> Mapping[str, Any]: ...
    @property
    def readings(self) -> Sequence[Reading]: ...
    @property
    def relay(self) -> Iterable[Any]: ...


class Floor(Protocol):
    """The part of `streams.core.floor.Floor` that the shell uses."""

    def apply(
        self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int
    ) -> Sequence[Reject]: ...
    def flush(self, seq: int, now_ms: int, at_end: Collection[str]) -> Flush: ...
    def keys(self) -> list[str]: ...
    def entry(self, key: str) -> Any | None: ...


class Record(Protocol):
    """A record as aiokafka gives it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Source(Protocol):
    """The inputs of all partitions, by short topic name."""

    def end(self, topic: str, partition: int) -> int | None:
        """Return the log's end as far as it is known, without waiting."""

    async def go_back(self, topic: str, partition: int, offset: int) -> None:
        """Deliver again from `offset` on."""

    def offsets_from(self, topic: str, partition: int, start: int) -> AsyncIterator[int]:
        """Ask the broker which offsets the log holds from `start` on."""


class Log(Protocol):
    """Where flushes are appended: `streams.journal.Journal`."""

    @property
    def record_bytes(self) -> int: ...
    async def append(self, partition: int, value: bytes) -> int: ...


class Sender(Protocol):
    """Where everything else is sent: `streams.journal.Outlet`."""

    async def send(self, records: Iterable[Outgoing]) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When a partition flushes: after `interval_s` if anything came, at once at so many events or bytes of rejects.

    At `backlog_events` not yet captured the input waits; `heartbeat_s` is the longest time between two flushes.
    """

    interval_s: float = 0.5
    heartbeat_s: float = 5.0
    flush_events: int = 10_000
    backlog_events: int = 30_000
    reject_bytes: int = 4 << 20
    cycle_flushes: int = CYCLE_FLUSHES


@dataclass(slots=True)
class Tally:
    """What one worker has done, over all its partitions."""

    events: int = 0
    readings: int = 0
    holes: Counter[str] = field(default_factory=Counter)
    flush_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "floorpulse_worker_flush_seconds",
            "From capture to the last acknowledgement",
            buckets=FLUSH_BUCKETS_S,
            registry=None,
        )
    )


class Ports(NamedTuple):
    """What a partition waits for, and the clock in ms. `names` gives a topic's full name for its short one."""

    source: Source
    log: Log
    sender: Sender
    names: Mapping[str, str]
    clock_ms: Callable[[], int]


class _Captured(NamedTuple):
    seq: int
    records: list[bytes]
    outgoing: list[Outgoing]
    offsets: dict[str, int]
    starts_cycle: bool
    ends_cycle: bool


class Partition:
    """One partition that this worker owns, from its claim to its loss; `offsets` is where each input begins."""

    def __init__(
        self,
        number: int,
        partitions: int,
        floor: Floor,
        folded: Folded,
        offsets: Mapping[str, int],
        ports: Ports,
        *,
        limits: Limits | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.number = number
        self.partitions = partitions
        self.epoch = folded.epoch
        self.seq = folded.seq
        self.published = folded.published
        self.next = dict(offsets)
        """The next offset of each input, by short topic name."""
        self.committable: dict[str, int] = {}
        """Up to where everything is journalled and published."""
        self.heartbeat: Mapping[str, Any] = {}
        """The body of the newest published heartbeat."""
        self.progress_s = time.monotonic()
        """When the last flush was through."""
        self.pending = 0
        self.closed = False
        self._floor = floor
        self._ports = ports
        self._limits = limits or Limits()
        self._tally = tally or Tally()
        self._last = folded.epoch
        self._rolling = Rolling(folded.cycle, self._limits.cycle_flushes)
        self._cycle_start: int | None = None
        self._cycles = list(folded.cycles)
        self._rejects: list[Outgoing] = []
        self._reject_bytes = 0
        self._healing: dict[str, int] = {}
        self._at_end: frozenset[str] = frozenset()
        self._fresh = True
        self._flushing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._captured = asyncio.Event()

    # -- in

    async def receive(self, topic: str, records: Sequence[Record]) -> None:
        """Take a batch of an input in offset order; waits while the flush is too far behind."""
        while records and not self.closed:
            offsets = [record.offset for record in records]
            begin, end, hole = cut(self.next[topic], offsets)
            if end > begin:
                self._healing.pop(topic, None)
                self._apply(topic, records if end - begin == len(records) else records[begin:end])
            records = records[end:]
            if hole and not await self._explained(topic, offsets[end:]):
                break
        await self._wait_for_room()

    def _apply(self, topic: str, records: Sequence[Record]) -> None:
        keys, values = [record.key for record in records], [record.value for record in records]
        rejects = self._floor.apply(topic, keys, values, self._ports.clock_ms())
        self._rejects += [self._letter(topic, records[reject.index], reject) for reject in rejects]
        self._reject_bytes += sum(len(records[reject.index].value or b"") for reject in rejects)
        self.next[topic] = records[-1].offset + 1
        self.pending += len(records)
        self._tally.events += len(records)
        if self.pending >= self._limits.flush_events or self._reject_bytes >= self._limits.reject_bytes:
            self._wanted.set()

    def _letter(self, topic: str, record: Record, reject: Reject) -> Outgoing:
        value = record.value
        headers = {
            "reason": reject.reason,
            "detail": reject.detail,
            "topic": self._ports.names[topic],
            "partition": str(self.number),
            "offset": str(record.offset),
            "timestamp": str(record.timestamp),
        }
        if value is not None and len(value) > DEAD_LETTER_BYTES:
            headers["truncated"] = str(len(value))
            value = value[:DEAD_LETTER_BYTES]
        target = "late" if reject.outcome == "late" else "dead-letters"
        encoded = [(name, text.encode(errors="backslashreplace")) for name, text in headers.items()]
        return Outgoing(target, self.number, record.key, value, encoded)

    async def _wait_for_room(self) -> None:
        while not self.closed and self._is_full():
            self._captured.clear()
            self._wanted.set()
            await self._captured.wait()

    def _is_full(self) -> bool:
        return self.pending >= self._limits.backlog_events or self._reject_bytes >= self._limits.reject_bytes

    async def _explained(self, topic: str, offsets: Sequence[int]) -> bool:
        """Find out about a hole before `offsets`; True when it is the log's own, else reading has gone back."""
        expected = self.next[topic]
        if self._healing.get(topic) == expected:
            return False  # fetched before the way back
        finding = await self._ask(topic, expected, offsets)
        if self.closed or self.next[topic] != expected:
            return False
        lost = finding is Finding.LOST
        self._tally.holes["lost" if lost else "log"] += 1
        _log.warning(
            "partition.hole",
            topic=topic,
            partition=self.number,
            expected=expected,
            found=offsets[0],
            verdict="not delivered: reading goes back" if lost else "the log itself has it: retention or a marker",
        )
        if lost:
            self._healing[topic] = expected
            await self._ports.source.go_back(topic, self.number, expected)
        else:
            self.next[topic] = offsets[0]
        return not lost

    async def _ask(self, topic: str, expected: int, offsets: Sequence[int]) -> Finding:
        explanation = Explanation(offsets[:1])
        async for offset in self._ports.source.offsets_from(topic, self.number, expected):
            finding = explanation.see(offset)
            if finding is not Finding.UNDECIDED:
                return finding
        return Finding.EXPLAINED

    # -- out
