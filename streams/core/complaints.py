"""Complaints: numbered, opened and closed once."""

from __future__ import annotations

from typing import Any

from schemas.rules import UNASSIGNED
from streams.core.sessions import Address, Fact

OPENED = 0
CLOSED = 1

Filing = tuple[int, int, str, str | None]
"""(at, OPENED or CLOSED, event id, queue)."""


def complaint_facts(filings: list[Filing]) -> tuple[list[Fact], list[str]]:
    """Return the facts of one complaint and its clock errors; first open and first close count (41)."""
    ordered = sorted(filings, key=lambda filing: filing[:3])
    opened = next((f for f in ordered if f[1] == OPENED), None)
    closed = next((f for f in ordered if f[1] == CLOSED), None)
    queue = next((f[3] for f in (opened, closed) if f is not None and f[3] is not None), UNASSIGNED)
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
    return facts, errors


def thaw_filings(frozen: list[Any]) -> list[Filing]:
    """Restore filings after msgpack has turned tuples into lists."""
    return [(at, rank, id_, queue) for at, rank, id_, queue in frozen]


__all__ = ["CLOSED", "OPENED", "Filing", "complaint_facts", "thaw_filings"]
