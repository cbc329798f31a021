"""Customers: which contacts follow an earlier one, and which resolved what they were about.

Theory of operation. A customer's partition knows of each of his sessions when and where it started and ended, by relay. B follows A
when B starts after A starts and no later than the repeat time after A's end, or A has not ended (rules 29). `contact_facts`
derives everything from the set of contacts and one more number, `settled`: an ended contact is counted once its time is
up, which is when the watermarks of all senders have passed it. So booking is new minus old here too, and neither
the order in which sessions are heard of nor the moment of settling shows in the cells.

A contact is forgotten when nothing that may still come can concern it: a horizon after its time is up. One that never ends could be
followed for ever; it is kept for the time of silence, since its session may still go on. Contacts go in the order of their
starts, so that what remains is counted as before. More than `max_contacts` of one customer (an id that many share) push the oldest
out, which is counted; `_pushed_out` remembers up to which start, so that they are not counted again when they are told again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any

from schemas.rules import Rules
from streams.core.booking import Books
from streams.core.cells import Fact
from streams.core.relay import Contact, RelayFact

_OPEN_END = 1 << 62
_LIMIT = ""
"""In the place of a session: up to which start a customer's contacts were pushed out."""


class Known:
    """What is known of one session of a customer: the version of the relay record, and its contacts."""

    __slots__ = ("contacts", "version")

    def __init__(self, version: int, contacts: tuple[Contact, ...]) -> None:
        """Keep a version and its contacts."""
        self.version = version
        self.contacts = contacts


def contact_facts(contacts: list[Contact], rules: Rules, settled: int) -> list[Fact]:
    """Return the facts of one customer's contacts, those whose time was up by `settled` among the resolved or repeated."""
    contacts = sorted(contacts, key=lambda contact: contact[:3])
    starts = [contact[0] for contact in contacts]
    facts: list[Fact] = []
    newest_end, earlier = -1, 0
    for start, queue, channel, end, end_queue, end_channel in contacts:
        while starts[earlier] < start:
            ended = contacts[earlier][3]
            newest_end = max(newest_end, _OPEN_END if ended is None else ended)
            earlier += 1
        address = ("queue", queue, channel)
        facts.append((address, start, "known_started", 1))
        if newest_end >= 0 and start - newest_end <= rules.at(start).repeat_ms:
            facts.append((address, start, "repeat_contacts", 1))
        if end is None:
            continue
        due = _due(end, rules)
        if due <= settled:
            place = ("queue", end_queue, end_channel)
            following = bisect_right(starts, start)
            facts.append((place, due, "fcr_contacts", 1))
            if following == len(starts) or starts[following] > due:
                facts.append((place, due, "fcr_resolved", 1))
    return facts


def _due(end: int, rules: Rules) -> int:
    """Return when the time of a contact that ended is up."""
    return end + rules.at(end).repeat_ms


def _in_order(sessions: Mapping[str, Known]) -> list[tuple[Contact, str]]:
    """Return (contact, session) of all contacts by their starts."""
    found = [(contact, session) for session, known in sessions.items() for contact in known.contacts]
    return sorted(found, key=lambda pair: (pair[0][0], pair[1]))


