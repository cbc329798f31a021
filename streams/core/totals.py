"""Running totals: counters that never decrease, and exact histograms.

They count first bookings. Of a change (a session's new facts minus its old ones) only what is more than before per address and part
is added; what a correction takes away stays counted. Retention does not touch them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.parts import SERIES, TOTALS
from streams.core.cells import Address, Cell, histogram_part
from streams.core.sessions import Fact

_TOTALS: Final = frozenset(TOTALS)


class Totals:
    """Totals of one partition, and which of them changed."""

    def __init__(self) -> None:
        """Start at 0."""
        self.cells: dict[Address, Cell] = {}
        self.changed: set[Address] = set()

    def add(self, facts: Iterable[Fact]) -> None:
        """Count facts that are all new."""
        for address, _, part, amount in facts:
            if part in _TOTALS:
                self._count(address, part, amount)
            elif part in SERIES:
                self._sample(address, part, amount)

    def add_difference(self, changes: dict[Fact, int]) -> None:
        """Count what a correction adds: fact → how many times more (or less) than before."""
        net: dict[tuple[Address, str], int] = {}
        samples: dict[tuple[Address, str], list[int]] = {}
        for (address, _, part, amount), times in changes.items():
            key = (address, part)
            if part in _TOTALS:
                net[key] = net.get(key, 0) + amount * times
            elif part in SERIES:
                net[key] = net.get(key, 0) + times
                samples.setdefault(key, []).extend([amount] * max(0, times))
        for (address, part), more in net.items():
            if more <= 0:
                continue
            if part in SERIES:
                for amount in sorted(samples[address, part])[:more]:
                    self._sample(address, part, amount)
            else:
                self._count(address, part, more)

    def _count(self, address: Address, part: str, amount: int) -> None:
        cell = self.cells.setdefault(address, {})
        cell[part] = cell.get(part, 0) + amount
        self.changed.add(address)

    def _sample(self, address: Address, series: str, value_ms: int) -> None:
        if SERIES[series][0] in _TOTALS:
            self._count(address, SERIES[series][0], 1)
        self._count(address, f"{series}_hist_n", 1)
        self._count(address, f"{series}_hist_ms", value_ms)
        self._count(address, histogram_part(series, value_ms), 1)


__all__ = ["Totals"]
