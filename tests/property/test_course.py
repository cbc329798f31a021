"""A session's course goes on as if it had been gone through at once, and says so when it cannot."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from schemas.codec import decode_event
from schemas.rules import Rules
from streams.core.conversation import Heed
from streams.core.course import Course, Retroactive
from streams.core.milestones import ENTERED, LEFT, MAKERS, Milestone, Session, order_of
from streams.core.sessions import derive
from tests import centres

RULES = Rules(wrap_up_ms_by_channel={"chat": 60_000})


def sessions(seed: int) -> list[list[Milestone]]:
    """The milestones of a made-up centre's sessions, in order."""
    found: dict[str, list[Milestone]] = {}
    for event in centres.centre(seed, sessions=30):
        if event["type"].startswith(("session.", "queue.")) and event["type"] != "session.message":
            decoded = decode_event(json.dumps(event).encode())
            found.setdefault(event["session_id"], []).append(MAKERS[type(decoded)](decoded))
    return [sorted({order_of(m): m for m in milestones}.values(), key=order_of) for milestones in found.values()]


def pieces(milestones: list[Milestone], chance: random.Random) -> list[list[Milestone]]:
    """Cut milestones as two topics might bring them, one of them ahead of the other."""
    queues = [m for m in milestones if ENTERED <= m[1] <= LEFT]
    own = [m for m in milestones if not ENTERED <= m[1] <= LEFT]
    cut: list[list[Milestone]] = []
    while queues or own:
        more = [chance.randint(0, min(3, len(queues))), chance.randint(0, min(3, len(own)))]
        taken, queues, own = [*queues[: more[0]], *own[: more[1]]], queues[more[0] :], own[more[1] :]
        if taken:
            cut.append(sorted(taken, key=order_of))
    return cut


def total(facts: list[Any]) -> Counter[Any]:
    """What facts add up to: sums where they are sums, each value where it has a sketch."""
    found: Counter[Any] = Counter()
    for address, at, part, amount in facts:
        series = part in ("queue_time", "first_response", "response_time")
        found[address, at, part, amount if series else None] += 1 if series else amount
    return Counter({key: count for key, count in found.items() if count})


@pytest.mark.parametrize("seed", range(60))
def test_going_on_comes_to_the_same_as_going_through_at_once(seed: int) -> None:
    """Facts, clock errors, gauges and what others are told, wherever the milestones are cut and whichever topic is ahead."""
    chance = random.Random(seed)
    for milestones in sessions(seed):
        course, heed = Course(), Heed(RULES)
        try:
            for piece in pieces(milestones, chance):
                course.go_on(piece, heed)
        except Retroactive:
            continue
        session = Session()
        for milestone in milestones:
            session.milestones.append(milestone)
            session.heard(milestone[0])
        if session.newest - session.oldest >= RULES.session_horizon_ms:
            continue
        want = derive(session, RULES)
        assert total(heed.facts) == total(want.facts)
        assert Counter(heed.errors) == Counter(want.errors)
        assert (sorted(course.waiting), course.active) == (sorted(want.waiting), want.active)
        assert {target: course.told(target) for target in course.targets()} == want.told


def test_most_sessions_go_on() -> None:
    """The short way is the usual one, so that the test above means something."""
    went_on = tried = 0
    for seed in range(20):
        chance = random.Random(seed)
        for milestones in sessions(seed):
            course = Course()
            tried += 1
            try:
                for piece in pieces(milestones, chance):
                    course.go_on(piece, Heed(RULES))
            except Retroactive:
                continue
            went_on += 1
    assert went_on > tried / 3


def test_what_lies_behind_is_retroactive() -> None:
    """A milestone that is not later than those of its topic."""
    course, heed = Course(), Heed(RULES)
    course.go_on([(10, 0, "a", "voice", "inbound", "orders", None)], heed)
    with pytest.raises(Retroactive):
        course.go_on([(10, 13, "b", False)], heed)
