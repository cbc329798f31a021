"""One owned partition on in-memory ports: the order of a flush, holes, and whatever schedule of crashes.

`World` is a small Kafka in memory: one partition of two inputs, a journal, and what was published. Everything that
waits does so for a number of turns of the event loop that a seed decides, so a schedule can be replayed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import pytest
from structlog.testing import capture_logs

from schemas.errors import JournalError, KafkaUnreachable, Replaced
from schemas.markers import end_of_input, read_end_of_input
from schemas.readings import ReadingKey, decode_key, decode_value, encode_key, encode_value
from streams import partition as module
from streams.journal import Claim, Cut, Delta, Fold, Folded, Outgoing, Span, decode, encode
from streams.journal.follow import Follow
from streams.journal.letters import KEY_BYTES, LETTER_BYTES
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
    def packed(self) -> msgspec.Raw:
        """All of the changed cells, and the accounting."""
        return msgspec.Raw(msgspec.msgpack.encode(self.entries))

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

    def piece(self, size: int) -> msgspec.Raw:
        """Cells' counts, and the accounting."""
        keys, self.cycle = self.cycle[:size], self.cycle[size:]
        return msgspec.Raw(msgspec.msgpack.encode({key: self.counts if key == COUNTS else self.cells[key] for key in keys}))


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

    async def append(self, partition: int, value: bytes) -> int:
        """Append after a while, acknowledge after another."""
        assert partition == 3
        world, record = self.world, decode(value)
        await world.risk()
        assert isinstance(record, Delta)
        if record.epoch == world.claims[-1] and record.part == record.parts - 1:
            world.valid.add((record.epoch, record.seq))
        world.journal.append(value)
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


@pytest.fixture
def world() -> World:
    """A world without delays that holds six records of two cells."""
    made = World()
    made.inputs["sessions"] = [Rec(offset, b"a" if offset < 3 else b"b") for offset in range(6)]
    return made


async def owner_of(world: World, **limits: Any) -> Owner:
    """Claim the partition."""
    return Owner(world, await world.claim(), **limits)


# ------------------------------------------------------------------ a flush


async def test_a_flush_is_journalled_then_published_then_committable(world: World) -> None:
    """In this order: the sender finds the record in the journal."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 2, 3)
    assert (owner.partition.committable, world.sent) == ({}, [])
    await owner.partition.finish()
    assert owner.partition.committable == {"sessions": 4, "queues": 0}
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.violations == []
    assert world.fold().offsets == {"sessions": 4, "queues": 0}
    assert owner.partition.clean


async def test_the_heartbeat_closes_a_flush(world: World) -> None:
    """With epoch and sequence in each value."""
    owner = await owner_of(world)
    await owner.feed(0)
    await owner.partition.finish()
    last = world.sent[-1]
    assert last.key is not None
    assert decode_key(last.key) == ReadingKey("heartbeat", 3)
    value = decode_value(last.value)
    assert value is not None
    assert (value.epoch, value.seq) == (0, 1)
    assert owner.partition.heartbeat["counters"] == {"seq": 1, "received.sessions": 1}


async def test_a_replaced_owner_stops_before_it_publishes(world: World) -> None:
    """Somebody else's claim lies between its records."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    await world.claim()
    with pytest.raises(Replaced, match=r"partition 3.*another worker has claimed"):
        await owner.partition.finish()
    assert world.sent == []
    assert owner.partition.committable == {}
    assert not owner.partition.clean
    assert world.fold().entries == {}


async def test_a_zombies_record_does_not_replace_the_owner(world: World) -> None:
    """It was appended behind our claim, so it counts for nobody, and we go on."""
    zombie = await owner_of(world)
    await zombie.feed(0, 1)
    owner = await owner_of(world)
    with pytest.raises(Replaced):
        await zombie.partition.finish()
    await owner.feed(0, 1, 2, 3)
    await owner.partition.finish()
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.cells() == {"sessions a": 3, "sessions b": 1}


