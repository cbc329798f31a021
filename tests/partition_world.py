"""A small Kafka in memory for one owned partition: two inputs, a journal, and what was published.

Everything that waits does so for a number of turns of the event loop that a seed decides, so a schedule can be replayed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from schemas.markers import read_end_of_input
from schemas.readings import ReadingKey, decode_key, decode_value, encode_key, encode_value
from streams.journal import Claim, Delta, Fold, Folded, Outgoing, decode, encode
from streams.journal.ports import Landed, Ports
from streams.partition import Limits, Partition, Tally

TOPICS = ("sessions", "queues")
COUNTS = "#counts"
NAMES = {topic: f"prefix.{topic}" for topic in TOPICS}


@dataclass(frozen=True)
class Rec:
    """A record of an input."""

    offset: int
    value: bytes | None
    key: bytes | None = b"key"
    timestamp: int = 1_000


@dataclass(frozen=True)
class Rejected:
    """A record that the floor refuses."""

    index: int
    outcome: str
    reason: str
    detail: str


class Flushed(NamedTuple):
    """What the floor hands over."""

    entries: dict[str, Any]
    published: list[tuple[bytes, bytes | None]]
    relay: list[Any]
    heartbeat: dict[str, Any]

    @property
    def packed(self) -> list[msgspec.Raw]:
        """All of the changed cells, and the accounting."""
        return [msgspec.Raw(msgspec.msgpack.encode(self.entries))]

    @property
    def changed(self) -> int:
        """None is ever deleted."""
        return len(self.entries)

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """All readings but the heartbeat."""
        return self.published


class Floor:
    """Count records by cell; a value is a cell's name, `bad` and `late` are refused."""

    def __init__(self, entries: Mapping[str, Any] | None = None, unpublished: Collection[str] = ()) -> None:
        self.cells: dict[str, int] = {key: value for key, value in (entries or {}).items() if key != COUNTS}
        self.counts: dict[str, dict[str, int]] = {topic: dict(of) for topic, of in (entries or {}).get(COUNTS, {}).items()}
        self.changed = set(unpublished) - {COUNTS}
        self.at_end: Collection[str] = ()

    def apply(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int) -> list[Rejected]:
        """Count."""
        assert len(keys) == len(values)
        rejects = []
        counts = self.counts.setdefault(topic, {"applied": 0, "late": 0, "invalid": 0})
        for index, value in enumerate(values):
            if value is None or value.startswith((b"bad", b"late")):
                rejects.append(Rejected(index, "late" if value == b"late" else "invalid", "unparsable", f"at {now_ms}"))
                counts[rejects[-1].outcome] += 1
            elif read_end_of_input(value) is None:
                counts["applied"] += 1
                cell = f"{topic} {value.decode()}"
                self.cells[cell] = self.cells.get(cell, 0) + 1
                self.changed.add(cell)
        return rejects

    def flush(self, seq: int, now_ms: int, at_end: Collection[str], epoch: int) -> Flushed:
        """Hand over the changed cells."""
        self.at_end = at_end
        changed, self.changed = sorted(self.changed), set()
        records = [self.record(ReadingKey("total", 3, "queue", cell), now_ms, epoch, seq) for cell in changed]
        events = {topic: dict(of) for topic, of in self.counts.items()}
        beat = {"clock": {"now": now_ms}, "counters": {"seq": seq}, "events": events}
        return Flushed({**{cell: self.cells[cell] for cell in changed}, COUNTS: events}, records, [], beat)

    def record(self, key: ReadingKey, now_ms: int, epoch: int, seq: int) -> tuple[bytes, bytes | None]:
        """A cell's reading as it is now."""
        assert now_ms == 123
        return encode_key(key), encode_value({"parts": {"n": self.cells.get(key.name, 0)}}, epoch, seq)

    def begin_cycle(self) -> int:
        """All cells, and the accounting."""
        self.cycle = [*self.cells, COUNTS]
        return len(self.cycle)

    def piece(self, size: int) -> list[msgspec.Raw]:
        """Cells' counts, and the accounting."""
        keys, self.cycle = self.cycle[:size], self.cycle[size:]
        return [msgspec.Raw(msgspec.msgpack.encode({key: self.counts if key == COUNTS else self.cells[key] for key in keys}))]


