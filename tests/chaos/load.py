"""The load: seeded centres in event time order, with duplicates and garbage, and what a batch recount makes of them.

The recount is the synchronous driver over the same partitions: the same core without Kafka, held against the oracle by
`tests/property`. All event times lie within two hours, so that no slice is over before the end and nothing is late.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.events import INPUT_TOPICS
from schemas.instants import parse_instant
from schemas.partitioner import PARTITIONERS
from schemas.readings import ReadingKey
from schemas.rules import Rules
from streams.core.driver import Driver, Record, record_of
from tests.centres import START_MS, Centre, Event, filled

SESSIONS: Final = 1_500
"""Sessions of one centre: some 18,000 events over an hour and a half."""
SPREAD_MS: Final = 1_200_000
"""Centres begin within twenty minutes."""
DUPLICATES: Final = 0.02
GARBAGE: Final = 0.005
_IDS: Final = ("id", "session_id", "agent_id", "from_agent", "to_agent", "reviewer_id", "customer_id", "complaint_id")
_FLUSH_RECORDS: Final = 20_000

Parts = dict[str, int]


@dataclass
class Load:
    """Records in the order in which they are sent; `fates` tells how many of them must end how, by topic and partition."""

    records: list[Record]
    partitions: int
    fates: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)

    def partition(self, key: bytes) -> int:
        """Return where a record goes; the driver has those without a key in the first partition."""
        return PARTITIONERS["murmur2"](key, self.partitions) if key else 0

    def outcomes(self) -> Counter[str]:
        """Return how many records must end how."""
        return sum(self.fates.values(), Counter[str]())


def make_load(seed: int, events: int, partitions: int) -> Load:
    """Return at least so many events, less than one percent more."""
    rng = random.Random(seed)
    load = Load([], partitions)
    made = _events(rng, events)
    garbage: set[Record] = set()
    for _, _, event in made:
        record = record_of(event, json.dumps(event, ensure_ascii=False).encode())
        _put(load, record, "applied")
        if rng.random() < DUPLICATES:
            again = load.records[-rng.randint(1, min(200, len(load.records)))]
            _put(load, again, "invalid" if again in garbage else "duplicate")
        if rng.random() < GARBAGE:
            topic = rng.choice(INPUT_TOPICS)
            rubbish = topic, f"g{rng.random()}".encode(), rng.randbytes(rng.randint(0, 40))
            garbage.add(rubbish)
            _put(load, rubbish, "invalid")
    return load


def _put(load: Load, record: Record, fate: str) -> None:
    load.records.append(record)
    load.fates.setdefault((record[0], load.partition(record[1])), Counter())[fate] += 1


def _events(rng: random.Random, events: int) -> list[tuple[int, int, Event]]:
    """Return events with their times, sorted by them."""
    made: list[tuple[int, int, Event]] = []
    while len(made) < events:
        number, seed = len(made), rng.randrange(2**32)
        start = START_MS + rng.randrange(SPREAD_MS)
        room = Centre(random.Random(seed), queues=5, agents=150, span_ms=300_000, mess=True, start_ms=start)
        sessions = min(SESSIONS, max(5, (events - number) // 12))
        for event in filled(room, seed, sessions, True):
            alone = {name: f"{number}-{event[name]}" for name in _IDS if event.get(name) is not None}
            made.append((parse_instant(event["at"]), len(made), {**event, **alone}))
    made.sort(key=lambda each: each[:2])
    return made


def recount(load: Load, progress: Any = None) -> dict[ReadingKey, Parts]:
    """Return the cells of a batch recount, without zeros."""
    driver = Driver(load.partitions, Rules())
    found: dict[ReadingKey, Parts] = {}
    for begin in range(0, len(load.records), _FLUSH_RECORDS):
        driver.apply(load.records[begin : begin + _FLUSH_RECORDS])
        driver.flush()
        found |= _bodies(driver)
        if progress is not None:
            progress(begin)
    while driver.flush(at_end=INPUT_TOPICS):
        pass
    driver.flush(at_end=INPUT_TOPICS)
    found |= _bodies(driver)
    return dict(cells_of(iter(found.items())))


def _bodies(driver: Driver) -> dict[ReadingKey, Parts]:
    return {key: body["parts"] for key, body in driver.take() if body is not None and "parts" in body}


def cells_of(parts: Iterator[tuple[ReadingKey, Parts]]) -> Iterator[tuple[ReadingKey, Parts]]:
    """Yield what must be equal: slices, and levels now, without zeros, which only say that something was corrected.

    Running totals count first bookings and depend on the batches; queues' gauges carry what is late by the watermark.
    """
    for key, of in parts:
        if key.kind == "slice" or (key.kind == "now" and key.dimension != "queue"):
            kept = {part: value for part, value in of.items() if value}
            if kept:
                yield key, kept
        elif key.kind == "now":
            kept = {part: of[part] for part in ("waiting", "active_sessions", "oldest_entered_at") if of.get(part)}
            if kept:
                yield key, kept
