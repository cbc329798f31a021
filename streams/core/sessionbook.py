"""Booking of sessions: once a flush, what each touched session stands for now, less what it stood for before.

Theory of operation. Mostly what is new of a session comes after all that is known of it; then its course and its talk go on, and
nothing but the new facts is booked. In all other cases (out of order, several lives, forgotten, a milestone that changes what
was said, the first look after a restart) it is derived twice, as it was booked and as it is now, and the difference is booked. Both
come to the same, so it does not matter which way was taken: courses and talks are no state, and those of sessions of which
nothing was heard for a while are dropped, and what is left of those is packed.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from schemas.partitioner import PARTITIONERS
from schemas.rules import Rules
from streams.core.booking import Books
from streams.core.conversation import Heed, Talk, all_heard
from streams.core.course import Course, Retroactive
from streams.core.milestones import ENDED, MESSAGE_CODE, Session, at_and_sender, order_of
from streams.core.relay import KINDS, NOTHING_TOLD, Bundles, Target
from streams.core.sessions import NOTHING, derive

RESTING_MS: Final = 600_000
"""A session's course is dropped when nothing was heard of it for so long: most that still comes comes sooner."""
MOST_AWAKE: Final = 100_000
"""The most bookings that are looked back on; with more of them courses are dropped sooner."""
KNOWN_TARGETS: Final = 16_384
"""Of so many agents and customers it is remembered where they belong."""


