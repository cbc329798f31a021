"""Reviewers: who was active on which local day, in which queue.

A reviewer counts once per local day in each queue and channel where he reviewed, at his first review of that day, and once
on the floor (rules 39); days are those of the queue's zone, on the floor of the top-level one. His partition knows all his
reviews by relay. Reviews older than `closed` change nothing any more; of those of the three days before it the first of each day
are kept, since they decide which review was the first of a day that is partly open.

A program may review every session there is, so nothing here takes longer the more reviews a reviewer has: beside his sessions
stand the instants of his reviews by place and day, in order. A review that comes or goes concerns two of these days, and what
is booked is the difference of their first instants.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

from schemas.parts import REVIEWER_DAYS
from schemas.rules import DAY_MS, FLOOR, MINUTE_MS, Rules
from schemas.zones import date_number
from streams.core.booking import Books
from streams.core.cells import Address, Fact
from streams.core.relay import RelayFact, Review

ONCE: Address = ("floor", FLOOR, "")
"""Where the floor has what is no sum over queues."""
_CONTEXT_MS = 3 * DAY_MS
"""A local day has up to 25 hours, and where a zone changes by a day, two instants 49 hours apart may have the same date."""
_CLOSE_MS = 10 * MINUTE_MS
"""Reviews are closed as often as this, or eight times in a horizon: all that is known is looked through."""
_Day = tuple[Address, int]
"""A place, and the number of a local day there."""


class _Reviewer:
    """What is known of one: version and reviews by session, and instants by day, in order."""

    __slots__ = ("days", "sessions")

    def __init__(self) -> None:
        self.sessions: dict[str, tuple[int, tuple[Review, ...]]] = {}
        self.days: dict[_Day, list[int]] = {}

    def first(self, day: _Day) -> int | None:
        """Return when he first reviewed on a day; None if he did not."""
        instants = self.days.get(day)
        return instants[0] if instants else None

    def add(self, day: _Day, at: int) -> None:
        insort(self.days.setdefault(day, []), at)

    def take_out(self, day: _Day, at: int) -> None:
        instants = self.days[day]
        del instants[bisect_left(instants, at)]
        if not instants:
            del self.days[day]


class Reviewers:
    """The reviewers of one partition."""

    def __init__(self, rules: Rules) -> None:
        """Start with none."""
        self._rules = rules
        self._of: dict[str, _Reviewer] = {}
        self._before: defaultdict[str, dict[_Day, int | None]] = defaultdict(dict)
        """The first instants of the days that were touched, as they are booked."""
        self.closed = 0
        """Reviews before this instant change nothing any more."""

    def hear(self, fact: RelayFact) -> bool:
        """Take in what a relay record says; return whether anything is new."""
        reviewer = self._of.get(fact.target)
        version, known = (-1, ()) if reviewer is None else reviewer.sessions.get(fact.session, (-1, ()))
        if version >= fact.version:
            return False
        stands = {review for review in known if review[0] < max(fact.since, self.closed)}
        reviews = tuple(sorted(stands | {review for review in fact.reviews if review[0] >= self.closed}))
        if reviews == known:
            return False
        if reviewer is None:
            reviewer = self._of[fact.target] = _Reviewer()
        before = self._before[fact.target]
        for review in {*known} ^ {*reviews}:
            change = reviewer.take_out if review in known else reviewer.add
            for day in self._days_of(review):
                before.setdefault(day, reviewer.first(day))
                change(day, review[0])
        if reviews:
            reviewer.sessions[fact.session] = fact.version, reviews
        else:
            del reviewer.sessions[fact.session]
            if not reviewer.sessions:
                del self._of[fact.target]
        return True

    def _days_of(self, review: Review) -> tuple[_Day, _Day]:
        """Return the days for which a review counts: one where it was, one of the floor."""
        at, queue, channel = review
        now = self._rules.at(at)
        zone = now.queue(queue, channel).zone
        return (("queue", queue, channel), date_number(zone, at)), (ONCE, date_number(now.zone, at))

    def book(self, books: Books) -> None:
        """Book what changed."""
        for name, days in self._before.items():
            reviewer = self._of.get(name)
            now = {day: None if reviewer is None else reviewer.first(day) for day in days}
            books.difference(_facts(days), _facts(now))
        self._before.clear()

    def forget(self, closed: int) -> list[tuple[str, str]]:
        """Close what lies before an instant; return (reviewer, session) of what is gone. All must be booked."""
        if closed < self.closed + max(_CLOSE_MS, self._rules.agents_kept_ms // 8):
            return []
        self.closed = closed
        gone: list[tuple[str, str]] = []
        for name, reviewer in list(self._of.items()):
            over: list[Review] = []
            for session, (version, reviews) in list(reviewer.sessions.items()):
                kept = tuple(review for review in reviews if review[0] >= closed or self._is_needed(reviewer, review))
                if kept == reviews:
                    continue
                gone.append((name, session))
                over += {*reviews} - {*kept}
                if kept:
                    reviewer.sessions[session] = version, kept
                else:
                    del reviewer.sessions[session]
            for review in over:
                for day in self._days_of(review):
                    reviewer.take_out(day, review[0])
            if not reviewer.sessions:
                del self._of[name]
        return gone

    def _is_needed(self, reviewer: _Reviewer, review: Review) -> bool:
        """Tell whether a review that is closed is the first of a day that may be partly open."""
        at = review[0]
        return at >= self.closed - _CONTEXT_MS and any(reviewer.first(day) == at for day in self._days_of(review))

    def known(self) -> list[tuple[str, str]]:
        """Return (reviewer, session) of everything that is known."""
        return [(name, session) for name, reviewer in self._of.items() for session in reviewer.sessions]

    def freeze(self, reviewer: str, session: str) -> list[Any] | None:
        """Return what is known of one session, msgpack-able; None if nothing."""
        found = self._of.get(reviewer)
        known = None if found is None else found.sessions.get(session)
        return None if known is None else list(known)

    def thaw(self, reviewer: str, session: str, frozen: list[Any]) -> None:
        """Restore what `freeze` returned."""
        reviews = tuple((at, queue, channel) for at, queue, channel in frozen[1])
        found = self._of.setdefault(reviewer, _Reviewer())
        found.sessions[session] = frozen[0], reviews
        for review in reviews:
            for day in self._days_of(review):
                found.add(day, review[0])


def _facts(days: dict[_Day, int | None]) -> list[Fact]:
    """Return the facts of days and their first instants, in order of time."""
    firsts = sorted((at, address) for (address, _), at in days.items() if at is not None)
    return [(address, at, REVIEWER_DAYS, 1) for at, address in firsts]


__all__ = ["ONCE", "Reviewers"]