async def test_a_next_owner_publishes_what_the_last_one_could_not(world: World) -> None:
    """Readings by the entries' keys, dead letters from the outbox."""
    world.inputs["sessions"].append(Rec(6, b"bad"))
    owner = await owner_of(world)
    await owner.feed(*range(7))
    captured = owner.partition._capture()
    await owner.partition._append(captured)  # and then it dies
    second = await owner_of(world)
    assert world.letters() == {("prefix.sessions", 6): 1}
    assert second.partition.next == {"sessions": 7, "queues": 0}
    await second.run_until(lambda: second.partition.published)
    assert world.latest() == {"sessions a": 3, "sessions b": 3}
    assert second.partition.seq == 2


async def test_a_new_owner_flushes_at_once_then_only_when_something_is_new(world: World) -> None:
    """The first flush says that it is there; a quiet partition sends heartbeats only."""
    owner = await owner_of(world, heartbeat_s=1000)
    turns = iter(range(50))
    await owner.run_until(lambda: next(turns, 50) == 50)
    assert owner.partition.seq == 1


async def test_a_quiet_partition_sends_heartbeats(world: World) -> None:
    """So that readers know that it is alive."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.run_until(lambda: owner.partition.seq > 3)
    assert world.fold().seq == owner.partition.seq


async def test_the_floor_is_told_which_inputs_are_at_their_end(world: World) -> None:
    """As far as the broker has said; that alone is worth a flush."""
    owner = await owner_of(world, heartbeat_s=1000)
    world.ends_known = False
    await owner.run_until(lambda: owner.partition.published == 1)
    assert owner.floor.at_end == frozenset()
    world.ends_known = True
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.published == 2)
    assert owner.floor.at_end == {"queues"}


async def test_what_was_refused_goes_aside_as_it_came(world: World) -> None:
    """With headers, to the topic of its kind, counted in the flush that covers its offset."""
    world.inputs["sessions"] = [Rec(0, b"bad \xff", b"\x00"), Rec(1, b"late"), Rec(2, None, None)]
    owner = await owner_of(world)
    await owner.feed(0, 1, 2)
    await owner.partition.finish()
    bad, late, empty = (record for record in world.sent if record.topic != "readings")
    assert (bad.topic, bad.partition, bad.key, bad.value) == ("dead-letters", 3, b"\x00", b"bad \xff")
    assert dict(bad.headers) == {
        "reason": b"unparsable",
        "detail": b"at 123",
        "topic": b"prefix.sessions",
        "partition": b"3",
        "offset": b"0",
        "timestamp": b"1000",
    }
    assert (late.topic, late.value) == ("late", b"late")
    assert (empty.topic, empty.key, empty.value) == ("dead-letters", None, None)


async def test_a_dead_letter_that_no_broker_takes_is_cut(world: World) -> None:
    """Its full length stands in a header."""
    world.inputs["sessions"] = [Rec(0, b"bad" + b"x" * LETTER_BYTES)]
    owner = await owner_of(world)
    owner.partition._ports.log.record_bytes = 4_000_000  # type: ignore[misc]
    await owner.feed(0)
    await owner.partition.finish()
    [letter] = [record for record in world.sent if record.topic == "dead-letters"]
    assert len(letter.value or b"") == LETTER_BYTES
    assert dict(letter.headers)["truncated"] == str(LETTER_BYTES + 3).encode()


async def test_the_key_of_a_dead_letter_is_cut_too(world: World) -> None:
    """Packed, a default topic takes a key of megabytes, which no record of the journal could hold."""
    world.inputs["sessions"] = [Rec(0, b"bad", key=b"k" * 9_000_000)]
    owner = await owner_of(world)
    await owner.feed(0)
    await owner.partition.finish()
    [letter] = [record for record in world.sent if record.topic == "dead-letters"]
    assert (letter.key, letter.value) == (b"k" * KEY_BYTES, b"bad")
    assert dict(letter.headers)["key_truncated"] == b"9000000"


async def test_a_flush_that_no_record_can_hold_stops_with_a_clear_error(world: World) -> None:
    """Before anything is written."""
    world.inputs["sessions"] = [Rec(0, b"bad" + b"x" * 200_000)]
    owner = await owner_of(world)
    await owner.feed(0)
    with pytest.raises(JournalError, match=r"more than the \d+ that a journal record holds"):
        await owner.partition.finish()
    assert len(world.journal) == 1


async def test_the_input_waits_while_the_flush_is_too_far_behind(world: World) -> None:
    """Processing goes on during a flush, but not for ever."""
    owner = await owner_of(world, flush_events=2, backlog_events=4)
    waiting = asyncio.ensure_future(owner.feed(0, 1, 2, 3))
    await asyncio.sleep(0)
    assert not waiting.done()
    await owner.run_until(waiting.done)
    assert owner.partition.committable == {"sessions": 4, "queues": 0}


async def test_nothing_is_taken_after_the_last_flush(world: World) -> None:
    """A batch that was under way is the next owner's."""
    owner = await owner_of(world)
    await owner.partition.finish()
    await owner.feed(0)
    assert owner.floor.cells == {}
    assert owner.partition.next["sessions"] == 0


