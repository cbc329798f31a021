"""Reviewers: who was active on which local day, in which queue.

A reviewer counts once per local day in each queue and channel where he reviewed, at his first review of that day, and once
on the floor (rules 39); days are those of the queue's zone, on the floor of the top-level one. His partition knows all his
reviews by relay. Reviews older than `closed` change nothing any more; those of the day before it are still kept, since they
decide which review was the first of a day that is partly open.
"""

from __future__ import annotations

from typing import Any

from schemas.parts import REVIEWER_DAYS
from schemas.rules import DAY_MS, FLOOR, Rules
from schemas.zones import date_number
from streams.core.booking import Books
from streams.core.cells import Address, Fact
from streams.core.relay import RelayFact, Review

ONCE: Address = ("floor", FLOOR, "")
"""Where the floor has what is no sum over queues."""
_CONTEXT_MS = DAY_MS + DAY_MS // 8
"""A local day has up to 25 hours, and two zones may be a day apart."""


def reviewer_facts(reviews: list[Review], rules: Rules) -> list[Fact]:
    """Return the facts of one reviewer's reviews."""
    seen: set[tuple[Address, int]] = set()
    facts: list[Fact] = []
    for at, queue, channel in sorted(reviews):
        now = rules.at(at)
        own: Address = ("queue", queue, channel)
        for address, zone in ((own, now.queue(queue, channel).zone), (ONCE, now.zone)):
            day = (address, date_number(zone, at))
            if day not in seen:
                seen.add(day)
                facts.append((address, at, REVIEWER_DAYS, 1))
    return facts


class Reviewers:
    """The reviewers of one partition."""

    def __init__(self, rules: Rules) -> None:
        """Start with none."""
        self._rules = rules
        self._of: dict[str, dict[str, tuple[int, tuple[Review, ...]]]] = {}
        self._before: dict[str, list[Fact]] = {}
        self.closed = 0
        """Reviews before this instant change nothing any more."""

    def hear(self, fact: RelayFact) -> bool:
        """Take in what a relay record says; return whether anything is new."""
        version, known = self._of.get(fact.target, {}).get(fact.session, (-1, ()))
        if version >= fact.version:
            return False
        stands = {review for review in known if review[0] < max(fact.since, self.closed)}
        reviews = tuple(sorted(stands | {review for review in fact.reviews if review[0] >= self.closed}))
        if reviews == known:
            return False
        if fact.target not in self._before:
            self._before[fact.target] = self._facts(fact.target)
        if reviews:
            self._of.setdefault(fact.target, {})[fact.session] = fact.version, reviews
        else:
            sessions = self._of[fact.target]
            del sessions[fact.session]
            if not sessions:
                del self._of[fact.target]
        return True

    def _facts(self, reviewer: str) -> list[Fact]:
        reviews = [review for _, reviews in self._of.get(reviewer, {}).values() for review in reviews]
        return reviewer_facts(reviews, self._rules)

    def book(self, books: Books) -> None:
        """Book what changed."""
        before, self._before = self._before, {}
        for reviewer, old in before.items():
            books.difference(old, self._facts(reviewer))

    def forget(self, closed: int) -> list[tuple[str, str]]:
        """Close what lies before an instant; return (reviewer, session) of what is gone."""
        if closed < self.closed + DAY_MS // 4:
            return []
        self.closed = closed
        gone: list[tuple[str, str]] = []
        for reviewer, sessions in list(self._of.items()):
            for session, (version, reviews) in list(sessions.items()):
                kept = tuple(review for review in reviews if review[0] >= closed - _CONTEXT_MS)
                if kept == reviews:
                    continue
                gone.append((reviewer, session))
                if kept:
                    sessions[session] = version, kept
                else:
                    del sessions[session]
            if not sessions:
                del self._of[reviewer]
        return gone

    def known(self) -> list[tuple[str, str]]:
        """Return (reviewer, session) of everything that is known."""
        return [(reviewer, session) for reviewer, sessions in self._of.items() for session in sessions]

    def freeze(self, reviewer: str, session: str) -> list[Any] | None:
        """Return what is known of one session, msgpack-able; None if nothing."""
        known = self._of.get(reviewer, {}).get(session)
        return None if known is None else list(known)

    def thaw(self, reviewer: str, session: str, frozen: list[Any]) -> None:
        """Restore what `freeze` returned."""
        reviews = tuple((at, queue, channel) for at, queue, channel in frozen[1])
        self._of.setdefault(reviewer, {})[session] = frozen[0], reviews


__all__ = ["ONCE", "Reviewers", "reviewer_facts"]
