"""Facts of queues: entries, leavings, offers (`rules.md` 10 to 16)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.oracle.sessions import Place, Session, every, place_of_entry, place_of_offer, stays, takes_of
from tests.oracle.settings import Settings


class Fact(NamedTuple):
    """`value` to be added to `column` of the queue and channel, in the slice of `at`."""

    place: Place
    at: int
    column: str
    value: int


class Measured(NamedTuple):
    """One raw duration in ms for the sketches, in the slice of `at`."""

    place: Place
    at: int
    value: int


def offered(session: Session) -> Iterator[Fact]:
    """Count each entry, at the entry."""
    for entry in every(session, "queue.entered"):
        yield Fact(place_of_entry(session, entry), entry["at"], "offered", 1)


def queue_times(session: Session) -> Iterator[Measured]:
    """Yield the wait of each paired leaving of any outcome, at the leaving."""
    for stay in stays(session):
        if stay.left_at is not None:
            yield Measured(stay.place, stay.left_at, stay.wait_ms)


def left(session: Session) -> Iterator[Fact]:
    """Count the leavings and sum their waits."""
    for place, at, wait in queue_times(session):
        yield Fact(place, at, "left", 1)
        yield Fact(place, at, "queue_time_ms", wait)


def left_late(session: Session, settings: Settings) -> Iterator[Fact]:
    """Count the leavings after more than the placement limit."""
    for place, at, wait in queue_times(session):
        if wait > settings.at(at).queue(place.queue).placement_ms:
            yield Fact(place, at, "left_late", 1)


def outcomes(session: Session) -> Iterator[Fact]:
    """Count the leavings by outcome."""
    for stay in stays(session):
        if stay.left_at is not None:
            column = "left_transferred" if stay.outcome == "transferred" else str(stay.outcome)
            yield Fact(stay.place, stay.left_at, column, 1)


def answered(session: Session, settings: Settings) -> Iterator[Fact]:
    """Sum the waits of the answered and count those within the threshold."""
    for stay in stays(session):
        if stay.left_at is not None and stay.outcome == "answered":
            yield Fact(stay.place, stay.left_at, "wait_answered_ms", stay.wait_ms)
            if stay.wait_ms <= settings.at(stay.left_at).queue(stay.place.queue).threshold_ms:
                yield Fact(stay.place, stay.left_at, "answered_within", 1)


def abandoned(session: Session, settings: Settings) -> Iterator[Fact]:
    """Sum the waits of the abandoned, count those within the threshold and the short ones."""
    for stay in stays(session):
        if stay.left_at is not None and stay.outcome == "abandoned":
            yield Fact(stay.place, stay.left_at, "wait_abandoned_ms", stay.wait_ms)
            if stay.wait_ms <= settings.at(stay.left_at).queue(stay.place.queue).threshold_ms:
                yield Fact(stay.place, stay.left_at, "abandoned_within", 1)
            if stay.wait_ms < settings.at(stay.left_at).queue(stay.place.queue).short_ms:
                yield Fact(stay.place, stay.left_at, "short_abandoned", 1)


def offers(session: Session) -> Iterator[Fact]:
    """Count each offer and each miss, in the queue that it names."""
    for offer in every(session, "queue.offered"):
        yield Fact(place_of_offer(session, offer), offer["at"], "offers", 1)
    for missed in every(session, "queue.missed"):
        yield Fact(place_of_offer(session, missed), missed["at"], "offers_missed", 1)


def ring_time(session: Session) -> Iterator[Fact]:
    """Sum, per connect, the time since the latest offer to that agent after the session's previous connect."""
    previous: int | None = None
    for connected in takes_of(session):
        candidates = [
            offer
            for offer in every(session, "queue.offered")
            if offer["agent_id"] == connected["agent_id"]
            and offer["at"] <= connected["at"]
            and (previous is None or offer["at"] > previous)
        ]
        if candidates:
            place = place_of_offer(session, candidates[-1])
            yield Fact(place, connected["at"], "ring_time_ms", connected["at"] - candidates[-1]["at"])
            yield Fact(place, connected["at"], "ring_time_n", 1)
        previous = connected["at"]


def queue_facts(session: Session, settings: Settings) -> Iterator[Fact]:
    """Yield all facts of a session's waits and offers."""
    yield from offered(session)
    yield from left(session)
    yield from left_late(session, settings)
    yield from outcomes(session)
    yield from answered(session, settings)
    yield from abandoned(session, settings)
    yield from offers(session)
    yield from ring_time(session)