# ------------------------------------------------------------------ the same owner again


async def test_a_claim_right_behind_our_own_record_means_that_nothing_happened(world: World) -> None:
    """The parked partition goes on under the new epoch, without a load."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    await owner.partition.finish()
    epoch = len(world.journal)
    await world.claim()
    assert owner.partition.can_resume(epoch)
    owner.partition.resume(epoch)
    await owner.feed(2, 3)
    await owner.partition.finish()
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.cells() == {"sessions a": 3, "sessions b": 1}
    assert owner.partition.epoch == epoch


async def test_a_partition_that_others_had_meanwhile_is_not_resumed(world: World) -> None:
    """Nor is one whose last flush failed."""
    owner = await owner_of(world)
    await owner.partition.finish()
    await world.claim()
    await world.claim()
    assert not owner.partition.can_resume(len(world.journal) - 1)
    owner.partition.clean = False
    assert not owner.partition.can_resume(1)


async def test_old_records_may_go_below_the_third_last_whole_cycle(world: World) -> None:
    """Not before there are three."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.run_until(lambda: owner.partition.seq == 2)
    assert owner.partition.forget_before is None
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.seq >= 5)
    assert owner.partition.forget_before == world.fold().cycles[0] == len(world.journal) - 3


# ------------------------------------------------------------------ holes


async def test_what_was_seen_before_is_left_out(world: World) -> None:
    """A rebalance delivers again."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 2)
    await owner.feed(1, 2, 3, 4)
    await owner.feed(0)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 2}


async def test_a_record_that_was_not_delivered_is_fetched(world: World) -> None:
    """What comes behind the hole is dropped until reading has gone back, then taken."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 3, 4)
    await owner.feed(5)  # fetched before reading went back
    assert owner.inputs.went_back == [("sessions", 2)]
    await owner.feed(2, 3, 4, 5)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 3}
    assert owner.tally.holes == {"delivery": 1}


async def test_a_way_back_that_leads_nowhere_is_taken_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping for ever would be silence."""
    owner = await owner_of(world)
    await owner.feed(1)
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    await owner.feed(1)
    assert owner.inputs.went_back == [("sessions", 0)] * 2


async def test_a_hole_of_the_log_itself_is_explained(world: World) -> None:
    """A transaction's marker, retention: nothing is lost, so the batch is taken."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (5, 6, 8, 11)]
    owner = await owner_of(world)
    await owner.feed(5, 6, 8, 11)
    assert owner.floor.cells == {"sessions a": 4}
    assert owner.inputs.went_back == []
    assert owner.tally.holes == {"retention": 1}


