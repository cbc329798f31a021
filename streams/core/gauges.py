"""Gauges of queues: who waits, since when, and how many sessions are active."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any

from schemas.rules import Rules
from streams.core.cells import Address
from streams.core.course import Waiting

Shown = tuple[Waiting, Address | None]
"""What the gauges show of a session: where it waits, and where it is active."""


class QueueGauges:
    """Present state per address; entries of those who wait are kept sorted, so that each figure is one look-up.

    Theory. With time alone only figures of those who wait change. So a flush looks at the addresses where somebody waits, or where
    anything was changed since the last one: with thousands of queues these are few.
    """

    def __init__(self, rules: Rules) -> None:
        """Start empty."""
        self._rules = rules
        self._waiting: dict[Address, list[int]] = {}
        self._active: dict[Address, int] = {}
        self._complaints: dict[Address, int] = {}
        self._published: dict[Address, dict[str, int]] = {}
        self._occupied: set[Address] = set()
        self._touched: set[Address] = set()

    def change(self, old: Shown, new: Shown) -> None:
        """Take a session's old state out and put its new one in."""
        if old[0] != new[0]:
            for address, entered in old[0]:
                waiting = self._waiting[address]
                del waiting[bisect_left(waiting, entered)]
                if not waiting:
                    self._occupied.discard(address)
                self._touched.add(address)
            for address, entered in new[0]:
                insort(self._waiting.setdefault(address, []), entered)
                self._occupied.add(address)
        if old[1] != new[1]:
            for active, more in ((old[1], -1), (new[1], 1)):
                if active is not None:
                    self._active[active] = self._active.get(active, 0) + more
                    self._touched.add(active)

    def complaint(self, address: Address | None, more: int) -> None:
        """Count open complaints up or down."""
        if address is not None:
            self._complaints[address] = self._complaints.get(address, 0) + more
            self._touched.add(address)

    def keep(self, address: Address) -> None:
        """Show an address even when nobody is there."""
        self._waiting.setdefault(address, [])
        self._touched.add(address)

    def body(self, address: Address, now: int) -> dict[str, int]:
        """Return the gauges of one address at an instant; `oldest_entered_at` only where somebody waits."""
        waiting = self._waiting.get(address, [])
        rule = self._rules.at(now).queue(address[1], address[2])
        parts = {
            "waiting": len(waiting),
            "waiting_late": bisect_left(waiting, now - rule.placement_ms),
            "waiting_past_answer": bisect_left(waiting, now - rule.answer_ms),
            "active_sessions": self._active.get(address, 0),
        }
        if address in self._complaints:
            parts["complaints_open"] = self._complaints[address]
        if waiting:
            parts["oldest_entered_at"] = waiting[0]
        return parts

    def changes(self, now: int) -> list[tuple[Address, dict[str, Any]]]:
        """Return the gauges that differ from those returned last."""
        changed: list[tuple[Address, dict[str, Any]]] = []
        touched, self._touched = self._touched, set()
        for address in sorted(touched | self._occupied):
            parts = self.body(address, now)
            if self._published.get(address) != parts:
                self._published[address] = parts
                changed.append((address, {"parts": parts}))
        return changed


__all__ = ["QueueGauges", "Shown"]
