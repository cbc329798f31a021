"""The books of a partition: cells, totals, gauges and counters, and how new minus old is booked into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.events import INPUT_TOPICS
from schemas.rules import FLOOR, Rules
from schemas.zones import date_number
from streams.core.cells import Address, CellId, Cells, Fact
from streams.core.gauges import QueueGauges, Shown
from streams.core.sessions import Derived
from streams.core.totals import Totals

OVERFLOW: Address = ("queue", "overflow", "overflow")
"""Where facts go that belong to one address too many; the name `overflow` is ordinary otherwise."""


class Books:
    """Everything that a partition counts."""

    def __init__(self, rules: Rules) -> None:
        """Start empty."""
        self._rules = rules
        self.cells = Cells(live=rules.slices_kept_ms > 0, date_of=self._date_of)
        self.cells.place = self._known
        self.totals = Totals()
        self.gauges = QueueGauges(rules)
        self.counters: dict[str, int] = {"sessions_expired": 0} | {f"clock_errors.{topic}": 0 for topic in INPUT_TOPICS}
        self.addresses: set[Address] = {OVERFLOW}
        self.fresh_addresses: set[Address] = set()
        self.dropped: dict[Address, list[CellId]] = {}
        """Addresses that were given up, with their cells, until that is published."""
        self._max_addresses = rules.max_cells

    def count(self, counter: str, more: int = 1) -> None:
        """Add to a counter."""
        self.counters[counter] = self.counters.get(counter, 0) + more

    def _date_of(self, address: Address, at: int) -> int:
        return date_number(self._rules.at(at).queue(address[1], address[2]).zone, at)

    def complaint(self, was_open: Address | None, is_open: Address | None) -> None:
        """Count a complaint that is open at one place instead of another."""
        if was_open != is_open:
            self.gauges.complaint(None if was_open is None else self._known(was_open), -1)
            self.gauges.complaint(None if is_open is None else self._known(is_open), 1)

    def roster_since(self, since: int | None) -> None:
        """Take note of the first instant of which the roster knows."""
        floor: Address = ("group", FLOOR, "")
        fixed = {} if since is None else {"roster_since": since}
        if self.cells.fixed.get(floor, {}) != fixed:
            self.cells.fixed[floor] = fixed
            self.cells.changed_levels.add(floor)

    def change(self, old: Derived, new: Derived) -> None:
        """Book what a session stands for now, less what it stood for before."""
        if old.facts != new.facts:
            self.difference(old.facts, new.facts)
        if old.errors != new.errors:
            self.clock_errors(old.errors, new.errors)
        if new.expired > old.expired:
            self.count("sessions_expired", new.expired - old.expired)
        self.show((old.waiting, old.active), (new.waiting, new.active))

    def show(self, old: Shown, new: Shown) -> None:
        """Let the gauges show a session as it is now instead of as it was."""
        self.gauges.change(self._bounded(old), self._bounded(new))

    def book(self, facts: Iterable[Fact]) -> None:
        """Book facts that are all new."""
        self.cells.book(facts)

    def difference(self, old: Sequence[Fact], new: Sequence[Fact]) -> None:
        """Book new facts less old ones, however often each occurs."""
        if old:
            old, new = _without_common_ends(old, new)
        if not old:
            self.cells.book(new)
            return
        changes: dict[Fact, int] = {}
        for fact in new:
            changes[fact] = changes.get(fact, 0) + 1
        for fact in old:
            changes[fact] = changes.get(fact, 0) - 1
        self.cells.book([fact for fact, times in changes.items() for _ in range(times)])
        lost = [fact for fact, times in changes.items() for _ in range(-times)]
        if lost:
            self.cells.book(lost, -1)
            self.totals.keep({(self._known(fact[0]), *fact[1:]): times for fact, times in changes.items() if times})

    def replace(self, old: Sequence[Fact], new: Sequence[Fact]) -> None:
        """Book new facts less old ones, of parts that have no running totals: those of agents."""
        if old:
            old, new = _without_common_ends(old, new)
            self.cells.book(old, -1)
        self.cells.book(new)

    def drop(self, address: Address) -> None:
        """Give an address up, with everything under it, also what was booked just now and would bring it back."""
        self.settle()
        self.dropped[address] = self.cells.drop(address)
        self.addresses.discard(address)
        self.fresh_addresses.discard(address)
        self.totals.cells.pop(address, None)
        self.totals.changed.discard(address)

    def settle(self) -> None:
        """Bring everything that was booked to its cells and totals."""
        self.cells.settle(self.totals.of)

    def clock_errors(self, old: list[str], new: list[str]) -> None:
        """Count clock errors that were not there before, by topic."""
        for topic in set(new):
            more = new.count(topic) - old.count(topic)
            if more > 0:
                self.count(f"clock_errors.{topic}", more)

    def _known(self, address: Address) -> Address:
        """Return an address, or the overflow if there are too many already.

        Once there were too many none is added any more, also when the limit is raised: what is in the overflow stays there.
        """
        if address in self.addresses or address == OVERFLOW:
            return address
        if len(self.addresses) > self._max_addresses or "addresses_overflowed" in self.counters:
            self.count("addresses_overflowed")
            return (address[0], OVERFLOW[1], OVERFLOW[2] if address[0] == "queue" else "")
        self.addresses.add(address)
        self.fresh_addresses.add(address)
        return address

    def _bounded(self, shown: Shown) -> Shown:
        waiting, active = shown
        if not waiting and active is None:
            return shown
        bounded = tuple((self._known(address), entered) for address, entered in waiting)
        return bounded, None if active is None else self._known(active)


def _without_common_ends(old: Sequence[Fact], new: Sequence[Fact]) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """Leave out what both begin and end with: mostly a session only adds facts, in one place of the list."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and old[start] == new[start]:
        start += 1
    end = 0
    while end < shorter - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


__all__ = ["OVERFLOW", "Books"]
