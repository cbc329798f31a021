"""Disturb a clean stream the way real ones are: duplicates, late and invalid events, a wrong clock, lost events.

Every invalid event is one more, a spoilt copy with an id of its own: what it was copied from still arrives. So the
rightful content of a disturbed stream is the clean one, but for the lost leavings and the wrong clocks.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from random import Random
from zlib import crc32

from streams.simulator.model import Event, Mess, Record

_LATEST_DUPLICATE_MS = 60_000


def disturb(records: Iterable[Record], mess: Mess, seed: str) -> Iterator[Record]:
    """Yield the records as they are sent: `at_ms` is when, in order, `event["at"]` what the source says."""
    random = Random(seed)
    pending: list[tuple[int, int, Record]] = []
    count = 0
    for record in records:
        while pending and pending[0][0] <= record[0]:
            yield heappop(pending)[2]
        for sent in _sent(record, mess, random):
            count += 1
            heappush(pending, (sent[0], count, sent))
    while pending:
        yield heappop(pending)[2]


def _sent(record: Record, mess: Mess, random: Random) -> Iterator[Record]:
    """Yield what becomes of one record, each with the time at which it is sent."""
    at, topic, key, event = record
    if event["type"] == "queue.left" and random.random() < mess.lost_left:
        return
    agent = event.get("agent_id")
    if agent is not None and crc32(agent.encode()) % 10_000 < mess.clock_share * 10_000:
        event = {**event, "at": _shifted(event["at"], mess.clock_ms)}
    late = random.randint(1_000, mess.most_late_ms) if random.random() < mess.late else 0
    yield at + late, topic, key, event
    if random.random() < mess.duplicate:
        yield at + late + random.randint(0, _LATEST_DUPLICATE_MS), topic, key, event
    if random.random() < mess.invalid:
        spoil = random.choice(_SPOILERS)
        yield at, topic, key, spoil({**event, "id": f"{event['id']}-x"})


def _shifted(at: str | int, by_ms: int) -> str | int:
    """Return a time of the clock that is off."""
    if isinstance(at, int):
        return at + by_ms
    moment = datetime.fromisoformat(at) + timedelta(milliseconds=by_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without_zone(event: Event) -> Event:
    return {**event, "at": "2026-11-21T14:05:47"}


def _without_at(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "at"}


def _unknown_type(event: Event) -> Event:
    return {**event, "type": "session.teleported"}


def _wrong_id(event: Event) -> Event:
    return {**event, "id": 17}


def _too_early(event: Event) -> Event:
    return {**event, "at": "1970-01-01T00:00:00Z"}


_SPOILERS: tuple[Callable[[Event], Event], ...] = (_without_zone, _without_at, _unknown_type, _wrong_id, _too_early)
