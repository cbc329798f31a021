"""What is heard late, and is accepted, counts as if it had come in time, also where what lies before it is history already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from schemas.codec import encode_json
from schemas.events import INPUT_TOPICS
from schemas.readings import QUARTER_MS, ROSTER_MS
from schemas.rules import HOUR_MS, MINUTE_MS, Rules
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor
from streams.native import CompiledFloor
from tests.property.test_native import needs_it

T0 = 1_795_269_600_000
Event = dict[str, Any]
each_core = pytest.mark.parametrize("core", [Floor, pytest.param(CompiledFloor, marks=needs_it)])


def driven(core: Any, rules: Rules, events: Sequence[Event]) -> Driver:
    """Return one partition that has counted each event before the next was heard."""
    driver = Driver(1, rules, core)
    for number, event in enumerate(events):
        full = {"id": f"e{number}", **event}
        driver.apply([record_of(full, encode_json(full))])
        for _ in range(3):
            driver.flush(at_end=INPUT_TOPICS)
    driver.finish(max(event["at"] for event in events))
    assert driver.rejects == []
    return driver


def booked(driver: Driver, part: str, length: int) -> dict[tuple[str, str], int]:
    """Return how often a part is booked in slices of a length, by (dimension, name)."""
    last = {key: body for key, body in driver.take() if key.kind == "slice" and key.length_ms == length}
    found: dict[tuple[str, str], int] = {}
    for key, body in last.items():
        count = 0 if body is None else body["parts"].get(part, 0)
        if count:
            found[key.dimension, key.name] = found.get((key.dimension, key.name), 0) + count
    return found


@each_core
def test_a_session_that_lives_may_be_reviewed_long_after_an_agents_horizon(core: Any) -> None:
    """Five hours after the review, with a horizon of one: the reviewer's day counts."""
    chat = {"session_id": "s", "at": T0}
    events: list[Event] = [{**chat, "type": "session.started", "channel": "chat", "queue": "q"}]
    message = {**chat, "type": "session.message", "sender": "customer"}
    events += [{**message, "at": T0 + minute * MINUTE_MS} for minute in range(5, 300, 5)]
    review = {"type": "session.reviewed", "agent_id": "anna", "reviewer_id": "bot", "score": 50, "at": T0 + MINUTE_MS}
    found = booked(driven(core, Rules(agent_horizon_ms=HOUR_MS), [*events, {**chat, **review}]), "reviewer_days", QUARTER_MS)
    assert found == {("queue", "q"): 1, ("floor", "all"): 1}


ONLINE: Final[Event] = {"type": "agent.status", "agent_id": "anna", "status": "available", "at": T0}
LEFT: Final[Event] = {"type": "agent.left", "agent_id": "anna", "at": T0 + 25 * HOUR_MS}
JOINED: Final[Event] = {"type": "agent.joined", "agent_id": "anna", "at": T0 + 26 * HOUR_MS}
LATER: Final[Event] = {"type": "agent.status", "agent_id": "ben", "status": "available", "at": T0 + 48 * HOUR_MS + 20 * MINUTE_MS}
"""When it is heard, the first status is history."""


@each_core
@pytest.mark.parametrize("events", [(ONLINE, JOINED, LEFT, LATER), (ONLINE, JOINED, LATER, LEFT)])
def test_who_left_before_he_was_announced_has_left_whenever_that_is_heard(core: Any, events: Sequence[Event]) -> None:
    """His first status was his first day after all."""
    assert booked(driven(core, Rules(), events), "agents_left", ROSTER_MS)["group", "all"] == 1


@each_core
def test_a_first_status_waits_for_the_joined_behind_it(core: Any) -> None:
    """He is on the roster since he was announced, and so it is when his first status is history."""
    floor = driven(core, Rules(), (ONLINE, JOINED, LATER)).floors[0]
    base, changes, *_ = msgspec.msgpack.decode(msgspec.msgpack.encode(floor.entry("a\x1fanna")))
    assert (base, len(changes)) == ([None, [], [], None, None, False, None], 2)