class Customers:
    """The customers of one partition."""

    def __init__(self, rules: Rules) -> None:
        """Start with none."""
        self._rules = rules
        self._of: dict[str, dict[str, Known]] = {}
        self._before: dict[str, list[Fact]] = {}
        self._pushed_out: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []
        self._over: list[tuple[int, str]] = []
        self.settled = 0
        """Contacts whose time was up by then are counted."""

    def hear(self, fact: RelayFact) -> bool:
        """Take in what a relay record says; return whether anything is new."""
        sessions = self._of.get(fact.target, {})
        known = sessions.get(fact.session)
        if known is not None and known.version >= fact.version:
            return False
        stands = tuple(contact for contact in known.contacts if contact[0] < fact.since) if known is not None else ()
        before = known.contacts if known is not None else ()
        since = self._pushed_out.get(fact.target, -1)
        now = [
            contact
            for contact in fact.contacts
            if contact in before or (contact[0] > since and self._kept_until(contact) >= self.settled)
        ]
        contacts = (*stands, *now)
        if contacts == before:
            return False
        if fact.target not in self._before:
            self._before[fact.target] = self._facts(fact.target)
        if contacts:
            self._of.setdefault(fact.target, {})[fact.session] = Known(fact.version, contacts)
            self._watch(fact.target, contacts)
        else:
            self._remove(fact.target, fact.session)
        return True

    def _remove(self, customer: str, session: str) -> None:
        sessions = self._of[customer]
        del sessions[session]
        if not sessions:
            del self._of[customer]

    def _watch(self, customer: str, contacts: tuple[Contact, ...]) -> None:
        for contact in contacts:
            if contact[3] is not None:
                due = _due(contact[3], self._rules)
                if due > self.settled:
                    heappush(self._due, (due, customer))
            heappush(self._over, (self._look_at(contact), customer))

    def _look_at(self, contact: Contact) -> int:
        """Return when to see whether a contact is over; one that is open, as most are at first, at twice its age."""
        until = self._kept_until(contact)
        if contact[3] is not None:
            return until
        start = contact[0]
        return min(until, start + max(2 * (self.settled - start), self._rules.at(start).repeat_ms + self._rules.session_horizon_ms))

    def _kept_until(self, contact: Contact) -> int:
        if contact[3] is None:
            return contact[0] + self._rules.silence_ms
        return _due(contact[3], self._rules) + self._rules.session_horizon_ms

    def _facts(self, customer: str) -> list[Fact]:
        contacts = [contact for known in self._of.get(customer, {}).values() for contact in known.contacts]
        return contact_facts(contacts, self._rules, self.settled)

    def book(self, books: Books, mark: int | None) -> list[tuple[str, str]]:
        """Book what changed, and what has settled since; `mark`: least watermark of all senders.

        Return (customer, session) of contacts that were too many.
        """
        before, self._before = self._before, {}
        if mark is not None and mark > self.settled:
            while self._due and self._due[0][0] <= mark:
                _, customer = heappop(self._due)
                if customer not in before:
                    before[customer] = self._facts(customer)
            self.settled = mark
        for customer, old in before.items():
            books.difference(old, self._facts(customer))
        return [key for customer in before for key in self._crowded(customer, books)]

    def forget(self) -> list[tuple[str, str]]:
        """Forget contacts that are over; return (customer, session) of those touched."""
        over: set[str] = set()
        while self._over and self._over[0][0] < self.settled:
            over.add(heappop(self._over)[1])
        gone: list[tuple[str, str]] = []
        for customer in over:
            gone += self._forget(customer)
        return gone

    def _forget(self, customer: str) -> list[tuple[str, str]]:
        sessions = self._of.get(customer, {})
        in_order = _in_order(sessions)
        gone: list[tuple[str, str]] = []
        for contact, session in in_order:
            if self._kept_until(contact) >= self.settled:
                heappush(self._over, (self._look_at(contact), customer))
                break
            gone += self._drop(customer, session, contact)
        return gone

    def _crowded(self, customer: str, books: Books) -> list[tuple[str, str]]:
        """Push out the oldest contacts of a customer who has more than the limit."""
        sessions = self._of.get(customer, {})
        surplus = len(sessions) - self._rules.max_contacts
        if surplus <= 0:
            return []
        in_order = _in_order(sessions)
        books.count("contacts_evicted", surplus)
        self._pushed_out[customer] = in_order[surplus - 1][0][0]
        gone = [key for contact, session in in_order[:surplus] for key in self._drop(customer, session, contact)]
        return [(customer, _LIMIT), *gone]

    def _drop(self, customer: str, session: str, contact: Contact) -> list[tuple[str, str]]:
        known = self._of[customer][session]
        known.contacts = tuple(other for other in known.contacts if other != contact)
        if known.contacts:
            return [(customer, session)]
        self._remove(customer, session)
        if customer in self._of or self._pushed_out.pop(customer, None) is None:
            return [(customer, session)]
        return [(customer, session), (customer, _LIMIT)]

    def known(self) -> list[tuple[str, str]]:
        """Return (customer, session) of everything that is known."""
        known = [(customer, session) for customer, sessions in self._of.items() for session in sessions]
        return known + [(customer, _LIMIT) for customer in self._pushed_out]

    def freeze(self, customer: str, session: str) -> list[Any] | None:
        """Return what is known of one session, msgpack-able; None if nothing."""
        if session == _LIMIT:
            return [self._pushed_out[customer]] if customer in self._pushed_out else None
        known = self._of.get(customer, {}).get(session)
        return None if known is None else [known.version, known.contacts]

    def thaw(self, customer: str, session: str, frozen: list[Any]) -> None:
        """Restore what `freeze` returned; `settled` must have been restored before."""
        if session == _LIMIT:
            self._pushed_out[customer] = frozen[0]
            return
        contacts = tuple(tuple(contact) for contact in frozen[1])
        self._of.setdefault(customer, {})[session] = Known(frozen[0], contacts)
        self._watch(customer, contacts)

    def __len__(self) -> int:
        """Return how many customers are known."""
        return len(self._of)


__all__ = ["Customers", "contact_facts"]