async def test_what_the_client_read_across_needs_no_question(world: World) -> None:
    """It knows by cause what stood in the holes; the next offset is where it has got to."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (0, 1, 4, 5)]
    owner = await owner_of(world)
    owner.inputs.offsets_from = unreachable  # type: ignore[method-assign,assignment]
    records = world.inputs["sessions"]
    await owner.partition.receive("sessions", records, Span(0, 8, {"marker": 2, "aborted": 2}))
    await owner.partition.receive("sessions", records[2:], Span(4, 8, {"marker": 2}))
    assert owner.floor.cells == {"sessions a": 4}
    assert owner.partition.next["sessions"] == 8
    assert (owner.tally.holes, owner.tally.skipped) == ({}, {"marker": 2, "aborted": 2})


async def test_a_span_that_begins_too_late_is_a_hole(world: World) -> None:
    """The client was reset, or a batch was lost on the way to us."""
    owner = await owner_of(world)
    await owner.partition.receive("sessions", world.inputs["sessions"][4:], Span(4, 6))
    assert owner.inputs.went_back == [("sessions", 0)]
    assert owner.tally.holes == {"delivery": 1}
    await owner.feed(0, 1, 2, 3, 4, 5)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 3}


async def test_records_that_retention_took_are_told_loudly(world: World) -> None:
    """Each time, with their number and a remedy; counting goes on behind them."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (7, 8)]
    owner = await owner_of(world)
    with capture_logs() as logs:
        await owner.partition.receive("sessions", world.inputs["sessions"], Span(7, 9))
    assert owner.floor.cells == {"sessions a": 2}
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 7})
    [told] = [log for log in logs if log["event"] == "partition.records_gone"]
    assert (told["log_level"], told["offsets"], told["cause"]) == ("error", 7, "retention")
    assert "retention.ms" in told["remedy"]


async def test_a_log_that_begins_later_than_we_stand_is_told_before_anything_comes(world: World) -> None:
    """Nothing new may ever come to show the hole; what is left is counted, journalled and accounted for as always."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    with capture_logs() as logs:
        assert owner.partition.begin_at("sessions", 4)
        assert not owner.partition.begin_at("sessions", 4)
        assert not owner.partition.begin_at("queues", 0)
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 2})
    [told] = [log for log in logs if log["event"] == "partition.records_gone"]
    assert (told["log_level"], told["topic"], told["expected"], told["offsets"]) == ("error", "sessions", 2, 2)
    await owner.feed(4, 5)
    await owner.partition.finish()
    assert owner.floor.cells == {"sessions a": 2, "sessions b": 2}
    assert world.fold().offsets == {"sessions": 6, "queues": 0}
    assert owner.partition.unaccounted == {"sessions": 0}
    assert world.violations == []


async def test_a_hole_that_was_told_while_the_broker_is_asked_is_told_once(world: World) -> None:
    """Reading goes on from the log's beginning."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (7, 8)]
    owner = await owner_of(world)
    world.turns = lambda: 3
    asking = asyncio.ensure_future(owner.feed(7, 8))
    await asyncio.sleep(0)
    assert owner.partition.begin_at("sessions", 7)
    await asking
    assert owner.inputs.went_back == [("sessions", 7)]
    await owner.feed(7, 8)
    assert owner.floor.cells == {"sessions a": 2}
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 7})


async def test_a_marker_at_the_logs_end_is_passed_over(world: World) -> None:
    """Otherwise the input would never be at its end, and always one record behind."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(*range(6))
    world.inputs["sessions"].append(Rec(6, b"a marker"))
    await owner.run_until(lambda: owner.partition.published == 1)
    assert owner.floor.at_end == {"queues"}
    world.markers["sessions", 6] = 7
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.published == 2)
    assert owner.floor.at_end == {"sessions", "queues"}
    assert owner.partition.committable["sessions"] == 7


async def test_a_hole_that_nobody_can_explain_now_is_left_for_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is away: reading goes back, nothing is taken on trust."""
    owner = await owner_of(world)
    with monkeypatch.context() as patch:
        patch.setattr(owner.inputs, "offsets_from", unreachable)
        await owner.feed(1, 2)
    assert owner.inputs.went_back == [("sessions", 0)]
    assert owner.partition.next["sessions"] == 0
    await owner.feed(0, 1, 2)
    assert owner.floor.cells == {"sessions a": 3}


