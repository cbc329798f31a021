"""Freezing leaves no trace: a floor made from its entries goes on as if nothing had happened, and the journal holds them all.

Horizons are minutes here, so that sessions, ids, slices and agents' history are forgotten within one centre's two hours.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS
from schemas.markers import end_of_input
from schemas.readings import Reading, encode_key, encode_value
from schemas.rules import HOUR_MS, MINUTE_MS, Rules
from sinks.cells import Place
from sinks.merge import Merge
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor, Flush
from tests import centres
from tests.builders import feed
from tests.oracle import newest

EXAMPLES: Final = 50
PATIENT: Final = Rules(wrap_up_ms_by_channel={"voice": 120_000})
HASTY: Final = Rules(
    duplicates_horizon_ms=10 * MINUTE_MS,
    session_age_ms=25 * MINUTE_MS,
    session_age_by_channel={"chat": 10 * MINUTE_MS},
    session_horizon_ms=20 * MINUTE_MS,
    agent_horizon_ms=45 * MINUTE_MS,
    business_horizon_ms=40 * MINUTE_MS,
    slices_kept_ms=HOUR_MS,
    quarters_kept_ms=HOUR_MS,
    sketches_kept_ms=30 * MINUTE_MS,
    wrap_up_ms_by_channel={"voice": 120_000},
)
RULES: Final = {"patient": PATIENT, "hasty": HASTY}
Entries = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A centre and how it is delivered; everything else follows from the seed."""

    seed: int
    sessions: int
    partitions: int
    batch: int
    rules: str

    def events(self) -> list[centres.Event]:
        """Return the events as they arrive: delayed by up to a minute, some twice, some very late."""
        events = centres.centre(self.seed, sessions=self.sessions, queues=3, agents=4)
        events += list(business(random.Random(self.seed), self.sessions // 2))
        assume(events)
        arrived = centres.shuffled(centres.with_duplicates(events, self.seed, 0.1), self.seed)
        rng = random.Random(self.seed)
        for _ in range(len(arrived) // 10):  # as late as may be, and once more
            late = rng.choice(arrived)
            arrived.insert(rng.randrange(len(arrived)), late)
        return arrived


plans = st.builds(
    Plan,
    seed=st.integers(0, 2**32 - 1),
    sessions=st.integers(0, 25),
    partitions=st.integers(1, 3),
    batch=st.sampled_from([3, 20, 100]),
    rules=st.sampled_from(sorted(RULES)),
)


def business(rng: random.Random, count: int) -> list[centres.Event]:
    """Return visits, costs and complaints of a centre's two hours."""
    events: list[centres.Event] = []
    for n in range(count):
        at = centres.START_MS + rng.randrange(2 * HOUR_MS)
        queue = {"queue": rng.choice(centres.QUEUES)} if rng.random() < 0.7 else {}
        events.append({"id": f"v{n}", "type": "site.visits", "at": at, "count": n, **queue})
        events.append({"id": f"k{n}", "type": "cost.booked", "at": at, "amount": n / 7, "currency": "EUR", **queue})
        kind = rng.choice(["complaint.opened", "complaint.closed"])
        events.append({"id": f"c{n}", "type": kind, "at": at, "complaint_id": f"c{n % 5}", **queue})
    return events


class Journaled(Floor):
    """A floor whose flushes are journalled: each entry as bytes at once, as a worker does."""

    def __init__(self, partition: int, partitions: int, rules: Rules) -> None:
        """Start with an empty journal."""
        super().__init__(partition, partitions, rules)
        self.journal: dict[str, bytes] = {}
        self.last: frozenset[str] = frozenset()

    def flush(self, seq: int, now_ms: int, at_end: Collection[str] = (), epoch: int = 0) -> Flush:
        """Flush, and write down what changed."""
        flush = super().flush(seq, now_ms, at_end, epoch)
        self.last = frozenset(flush.entries)
        for key, value in flush.entries.items():
            if value is None:
                self.journal.pop(key, None)
            else:
                self.journal[key] = msgspec.msgpack.encode(value)
        return flush

    def again(self, entries: Mapping[str, bytes], unpublished: Collection[str] = ()) -> Journaled:
        """Return a floor restored from entries, with the same journal."""
        thawed = {key: msgspec.msgpack.decode(value) for key, value in entries.items()}
        floor = Journaled.thaw(self.partition, self.partitions, self.rules, thawed, unpublished)
        assert isinstance(floor, Journaled)
        floor.journal, floor.last = dict(self.journal), self.last
        return floor


def frozen(floor: Floor) -> dict[str, bytes]:
    """Return all entries of a floor as bytes."""
    return {key: msgspec.msgpack.encode(floor.entry(key)) for key in floor.keys()}  # noqa: SIM118  a floor is no mapping


def readable(entries: Mapping[str, bytes]) -> Entries:
    """Return entries in a form whose differences can be read."""
    return {key: msgspec.msgpack.decode(value) for key, value in entries.items()}


@dataclass
class Run:
    """One run of a plan: the floors at its end and the board that read all readings."""

    plan: Plan
    how: str = "straight"
    merge: Merge = field(init=False)
    driver: Driver = field(init=False)
    _seq: int = 0

    def __post_init__(self) -> None:
        """Run the plan; `how`: `straight`, `frozen` (thawed from entries), `journal` (from the journal), `crash`."""
        rules, rng, accidents = RULES[self.plan.rules], random.Random(self.plan.seed), random.Random(self.plan.seed + 1)
        self.merge, self.driver = Merge(rules), Driver(self.plan.partitions, rules)
        self.driver.floors = [Journaled(n, self.plan.partitions, rules) for n in range(self.plan.partitions)]
        events = self.plan.events()
        records = [record_of(event, centres.to_jsonl_bytes(event)) for event in events]
        while records:
            size = rng.randint(1, self.plan.batch)
            self.driver.apply(records[:size])
            del records[:size]
            if rng.random() < 0.6:
                self.driver.flush(at_end=INPUT_TOPICS)
                self._after_a_flush(accidents)
        self.driver.finish(newest(events))
        self._publish(self.driver.take())

    def _after_a_flush(self, rng: random.Random) -> None:
        readings = self.driver.take()
        accident = self.how != "straight" and rng.random() < 0.3
        if not (accident and self.how == "crash"):
            self._publish(readings)
        if accident:
            self.driver.floors = [self._reborn(floor) for floor in self.driver.floors]

    def _reborn(self, floor: Floor) -> Floor:
        assert isinstance(floor, Journaled)
        if self.how == "frozen":
            return floor.again(frozen(floor))
        return floor.again(floor.journal, floor.last if self.how == "crash" else ())

    def _publish(self, readings: list[Reading]) -> None:
        self._seq += 1
        feed(self.merge, [(encode_key(key), encode_value(body, 1, self._seq)) for key, body in readings])

    def entries(self) -> list[Entries]:
        """Return the entries of all floors."""
        return [readable(frozen(floor)) for floor in self.driver.floors]

    def shown(self) -> dict[str, Any]:
        """Return everything that a board knows at the end; zeros and places without anything are left out."""
        merge = self.merge
        merge.advance(merge.watermark() or 0)
        cells = {
            (length, *place, start): {part: value for part, value in parts.items() if value}
            for length, of in (("short", merge.short), ("quarter", merge.quarters))
            for start, place, parts in of.between(0, 1 << 60)
        }
        places = [place for dimension in ("queue", "group", "slots") for place in merge.places(dimension)]
        now = {place: {part: value for part, value in merge.gauge(place).parts.items() if value} for place in places}
        ahead = {place: merge.gauge(place).ahead for place in places if merge.gauge(place).ahead}
        totals = {place: dict(merge.totals(place)) for place in places if merge.totals(place)}
        return {
            "cells": {key: parts for key, parts in cells.items() if parts},
            "now": {place: parts for place, parts in now.items() if parts},
            "ahead": ahead,
            "totals": totals,
            "events": merge.events(),
            "counters": merge.counters(),
        }


@settings(max_examples=EXAMPLES)
@given(plans)
def test_thawed_floors_go_on_as_if_nothing_had_happened(plan: Plan) -> None:
    """Frozen and thawed by way of msgpack at random points: the same entries and the same board at the end."""
    straight, thawed = Run(plan), Run(plan, "frozen")
    assert thawed.entries() == straight.entries()
    assert thawed.shown() == straight.shown()


@settings(max_examples=EXAMPLES)
@given(plans)
def test_floors_restored_from_the_journal_go_on_as_if_nothing_had_happened(plan: Plan) -> None:
    """Only what flushes ever handed out is there: the same entries and the same board at the end."""
    straight, restored = Run(plan), Run(plan, "journal")
    assert restored.entries() == straight.entries()
    assert restored.shown() == straight.shown()


@settings(max_examples=EXAMPLES)
@given(plans)
def test_readings_that_were_lost_with_a_crash_are_published_again(plan: Plan) -> None:
    """After a crash between journal and readings the next owner says what may be missing: the board ends as without it."""
    straight, crashed = Run(plan), Run(plan, "crash")
    assert crashed.shown() == straight.shown()


@settings(max_examples=EXAMPLES)
@given(plans)
def test_the_journal_holds_all_entries(plan: Plan) -> None:
    """What all flushes handed out comes to the floor's entries, no more and no less."""
    for floor in Run(plan).driver.floors:
        assert isinstance(floor, Journaled)
        restored = floor.again(floor.journal)
        assert readable(frozen(restored)) == readable(frozen(floor))
        own = {key for key in frozen(Floor(floor.partition, floor.partitions, floor.rules)) if key != "m"}
        assert floor.journal.keys() | own == frozen(floor).keys()


# ---- the same by hand: one floor, frozen and thawed at a point that matters

T0: Final = centres.START_MS


def event(type_: str, at_ms: int, **fields: Any) -> centres.Event:
    """Return an event of session s."""
    return {"id": f"{type_}-{at_ms}", "type": type_, "at": T0 + at_ms, "session_id": "s", **fields}


def tell(floor: Floor, seq: int, *events: centres.Event, now_ms: int) -> Flush:
    """Let a floor take events and, in replay, stand at an instant; return its flush."""
    for topic, key, value in (record_of(each, centres.to_jsonl_bytes(each)) for each in events):
        floor.apply(topic, [key], [value], 0)
    for topic in INPUT_TOPICS:
        floor.apply(topic, [b""], [end_of_input(T0 + now_ms)], 0)
    return floor.flush(seq, 0)


def test_a_queue_that_emptied_with_the_lost_readings_is_shown_empty() -> None:
    """Entered, shown; left, journalled, but its readings were lost: the next owner must tell the board that nobody waits."""
    floor, merge = Journaled(0, 1, PATIENT), Merge(PATIENT)
    merge.put_readings(tell(floor, 1, event("queue.entered", 0, queue="q", channel="voice"), now_ms=0).readings, 1)
    place = Place("queue", "q", "voice")
    assert merge.gauge(place).parts["waiting"] == 1
    tell(floor, 2, event("queue.left", 9, queue="q", outcome="abandoned"), now_ms=9)
    floor = floor.again(floor.journal, floor.last)
    merge.put_readings(tell(floor, 3, now_ms=10).readings, 3)
    assert merge.gauge(place).parts["waiting"] == 0


@pytest.mark.parametrize("restart", [False, True], ids=["straight", "restarted"])
def test_an_ended_session_is_over_at_its_horizon(restart: bool) -> None:
    """Ended at 0, rated at 15 min, horizon 20 min: over at 20 min, restarted or not, though its newest event is younger."""
    floor = Journaled(0, 1, HASTY)
    events = [event("session.ended", 0, ended_by="agent"), event("session.rated", 15 * MINUTE_MS, score=1, scale=1)]
    tell(floor, 1, *events, now_ms=15 * MINUTE_MS)
    floor = floor.again(frozen(floor)) if restart else floor
    tell(floor, 2, now_ms=20 * MINUTE_MS - 1)
    assert set(floor.sessions) == {"s"}
    tell(floor, 3, now_ms=20 * MINUTE_MS)
    assert floor.sessions == {}


def test_an_end_that_becomes_known_late_moves_the_horizon_forward() -> None:
    """Open until its newest event at 15 min is 25 min old; then it turns out to have ended at 10 min: over at 30 min, not at 40."""
    floor = Floor(0, 1, HASTY)
    held = [event("session.held", minute * MINUTE_MS, agent_id="a") for minute in (0, 15)]
    tell(floor, 1, *held, now_ms=26 * MINUTE_MS)
    tell(floor, 2, event("session.ended", 10 * MINUTE_MS, ended_by="agent"), now_ms=30 * MINUTE_MS)
    tell(floor, 3, now_ms=31 * MINUTE_MS)
    assert floor.sessions == {}


@pytest.mark.parametrize("restart", [False, True], ids=["straight", "restarted"])
def test_a_copy_of_a_milestone_is_recognised_when_its_id_is_forgotten(restart: bool) -> None:
    """An hour later the id of a leaving is gone, the session is not: the copy changes nothing, restarted or not."""
    floor = Journaled(0, 1, PATIENT)
    entered, left = event("queue.entered", 0, queue="q"), event("queue.left", 9, queue="q", outcome="closed")
    tell(floor, 1, entered, left, event("queue.entered", 20, queue="q"), now_ms=5 * HOUR_MS)
    floor = floor.again(frozen(floor)) if restart else floor
    flush = tell(floor, 2, left, now_ms=5 * HOUR_MS)
    assert [key for key in flush.entries if key.startswith("c")] == []
    assert floor.counts["queues"]["duplicate"] == 1


@pytest.mark.parametrize("restart", [False, True], ids=["straight", "restarted"])
def test_a_channel_that_becomes_known_late_moves_the_age_forward(restart: bool) -> None:
    """Newest event at 1 min, age 25 min; at 22 min it turns out to be a chat, whose age is 10 min: over, restarted or not."""
    floor = Journaled(0, 1, HASTY)
    held = [event("session.held", minute * MINUTE_MS, agent_id="a") for minute in (0, 1)]
    tell(floor, 1, *held, now_ms=21 * MINUTE_MS)
    tell(floor, 2, event("session.started", 0, channel="chat"), now_ms=22 * MINUTE_MS)
    floor = floor.again(frozen(floor)) if restart else floor
    tell(floor, 3, now_ms=23 * MINUTE_MS)
    assert floor.sessions == {}
