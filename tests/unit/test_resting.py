"""Sessions at rest: packed, they are the same as ever."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.events import INPUT_TOPICS
from schemas.rules import Rules
from streams.core import sessionbook
from streams.core.driver import Driver, record_of
from streams.core.milestones import Session
from tests.centres import Event, centre


def ran(events: list[Event], flush_every: int) -> Driver:
    """Return a driver that was told events, and flushed every so many of them."""
    driver = Driver(2, Rules())
    for begin in range(0, len(events), flush_every):
        driver.apply([record_of(event, json.dumps(event).encode()) for event in events[begin : begin + flush_every]])
        driver.flush()
    while driver.flush(at_end=INPUT_TOPICS):
        pass
    return driver


def state(driver: Driver) -> list[dict[str, object]]:
    """Return all entries of all floors, as a journal would keep them."""
    return [
        {key: msgspec.msgpack.decode(msgspec.msgpack.encode(floor.entry(key))) for key in floor.keys()}  # noqa: SIM118  no mapping
        for floor in driver.floors
    ]


def sessions(driver: Driver) -> list[Session]:
    """Return the sessions of all floors."""
    return [session for floor in driver.floors for session in floor.sessions.values()]


@pytest.mark.parametrize("flush_every", [3, 50])
def test_sessions_that_rest_after_each_flush_come_to_the_same_as_those_that_never_do(
    flush_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What wakes them is all that a centre has: messages, ends, late ones of either topic, copies."""
    events = [event for seed in range(4) for event in centre(seed, sessions=15)]
    events += events[::7]
    monkeypatch.setattr(sessionbook, "RESTING_MS", 1 << 60)
    awake = ran(events, flush_every)
    assert all(session.packed is None for session in sessions(awake))
    monkeypatch.setattr(sessionbook, "RESTING_MS", -(1 << 60))
    rested = ran(events, flush_every)
    assert sessions(rested)
    assert all(session.packed is not None for session in sessions(rested) if session.size > len(session.messages))
    assert state(rested) == state(awake)


def test_a_session_that_is_waked_has_the_milestones_that_it_had() -> None:
    """The names in them are the same objects as before, so that they are in memory once."""
    (session,) = sessions(ran(centre(3, sessions=1), 1_000))
    session.wake()
    before, frozen = list(session.milestones), msgspec.msgpack.encode(session.freeze())
    assert before
    session.rest()
    assert session.packed is not None
    assert (session.milestones, session.in_order(), msgspec.msgpack.encode(session.freeze())) == ([], before, frozen)
    session.wake()
    assert session.milestones == before
    pairs = [(one[3], other[3]) for one, other in zip(before, session.milestones, strict=True) if len(one) > 3]
    assert pairs
    assert all(one is other for one, other in pairs if type(one) is str)