async def test_far_behind_a_partition_flushes_less_often(world: World) -> None:
    """Fewer, larger flushes get there sooner; a full one is made at once."""
    owner = await owner_of(world, flush_events=3, catch_up_s=1000)
    await owner.feed(0, 1)
    assert not owner.partition._due()
    await owner.feed(2)
    assert owner.partition._due()
    await owner.feed(3)
    assert owner.partition._due()


async def test_both_kinds_of_hole_in_one_batch(world: World) -> None:
    """What the log explains is taken, up to the record that is missing."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (0, 2, 3, 4)]
    owner = await owner_of(world)
    await owner.feed(0, 2, 4)
    assert owner.partition.next["sessions"] == 3
    assert owner.inputs.went_back == [("sessions", 3)]
    assert owner.floor.cells == {"sessions a": 2}


# ------------------------------------------------------------------ behind our back


async def asleep_behind_its_journal(world: World) -> tuple[Owner, asyncio.Future[None]]:
    """An owner that was stopped when its journal had acknowledged, before its readings were out."""
    sleeper = await owner_of(world)
    await sleeper.feed(0, 1)
    sleeper.ledger.awake.clear()
    sleeping = asyncio.ensure_future(sleeper.partition.finish())
    await turns(100, lambda: len(world.journal) == 2)
    return sleeper, sleeping


async def test_a_sleepers_readings_are_published_again(world: World) -> None:
    """It woke up behind its successor: after compaction a new reader would see its old values for ever."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(0, 1, 2, 3)
    await owner.run_until(lambda: owner.partition.published > 2)
    assert world.compacted() == {"sessions a": 3, "sessions b": 1}
    sleeper.ledger.awake.set()
    await sleeping
    assert world.compacted() == {"sessions a": 2, "sessions b": 1}
    owner.partition.closed = False
    await owner.run_until(lambda: world.compacted() == {"sessions a": 3, "sessions b": 1})
    assert owner.tally.repeated == 1
    assert world.latest() == {"sessions a": 3, "sessions b": 1}


async def test_what_an_owner_could_not_answer_its_successor_answers(world: World) -> None:
    """It died when the sleeper had published; the journal says from where on to look."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world)
    await owner.feed(2, 3)
    await owner.partition.finish()
    sleeper.ledger.awake.set()
    await sleeping
    last = await owner_of(world, heartbeat_s=0)
    await last.run_until(lambda: world.compacted() == {"sessions a": 3, "sessions b": 1})


async def test_nothing_is_read_while_nobody_else_writes(world: World) -> None:
    """The broker's acknowledgements tell that."""
    owner = await owner_of(world, heartbeat_s=0)
    owner.inputs.readings = None  # type: ignore[assignment,method-assign]
    await owner.feed(0, 1)
    await owner.run_until(lambda: owner.partition.published > 5)
    assert owner.partition._follow.followed == len(world.readings)


async def test_readings_that_cannot_be_read_are_looked_at_later(world: World) -> None:
    """The broker is away for a moment."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(0, 1, 2)
    sleeper.ledger.awake.set()
    await sleeping
    reading = owner.inputs.readings
    owner.inputs.readings = unreachable  # type: ignore[method-assign,assignment]
    await owner.run_until(lambda: owner.partition.published > 3)
    assert owner.tally.repeated == 0
    owner.inputs.readings = reading  # type: ignore[method-assign]
    owner.partition.closed = False
    await owner.run_until(lambda: owner.tally.repeated == 1)


async def unreachable(*_: Any) -> AsyncGenerator[Any]:
    """A question that nobody answers."""
    for error in [KafkaUnreachable("gone")]:
        raise error
    yield


# ------------------------------------------------------------------ accounting


async def test_what_was_received_is_told_and_journalled(world: World) -> None:
    """Markers stand outside; the next owner goes on counting."""
    world.inputs["sessions"] = [Rec(0, b"a"), Rec(1, b"bad"), Rec(2, end_of_input(5)), Rec(3, b"late"), Rec(4, b"b")]
    first = await owner_of(world)
    await first.feed(0, 1, 2)
    await first.partition.finish()
    assert first.partition.heartbeat["counters"]["received.sessions"] == 2
    second = await owner_of(world)
    await second.feed(3, 4)
    await second.partition.finish()
    assert second.partition.heartbeat["counters"]["received.sessions"] == 4
    assert second.partition.unaccounted == {"sessions": 0}


async def test_a_record_without_an_outcome_is_told(world: World) -> None:
    """A fault of the floor: it swallows one."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    owner.floor.counts["sessions"]["applied"] -= 1
    await owner.partition.finish()
    assert owner.partition.unaccounted == {"sessions": 1}


