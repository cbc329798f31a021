"""Complaints: numbered, opened and closed once.

Only the first open and the first close of an id count (rules 41), so nothing else is kept of one. A closed complaint
is forgotten when its close is older than business facts may be, one that stays open when nothing was heard for the time
of silence; what was booked of it stands.
"""

from __future__ import annotations

from typing import Any

from schemas.rules import UNASSIGNED, Rules
from streams.core.booking import Books
from streams.core.cells import Address, Fact

OPENED = 0
CLOSED = 1

Filing = tuple[int, str, str | None]
"""(at, event id, queue)."""
Filings = tuple[Filing | None, Filing | None]
"""The first open and the first close."""
NONE_FILED: Filings = (None, None)


def complaint_facts(filings: Filings) -> tuple[list[Fact], list[str], Address | None]:
    """Return the facts of one complaint, its clock errors, and where it counts as open."""
    opened, closed = filings
    queue = next((filing[2] for filing in filings if filing is not None and filing[2] is not None), UNASSIGNED)
    address: Address = ("queue", queue, UNASSIGNED)
    facts: list[Fact] = []
    errors: list[str] = []
    if opened is not None:
        facts.append((address, opened[0], "complaints_opened", 1))
    if closed is not None:
        facts.append((address, closed[0], "complaints_closed", 1))
    if opened is not None and closed is not None:
        if closed[0] < opened[0]:
            errors.append("business")
        facts.append((address, closed[0], "complaint_n", 1))
        facts.append((address, closed[0], "complaint_ms", max(0, closed[0] - opened[0])))
    return facts, errors, address if opened is not None and closed is None else None


class Complaints:
    """The complaints of one partition."""

    def __init__(self, rules: Rules) -> None:
        """Start with none."""
        self._rules = rules
        self._filings: dict[str, Filings] = {}
        self._before: dict[str, Filings] = {}
        self.looked_at = 0
        """Up to which watermark was looked for complaints that are over."""

    def file(self, complaint_id: str, kind: int, filing: Filing) -> None:
        """Take in an open or a close."""
        filings = self._filings.get(complaint_id, NONE_FILED)
        known = filings[kind]
        if known is not None and known[:2] <= filing[:2]:
            return
        self._before.setdefault(complaint_id, filings)
        self._filings[complaint_id] = (filing, filings[CLOSED]) if kind == OPENED else (filings[OPENED], filing)

    def book(self, books: Books) -> list[str]:
        """Book what changed; return the ids."""
        before, self._before = self._before, {}
        for complaint_id, old in before.items():
            old_facts, old_errors, was_open = complaint_facts(old)
            facts, errors, is_open = complaint_facts(self._filings[complaint_id])
            books.difference(old_facts, facts)
            books.clock_errors(old_errors, errors)
            books.complaint(was_open, is_open)
        return list(before)

    def forget(self, books: Books, watermark: int | None) -> list[str]:
        """Forget what is over, looking once per hour of event time; return the ids."""
        if watermark is None or watermark < self.looked_at + 3_600_000:
            return []
        self.looked_at = watermark
        gone = [complaint_id for complaint_id, filings in self._filings.items() if self._over_after(filings) < watermark]
        for complaint_id in gone:
            _, _, was_open = complaint_facts(self._filings.pop(complaint_id))
            if was_open is not None:
                books.count("complaints_expired")
                books.complaint(was_open, None)
        return gone

    def _over_after(self, filings: Filings) -> int:
        opened, closed = filings
        if closed is not None:
            return max(closed[0], opened[0] if opened is not None else 0) + self._rules.business_horizon_ms
        return (opened[0] if opened is not None else 0) + self._rules.silence_ms

    def known(self) -> list[str]:
        """Return the ids of all complaints."""
        return list(self._filings)

    def freeze(self, complaint_id: str) -> list[Any] | None:
        """Return a complaint, msgpack-able; None if it is gone."""
        filings = self._filings.get(complaint_id)
        return None if filings is None else list(filings)

    def thaw(self, complaint_id: str, frozen: list[Any], books: Books) -> None:
        """Restore what `freeze` returned, and the gauge with it."""
        opened, closed = (None if filing is None else (filing[0], filing[1], filing[2]) for filing in frozen)
        self._filings[complaint_id] = opened, closed
        books.complaint(None, complaint_facts((opened, closed))[2])


__all__ = ["CLOSED", "OPENED", "Complaints", "Filing", "Filings", "complaint_facts"]
