"""Eleven of twelve partitions have nothing to do: windows close all the same, and who wakes up loses nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from schemas.events import INPUT_TOPICS
from schemas.partitioner import PARTITIONERS
from schemas.readings import SLICE_MS, ReadingKey, encode_key, encode_value
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules
from sinks.merge import Merge
from sinks.snapshot import Snapshot, Snapshots
from streams.core.driver import Driver, Record, record_of
from streams.core.floor import Floor
from tests.centres import Event, at_ms, centre, log_of
from tests.chaos.load import Parts, cells_of
from tests.partition_world import Log, Owner, Rec, World

T0: Final = 1_772_438_400_000
PARTITIONS: Final = 12
LIVE: Final = Rules(live=True)
_partition_of = PARTITIONERS[LIVE.partitioner]


def keys_of(partition: int, prefix: str, partitions: int = PARTITIONS) -> Iterator[str]:
    """Names that lie in one partition."""
    return (name for number in range(1 << 30) if _partition_of((name := f"{prefix}{number}").encode(), partitions) == partition)


class Centre:
    """A driver of twelve partitions and a board over what it publishes, in live mode."""

    def __init__(self) -> None:
        self.driver = Driver(PARTITIONS, LIVE)
        self.merge = Merge(LIVE)
        self.snapshots = Snapshots(self.merge, (5 * MINUTE_MS,))
        self.number = self.flushes = 0

    def sessions(self, partition: int, at: int, count: int) -> None:
        """Let customers of the same partition be answered after 3 s; their sessions end after a minute."""
        sessions, customers = keys_of(partition, f"s{at}-"), keys_of(partition, f"c{at}-")
        for _ in range(count):
            session, customer = next(sessions), next(customers)
            for kind, after, fields in (
                ("session.started", 0, {"channel": "voice", "customer_id": customer}),
                ("queue.entered", 0, {"queue": "orders"}),
                ("queue.left", 3_000, {"queue": "orders", "outcome": "answered"}),
                ("session.connected", 3_000, {"agent_id": "anna"}),
                ("session.ended", 60_000, {"ended_by": "agent"}),
            ):
                self.number += 1
                event = {"id": f"e{self.number}", "type": kind, "at": at + after, "session_id": session, **fields}
                self.driver.apply([record_of(event, json.dumps(event).encode())], at + after)

    def flush(self, now: int) -> Snapshot:
        """Flush until nothing is relayed any more, and look at the board."""
        while True:
            more = self.driver.flush(now, INPUT_TOPICS)
            self.flushes += 1
            for key, body in self.driver.take():
                self.merge.put_record(encode_key(key), encode_value(body, 1, self.flushes))
            if not more:
                return self.snapshots.take(now, ready=True, readings_age_ms={})

    def total(self, part: str) -> int:
        """A part over all quarter-hours."""
        cells = self.merge.quarters.between(0, T0 + 400 * DAY_MS)
        return sum(parts.get(part, 0) for _, place, parts in cells if place.dimension == "queue")


def answered(snapshot: Snapshot, label: str) -> int:
    """What a window shows."""
    return sum(view.parts(label).get("answered", 0) for view in snapshot.queues)


def test_windows_close_and_contacts_settle_while_all_others_are_idle() -> None:
    """Short slices are over after two hours, first contacts settle after a day: the idle hold nobody back."""
    room = Centre()
    room.flush(T0)
    room.sessions(0, T0, 7)
    assert answered(room.flush(T0 + MINUTE_MS), "5m") == 7
    assert answered(room.flush(T0 + 6 * MINUTE_MS), "5m") == 0
    assert len(room.merge.short) > 0
    for hour in range(1, 29):
        room.flush(T0 + hour * HOUR_MS)
    assert room.total("fcr_contacts") == 7
    assert all(not floor.books.cells.slices[SLICE_MS] for floor in room.driver.floors)
    assert len(room.merge.short) == 0


def test_who_wakes_up_after_hours_and_is_behind_loses_nothing() -> None:
    """Its events are a minute and a half old when they come, older than what the clock of an idle partition stands at."""
    room = Centre()
    for hour in range(4):
        room.sessions(0, T0 + hour * HOUR_MS, 2)
        room.flush(T0 + hour * HOUR_MS + 61_000)
    now = T0 + 4 * HOUR_MS
    room.flush(now)
    mark = room.driver.floors[5].clock.watermark
    assert mark is not None
    room.sessions(5, mark - MINUTE_MS, 9)
    snapshot = room.flush(now + 1_000)
    assert answered(snapshot, "5m") == 9
    for hour in range(5, 31):
        room.flush(T0 + hour * HOUR_MS)
    assert room.total("fcr_contacts") == room.total("handled") == 17
    assert sum(floor.counts.get("sessions", {}).get("late", 0) for floor in room.driver.floors) == 0


class Blocked(Log):
    """A journal that acknowledges nothing until it is let."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.open = asyncio.Event()

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Wait first."""
        await self.open.wait()
        return await super().append(partition, value)


def events_of_a_partition(number: int, partitions: int) -> list[Event]:
    """A centre's sessions, under keys of one partition; without customers and reviews, which are counted elsewhere."""
    names = keys_of(number, "k", partitions)
    given: dict[str, str] = {}
    wanted = [event for event in centre(5, sessions=60, business=False, mess=False) if log_of(event)[0] in ("sessions", "queues")]
    wanted = [event for event in wanted if event["type"] != "session.reviewed"]
    for event in wanted:
        event.pop("customer_id", None)
        event["session_id"] = given.setdefault(event["session_id"], next(names))
    return wanted