async def test_an_older_journal_begins_its_count_with_what_it_knows(world: World) -> None:
    """It did not say how many were received."""
    first = await owner_of(world)
    await first.feed(0, 1)
    await first.partition.finish()
    second = Owner(world, replace(await world.claim(), received=None))
    await second.run_until(lambda: second.partition.published > 1)
    assert (second.partition.received, second.partition.unaccounted) == ({"sessions": 2}, {"sessions": 0})


# ------------------------------------------------------------------ any schedule


async def schedule(seed: int, log: Callable[[World], Log] = Log) -> World:
    """Feed a world to a row of owners that are killed, stopped, fail, sleep, or run on as zombies, as the seed says."""
    rng = random.Random(seed)
    world = World(lambda: rng.choice((0, 0, 1, 2, 5)))
    for topic in TOPICS:
        offsets = sorted(rng.sample(range(60), 40))  # the log has holes of its own
        world.inputs[topic] = [Rec(offset, rng.choice((b"a", b"b", b"bad"))) for offset in offsets]
    zombies: list[asyncio.Future[Any]] = []
    sleepers: list[Owner] = []
    for _ in range(rng.randint(1, 5)):
        world.fails = lambda: False
        folded = await world.claim()
        world.fails = lambda: rng.random() < 0.01
        owner = Owner(world, folded, log(world), flush_events=rng.randint(1, 9), backlog_events=20)
        zombies += await live_and_end(owner, rng, sleepers)
    world.fails = lambda: False
    last = Owner(world, await world.claim(), log(world), flush_events=5, heartbeat_s=0.0)
    running = [asyncio.ensure_future(last.partition.run()), asyncio.ensure_future(deliver(last, rng))]
    ends = {topic: log[-1].offset + 1 for topic, log in world.inputs.items()}
    await turns(8_000, lambda: last.partition.committable == ends or any(task.done() for task in running))
    for sleeper in sleepers:
        sleeper.ledger.awake.set()
    busy = [sleeper.partition._flushing for sleeper in sleepers]
    await turns(2_000, lambda: not any(flush.locked() for flush in busy) and world.compacted() == wanted(world))
    for task in [*running, *zombies]:
        task.cancel()
    results = await asyncio.gather(*running, *zombies, return_exceptions=True)
    unexpected = [each for each in results if not isinstance(each, Replaced | Broken | asyncio.CancelledError | None)]
    world.violations += [repr(each) for each in unexpected]
    if last.partition.committable != ends:
        world.violations.append(f"stopped at {last.partition.committable} of {ends}")
    return world


async def turns(most: int, condition: Callable[[], bool]) -> None:
    """Let everybody run for so many turns, or until something holds."""
    for _ in range(most):
        await asyncio.sleep(0)
        if condition():
            return


async def live_and_end(owner: Owner, rng: random.Random, sleepers: list[Owner]) -> list[asyncio.Future[Any]]:
    """Let an owner work for a while and come to some end; returns what runs on of it."""
    running: list[asyncio.Future[Any]]
    running = [asyncio.ensure_future(owner.partition.run()), asyncio.ensure_future(deliver(owner, rng))]
    await turns(rng.randint(0, 150), lambda: False)
    if sleepers and rng.random() < 0.3:
        rng.choice(sleepers).ledger.awake.set()
    end = rng.choice(("kill", "kill", "zombie", "stop", "sleeper"))
    if end == "sleeper":  # stopped with one foot between its journal and its readings
        owner.ledger.awake.clear()
        sleepers.append(owner)
    if end in ("zombie", "sleeper"):
        return running
    if end == "stop":
        await asyncio.gather(asyncio.ensure_future(owner.partition.finish()), return_exceptions=True)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return []