class SessionBook:
    """Books the sessions of one partition and says what other keys must know of them."""

    def __init__(self, partition: int, partitions: int, rules: Rules, books: Books) -> None:
        """Book into `books`."""
        self.tells: frozenset[str] = frozenset(KINDS)
        """Kinds of targets that are told what they must know."""
        self._partition = partition
        self._partitions = partitions
        self._partition_of = lru_cache(maxsize=KNOWN_TARGETS)(PARTITIONERS[rules.partitioner])
        self._rules = rules
        self._books = books
        self._heed = Heed(rules)
        self._heard: deque[tuple[int, Session]] = deque()
        """(newest event, session) of each booking, until the course is dropped."""

    def book(self, touched: dict[str, Session], seq: int, watermark: int | None) -> tuple[list[str], Bundles]:
        """Book what was touched; return the ids of the sessions, and what is to be relayed."""
        relay = Bundles(self._partition, seq, watermark)
        heed = self._heed
        for session_id, session in touched.items():
            if not self._goes_on(session_id, session, heed, relay):
                self._book_anew(session_id, session, relay)
        self._books.book(heed.facts)
        self._books.clock_errors([], heed.errors)
        self._heed = Heed(self._rules)
        self._rest(touched.values())
        return list(touched), relay

    # -- in order

    def _goes_on(self, session_id: str, session: Session, heed: Heed, relay: Bundles) -> bool:
        """Let a session's course and talk go on; return False if that is not possible."""
        if session.forgotten or session.left_out or session.newest - session.oldest >= self._rules.session_horizon_ms:
            return False
        course = session.course
        if course is None:
            if session.booked or session.heeded:
                return False
            course = session.course = Course()
        elif course.ended is not None and len(session.messages) > session.heeded:
            return False
        if len(session.milestones) > session.booked:
            if not self._milestones_go_on(session, course, heed):
                return False
            self._show(course)
            for target in course.take_unsaid():
                if target[0] in self.tells:
                    relay.add(self._place_of(target), target, session_id, session.oldest, course.told(target))
        if session.messages:
            self._messages_go_on(session, course, heed)
        return True

    def _milestones_go_on(self, session: Session, course: Course, heed: Heed) -> bool:
        milestones, booked = session.milestones, session.booked
        if len(milestones) - booked > 1:
            milestones[booked:] = sorted(milestones[booked:], key=order_of)
        fresh = milestones[booked:] if booked else milestones
        known, errors = len(heed.facts), len(heed.errors)
        heed.messages = session.messages
        try:
            course.go_on(fresh, heed)
        except Retroactive:
            del heed.facts[known:], heed.errors[errors:]
            return False
        if booked and fresh[0][0] <= milestones[booked - 1][0]:
            milestones.sort(key=order_of)
        session.unsorted = False
        session.booked = len(milestones)
        return True

    def _messages_go_on(self, session: Session, course: Course, heed: Heed) -> None:
        """Book a session's messages: mostly the new ones, else all of them less what had been booked."""
        talk, messages = session.talk, session.messages
        since, course.setting_since = course.setting_since, -1
        if talk is None:
            talk = session.talk = Talk(course.setting())
        elif since >= 0:
            if since <= at_and_sender(talk.last)[0]:
                self._messages_anew(session, course)
                return
            talk.setting = course.setting()
        heeded = session.heeded
        if len(messages) == heeded:
            return
        fresh = sorted(messages[heeded:])
        if fresh[0] < talk.last:
            self._messages_anew(session, course)
            return
        messages[heeded:] = array(MESSAGE_CODE, fresh)
        session.heeded = len(messages)
        talk.go_on(fresh, heed)

    def _messages_anew(self, session: Session, course: Course) -> None:
        assert session.talk is not None
        old = all_heard(session.talk.setting, session.messages[: session.heeded], self._rules)
        session.sort_messages()
        session.heeded = len(session.messages)
        session.talk = Talk(course.setting())
        new = Heed(self._rules)
        session.talk.go_on(session.messages, new)
        self._books.difference(old.facts, new.facts)
        self._books.clock_errors(old.errors, new.errors)

    def _show(self, course: Course) -> None:
        """Bring the gauges in line with a course."""
        waiting, active = course.waiting, course.active
        if waiting != course.shown_waiting or active != course.shown_active:
            self._books.show((course.shown_waiting, course.shown_active), (waiting, active))
            course.shown_waiting, course.shown_active = waiting, active

    def _rest(self, sessions: Iterable[Session]) -> None:
        """Drop the courses of sessions of which nothing was heard since long before these."""
        heard = self._heard
        heard.extend((session.newest, session) for session in sessions)
        newest = heard[-1][0] if heard else 0
        while heard and (heard[0][0] < newest - RESTING_MS or len(heard) > MOST_AWAKE):
            at, session = heard.popleft()
            if session.newest == at:
                session.rest()

    # -- anew

    def _book_anew(self, session_id: str, session: Session, relay: Bundles) -> None:
        old = derive(session.as_booked(), self._rules) if session.booked or session.heeded else NOTHING
        session.sort_messages()
        new = derive(session, self._rules)
        self._books.change(old, new)
        session.booked, session.heeded = len(session.milestones), len(session.messages)
        session.left_out = session.forgotten
        session.course, session.talk = new.course, new.talk
        if new.course is not None:
            new.course.shown_waiting, new.course.shown_active = new.waiting, new.active
            new.course.setting_since = -1
            new.course.take_unsaid()
        for target in sorted(old.told.keys() | new.told.keys()):
            told = new.told.get(target, NOTHING_TOLD)
            if told != old.told.get(target) and target[0] in self.tells:
                relay.add(self._place_of(target), target, session_id, session.oldest, told)

    def changes_nothing(self, session: Session) -> bool:
        """Tell whether it makes no difference that a session is over: it has one life, has ended, and all of it is booked."""
        if session.booked < len(session.milestones) or session.heeded < len(session.messages) or session.left_out:
            return False
        one_life = session.newest - session.oldest < self._rules.session_horizon_ms
        return one_life and any(milestone[1] == ENDED for milestone in session.milestones)

    # -- telling others

    def _place_of(self, target: Target) -> int:
        """Return the partition of an agent, customer or reviewer."""
        return self._partition_of(target[1].encode(), self._partitions)


__all__ = ["RESTING_MS", "SessionBook"]