def slices(found: Iterable[tuple[Any, Any]]) -> dict[Any, Parts]:
    """The queues' cells by place and slice, whatever the partition."""
    return {key[2:]: parts for key, parts in cells_of(iter(found)) if key.kind == "slice" and key.dimension == "queue"}


async def test_a_minute_of_backpressure_on_waking_loses_nothing() -> None:
    """The journal does not answer for 60 s, the input waits; then all of it is counted as if nothing had been."""
    events = events_of_a_partition(3, 4)
    recount = Driver(1, Rules(live=True))
    records: list[Record] = [record_of(event, json.dumps(event).encode()) for event in events]
    now = max(map(at_ms, events))
    recount.apply(records, now)
    recount.flush(now)
    recount.flush(now)
    want = slices((key, body["parts"]) for key, body in recount.take() if body and "parts" in body)

    world = World()
    for topic, key, value in records:
        log = world.inputs[topic]
        log.append(Rec(len(log), value, key, 0))
    clock = [now]
    journal = Blocked(world)
    owner = Owner(world, await world.claim(), journal, floor=Floor(3, 4, LIVE), clock_ms=lambda: clock[0],
                  flush_events=50, backlog_events=100)  # fmt: skip
    owner.floor.flush(1, now - HOUR_MS, INPUT_TOPICS, 0)
    running = asyncio.ensure_future(owner.partition.run())
    feeding = [asyncio.ensure_future(feed_all(owner, topic)) for topic in world.inputs]
    for second in range(60):
        clock[0] = now + 1000 * second
        for _ in range(20):
            await asyncio.sleep(0)
    assert not any(each.done() for each in feeding), "the input must have waited"
    journal.open.set()
    await asyncio.gather(*feeding)
    await owner.partition.finish()
    await running
    floor = Floor.thaw(3, 4, LIVE, world.fold().entries)
    got = slices((cell, parts) for cell, parts in published(floor))
    assert got == want
    assert sum(floor.counts[topic]["applied"] for topic in world.inputs) == len(events)


async def feed_all(owner: Owner, topic: str) -> None:
    """Deliver a topic in batches of forty."""
    total = len(owner.world.inputs[topic])
    for begin in range(0, total, 40):
        await owner.feed(*range(begin, min(begin + 40, total)), topic=topic)


def published(floor: Floor) -> Iterator[tuple[Any, Parts]]:
    """All slices that a floor holds, as readings."""
    for length, number, (dimension, name, channel) in floor.books.cells.ids():
        cell = floor.books.cells.get((length, number, (dimension, name, channel)))
        yield ReadingKey("slice", 3, dimension, name, channel, length, number * length), dict(cell or {})  # type: ignore[arg-type]
