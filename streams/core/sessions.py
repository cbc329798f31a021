"""What a session contributes: everything that it stands for, derived from all its milestones.

Theory of operation. `derive(session)` reads the milestones in their order and returns everything that the session stands
for at this moment: facts for the cells, the stays in queues that are still going on, who holds it. It keeps nothing and
knows nothing of what was said before, so it does not matter in which order the milestones arrived, and a correction is
no special case: the new result is booked minus the old one. Where events come in order nothing is derived anew: the session's
`Course` goes on (`streams/core/course.py`), which comes to the same.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.rules import Rules
from streams.core.cells import Address, Fact
from streams.core.conversation import Heed, Talk
from streams.core.course import Course, Waiting
from streams.core.lives import lives
from streams.core.milestones import Session
from streams.core.relay import NOTHING_TOLD, Target, Told


class Derived(NamedTuple):
    """Everything a session stands for.

    `waiting`: (address, entered at) of stays still going on; `active`: address of a session that is connected and not ended;
    `told`: what other keys must know; `errors`: clock errors by topic; `expired`: lives that were given up for their age.
    `course` and `talk`: from where to go on; None where the session has several lives or is forgotten.
    """

    facts: list[Fact]
    waiting: Waiting
    active: Address | None
    told: dict[Target, Told]
    errors: list[str]
    expired: int = 0
    course: Course | None = None
    talk: Talk | None = None


NOTHING = Derived([], (), None, {}, [])


def derive(session: Session, rules: Rules) -> Derived:
    """Return everything that a session stands for; of several lives all but the last are over."""
    all_lives = lives(session, rules)
    *before, last = [_derive(life, rules, session.forgotten or life is not all_lives[-1]) for life in all_lives]
    if not before:
        return last
    every = (*before, last)
    told: dict[Target, Told] = {}
    for each in every:
        for key, more in each.told.items():
            told[key] = told.get(key, NOTHING_TOLD).and_then(more)
    return Derived(
        [fact for each in every for fact in each.facts], last.waiting, last.active, told,
        [error for each in every for error in each.errors], sum(each.expired for each in every),
    )  # fmt: skip


def _derive(life: Session, rules: Rules, forgotten: bool) -> Derived:
    """Return what one life of a session stands for; `forgotten`: it counts as open no more (5)."""
    life.sort()
    heed = Heed(rules)
    heed.messages = life.messages
    course = Course()
    if life.milestones:
        course.go_on(life.milestones, heed)
    talk: Talk | None = None
    if life.messages:
        talk = Talk(course.setting())
        talk.go_on(sorted(life.messages), heed)
    give_up_at = life.newest if forgotten else None
    told = {target: course.told(target, give_up_at) for target in course.targets()}
    if forgotten:
        return Derived(heed.facts, (), None, told, heed.errors, int(course.ended is None))
    return Derived(heed.facts, course.waiting, course.active, told, heed.errors, 0, course, talk)


__all__ = ["NOTHING", "Derived", "derive"]
