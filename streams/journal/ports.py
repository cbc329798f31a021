"""What a partition needs of others: the floor that counts, the inputs, the journal, and the way out.

Protocols, so that a partition runs on in-memory stand-ins that stall, fail and reorder as well as on Kafka.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from schemas.readings import ReadingKey
from streams.journal.record import Maps, Outgoing


class Reject(Protocol):
    """A record that the floor did not take."""

    @property
    def index(self) -> int:
        """Give its place in the batch."""

    @property
    def outcome(self) -> str:
        """Give `invalid` or `late`."""

    @property
    def reason(self) -> str:
        """Give a short name of the cause."""

    @property
    def detail(self) -> str:
        """Give the cause for people."""


class Flush(Protocol):
    """What a floor hands over at a flush."""

    @property
    def packed(self) -> Maps:
        """Give the changed entries as msgpack of maps, nil for a deleted one."""

    @property
    def changed(self) -> int:
        """Give how many of them there are that are not deleted."""

    @property
    def heartbeat(self) -> dict[str, Any]:
        """Give the body of the reading that closes the flush."""

    def records(self) -> Sequence[tuple[bytes, bytes | None]]:
        """Return key and value of all other readings; a value of None is a tombstone."""

    @property
    def relay(self) -> Iterable[Any]:
        """Give records for the relay topic, with `partition` and `value`."""


class Floor(Protocol):
    """The part of `streams.core.floor.Floor` that the shell uses."""

    def apply(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int) -> Sequence[Reject]:
        """Take a batch of an input in offset order."""

    def flush(self, seq: int, now_ms: int, at_end: Collection[str], epoch: int) -> Flush:
        """Hand over all changes since the last flush."""

    def begin_cycle(self) -> int:
        """Begin a cycle of the rolling snapshot with all entries that there are; return how many."""

    def piece(self, size: int) -> Maps:
        """Return the next entries of the cycle as msgpack of maps, without what is gone or stands in the last flush."""

    def record(self, key: ReadingKey, now_ms: int, epoch: int, seq: int) -> tuple[bytes, bytes | None]:
        """Return key and value of a reading as it is after the last flush."""


class CompiledFloor(Floor, Protocol):
    """What the compiled core can do as well."""

    def apply_records(self, topic: str, records: Any, now_ms: int) -> Sequence[Reject]:
        """Take a batch of records as they lie in the log (`streams.fetches.Slab.held`)."""


class Record(Protocol):
    """A record as aiokafka gives it."""

    @property
    def offset(self) -> int:
        """Give its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Give the time of sending in ms."""

    @property
    def key(self) -> bytes | None:
        """Give the key."""

    @property
    def value(self) -> bytes | None:
        """Give the value."""


class Source(Protocol):
    """The inputs of all partitions, by short topic name."""

    def end(self, topic: str, partition: int) -> int | None:
        """Return the log's end as far as it is known, without waiting."""

    def passed(self, topic: str, partition: int, offset: int) -> int:
        """Return up to where the client has read on from `offset` without finding a record (markers), without waiting."""

    async def begin(self, topic: str, partition: int) -> int:
        """Ask the broker for the first offset that the log still holds."""

    async def go_back(self, topic: str, partition: int, offset: int) -> None:
        """Deliver again from `offset` on."""

    def offsets_from(self, topic: str, partition: int, start: int) -> AsyncGenerator[int]:
        """Ask the broker which offsets the log holds from `start` on, up to its end."""

    def readings(self, partition: int, start: int) -> AsyncGenerator[Record]:
        """Read the readings of a partition from `start` on, up to the log's end."""


class Log(Protocol):
    """Where flushes are appended: `streams.journal.Journal`."""

    @property
    def record_bytes(self) -> int:
        """Give the most that one record may take."""

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Append a record and return its offset once all replicas have it (-1: it is there, but nobody knows where)."""

    async def claimed(self, partition: int, start: int, stop: int) -> bool:
        """Tell whether one of the records from `start` up to, without, `stop` is a claim."""


class Landed(NamedTuple):
    """Where records of one partition came to lie: so many `records`, the last one before `end` (0: nobody knows where)."""

    end: int
    records: int


class Sender(Protocol):
    """Where everything else is sent: `streams.journal.Outlet`."""

    async def send(self, records: Iterable[Outgoing]) -> Mapping[tuple[str, int], Landed]:
        """Send records, return once all replicas have all of them, and tell per topic and partition where they lie."""


class Ports(NamedTuple):
    """What a partition waits for, and the clock in ms. `names` gives a topic's full name for its short one."""

    source: Source
    log: Log
    sender: Sender
    names: Mapping[str, str]
    clock_ms: Callable[[], int]


__all__ = ["CompiledFloor", "Floor", "Flush", "Landed", "Log", "Ports", "Record", "Reject", "Sender", "Source"]