async def deliver(owner: Owner, rng: random.Random) -> None:
    """Deliver batches for ever, with losses and repetitions; the client does not always say what it has read."""
    while not owner.partition.closed:
        topic = rng.choice(TOPICS)
        log, at = owner.world.inputs[topic], owner.inputs.at
        begin = max(0, at[topic] - rng.choice((0, 0, 0, 4)))
        batch = [record for record in log if record.offset >= begin][: rng.randint(1, 8)]
        if batch:
            at[topic] = end = batch[-1].offset + 1
            if rng.random() < 0.2:
                batch = batch[rng.randrange(len(batch)) :]
                begin = batch[0].offset
            span = Span(begin, end) if rng.random() < 0.5 else None
            await owner.partition.receive(topic, batch, span)
        await asyncio.sleep(0)


def wanted(world: World) -> dict[str, int]:
    """What lies in the inputs."""
    return Counter(f"{topic} {r.value.decode()}" for topic in TOPICS for r in world.inputs[topic] if r.value not in (None, b"bad"))


def faults(world: World) -> list[str]:
    """Compare what was published, for those who were there and for one who comes after compaction, with the inputs."""
    want = wanted(world)
    bad = {(NAMES[topic], r.offset) for topic in TOPICS for r in world.inputs[topic] if r.value == b"bad"}
    found = list(world.violations)
    if world.latest() != want:
        found.append(f"published {world.latest()} instead of {dict(want)}")
    if world.compacted() != want:
        found.append(f"compaction leaves {world.compacted()} instead of {dict(want)}")
    if world.letters().keys() != bad:
        found.append(f"dead letters {world.letters()} instead of {bad}")
    return found


SEEDS = [pytest.param(range(250), id="250"), pytest.param(range(250, 10_250), id="10000", marks=pytest.mark.deep)]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.timeout(900)
async def test_any_schedule_publishes_every_record_exactly_once(seeds: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ahead of the journal, each cell right, each dead letter at least once."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    assert {seed: found for seed in seeds if (found := faults(await schedule(seed)))} == {}


class Blind(Log):
    """A journal that never tells that somebody else has written."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.last: int | None = None

    async def append(self, partition: int, value: bytes) -> int:
        """Pretend."""
        await super().append(partition, value)
        record = decode(value)
        assert isinstance(record, Delta)
        self.last = (record.epoch if self.last is None else self.last) + 1
        return self.last


class Hasty(Blind):
    """A journal that acknowledges before it has written."""

    async def append(self, partition: int, value: bytes) -> int:
        """Write later."""
        record = decode(value)
        assert isinstance(record, Delta)
        self.last = (record.epoch if self.last is None else self.last) + 1
        self.writing = asyncio.ensure_future(Log.append(self, partition, value))
        return self.last


@pytest.mark.parametrize("log", [Blind, Hasty])
async def test_a_broken_journal_is_found_out(log: Callable[[World], Log], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the fence, or with readings before the journal, the schedules show it."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    assert any([faults(await schedule(seed, log)) for seed in range(60)])


async def test_readings_that_nobody_follows_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without looking behind, a sleeper's old values outlive compaction."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    monkeypatch.setattr(Follow, "must_look", lambda *_: False)
    found = [fault for seed in range(40) for fault in faults(await schedule(seed))]
    assert any(fault.startswith("compaction") for fault in found)
    assert all(fault.startswith("compaction") for fault in found), "readers that were there keep the highest"


async def test_unwatched_offsets_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without contiguity, losses and repetitions of delivery reach the numbers."""
    monkeypatch.setattr(module, "cut", lambda _, offsets, __: Cut(0, len(offsets), False))
    assert any([faults(await schedule(seed)) for seed in range(6)])