class Broken(Exception):
    """The broker refuses, or its answer is lost."""


class World:
    """The broker's side; `turns` says how many turns of the loop each wait takes, `fails` whether it ends badly."""

    def __init__(self, turns: Callable[[], int] = lambda: 0) -> None:
        self.turns = turns
        self.fails: Callable[[], bool] = lambda: False
        self.inputs: dict[str, list[Rec]] = {topic: [] for topic in TOPICS}
        self.journal: list[bytes] = []
        self.claims: list[int] = []
        self.valid: set[tuple[int, int]] = set()
        """(epoch, seq) of the flushes in the journal that count."""
        self.sent: list[Outgoing] = []
        self.readings: list[Outgoing] = []
        """The partition of the readings, whole."""
        self.ends_known = True
        self.markers: dict[tuple[str, int], int] = {}
        self.violations: list[str] = []

    async def pause(self) -> None:
        """Wait."""
        for _ in range(self.turns()):
            await asyncio.sleep(0)

    async def risk(self) -> None:
        """Wait, and perhaps fail."""
        await self.pause()
        if self.fails():
            raise Broken

    def fold(self) -> Folded:
        """What the journal holds now."""
        folding = Fold(3, 4, 0)
        for offset, value in enumerate(self.journal):
            folding.add(offset, decode(value))
        return folding.result(len(self.journal))

    async def claim(self) -> Folded:
        """Take the partition over, as a worker does."""
        await self.pause()
        folded = self.fold()
        self.claims.append(len(self.journal))
        self.journal.append(encode(Claim("me", 0)))
        await self.pause()
        await Ledger(self).send(folded.outbox)
        return folded

    def compacted(self) -> dict[str, int]:
        """The published cells as a reader has them that starts after compaction: it keeps the last record of each key."""
        last = {decode_key(record.key or b""): decode_value(record.value) for record in self.readings}
        return {key.name: value.parts["n"] for key, value in last.items() if key.kind == "total" and value is not None}

    def cells(self) -> dict[str, int]:
        """The cells in the journal."""
        return {key: value for key, value in self.fold().entries.items() if key != COUNTS}

    def latest(self) -> dict[str, int]:
        """The published cells, as a reader that keeps the highest (epoch, seq) has them."""
        best: dict[str, tuple[tuple[int, int], int]] = {}
        for record in self.sent:
            if record.topic == "readings" and record.key and decode_key(record.key).kind == "total":
                value = decode_value(record.value)
                assert value is not None
                name, stamp = decode_key(record.key).name, (value.epoch, value.seq)
                if name not in best or stamp >= best[name][0]:
                    best[name] = stamp, value.parts["n"]
        return {name: count for name, (_, count) in best.items()}

    def letters(self) -> Counter[tuple[str, int]]:
        """How often each record went to the dead letters or the late ones."""
        return Counter(
            (dict(record.headers)["topic"].decode(), int(dict(record.headers)["offset"]))
            for record in self.sent
            if record.topic in ("dead-letters", "late")
        )


class Log:
    """The journal's port."""

    record_bytes = 100_000

    def __init__(self, world: World) -> None:
        self.world = world

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Append after a while, acknowledge after another."""
        assert partition == 3
        world, record = self.world, decode(value)
        await world.risk()
        assert isinstance(record, Delta)
        if record.epoch == world.claims[-1] and record.part == record.parts - 1:
            world.valid.add((record.epoch, record.seq))
        world.journal.append(bytes(value))
        offset = len(world.journal) - 1
        await world.risk()
        return offset

    async def claimed(self, partition: int, start: int, stop: int) -> bool:
        """Look for a claim."""
        assert partition == 3
        await self.world.pause()
        return any(start <= offset < stop for offset in self.world.claims)


class Ledger:
    """The sender's port; it notes what is published ahead of the journal."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.awake = asyncio.Event()
        self.awake.set()

    async def send(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], Landed]:
        """Deliver one by one, with waits between."""
        place = Landed(0, 0)
        for record in records:
            await self.world.risk()
            await self.awake.wait()
            if record.topic == "readings":
                value = decode_value(record.value)
                assert value is not None
                received = {key: count for key, count in value.counters.items() if key != "seq"}
                if value.clock and received != {f"received.{topic}": sum(of.values()) for topic, of in value.events.items()}:
                    self.world.violations.append(f"received {received}, counted {value.events}")
                if (value.epoch, value.seq) not in self.world.valid:
                    self.world.violations.append(f"reading of {value.epoch}/{value.seq} is not valid in the journal")
            self.world.sent.append(record)
            if record.topic == "readings":
                self.world.readings.append(record)
                place = Landed(len(self.world.readings), place.records + 1)
        await self.world.risk()
        return {("readings", 3): place} if place.records else {}


class Inputs:
    """The source's port, and where one owner reads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.at: dict[str, int] = dict.fromkeys(TOPICS, 0)
        self.went_back: list[tuple[str, int]] = []

    def end(self, topic: str, partition: int) -> int | None:
        """One more than the last offset."""
        assert partition == 3
        log = self.world.inputs[topic]
        return (log[-1].offset + 1 if log else 0) if self.world.ends_known else None

    def passed(self, topic: str, partition: int, offset: int) -> int:
        """A marker at the log's end, once the client has read it."""
        assert partition == 3
        return self.world.markers.get((topic, offset), offset)

    async def begin(self, topic: str, partition: int) -> int:
        """The first offset."""
        assert partition == 3
        await self.world.pause()
        return self.world.inputs[topic][0].offset

    async def readings(self, partition: int, start: int) -> AsyncGenerator[Rec]:
        """What was published."""
        assert partition == 3
        await self.world.pause()
        for offset, record in enumerate(self.world.readings[start:], start):
            yield Rec(offset, record.value, record.key)

    async def go_back(self, topic: str, partition: int, offset: int) -> None:
        """Read again."""
        assert partition == 3
        await self.world.pause()
        self.went_back.append((topic, offset))
        self.at[topic] = offset

    async def offsets_from(self, topic: str, partition: int, start: int) -> AsyncGenerator[int]:
        """The log's offsets."""
        assert partition == 3
        for record in self.world.inputs[topic]:
            if record.offset >= start:
                await self.world.pause()
                yield record.offset


class Owner:
    """A partition with its ports."""

    def __init__(
        self,
        world: World,
        folded: Folded,
        log: Log | None = None,
        *,
        floor: Any = None,
        clock_ms: Callable[[], int] = lambda: 123,
        **limits: Any,
    ) -> None:
        self.world = world
        self.inputs = Inputs(world)
        self.tally = Tally()
        self.floor = floor or Floor(folded.entries, folded.unpublished)
        offsets = {topic: folded.offsets.get(topic, 0) for topic in TOPICS}
        self.ledger = Ledger(world)
        ports = Ports(self.inputs, log or Log(world), self.ledger, NAMES, clock_ms)
        limits = {"interval_s": 0.0, "catch_up_s": 0.0, **limits}
        self.partition = Partition(3, 4, self.floor, folded, offsets, ports, limits=Limits(**limits), tally=self.tally)

    async def feed(self, *offsets: int, topic: str = "sessions") -> None:
        """Deliver the records of the log at these offsets as one batch."""
        wanted = {record.offset: record for record in self.world.inputs[topic]}
        await self.partition.receive(topic, [wanted[offset] for offset in offsets])

    async def run_until(self, condition: Callable[[], object]) -> None:
        """Let it flush until something holds."""
        task = asyncio.ensure_future(self.partition.run())
        for _ in range(1000):
            await asyncio.sleep(0)
            if condition() or task.done():
                break
        self.partition.closed = True
        await task
        assert condition()


async def owner_of(world: World, **limits: Any) -> Owner:
    """Claim the partition."""
    return Owner(world, await world.claim(), **limits)


async def turns(most: int, condition: Callable[[], bool]) -> None:
    """Let everybody run for so many turns, or until something holds."""
    for _ in range(most):
        await asyncio.sleep(0)
        if condition():
            return
