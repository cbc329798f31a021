"""Running totals: counters that never decrease, and exact histograms.

They count first bookings. Of a change (a session's new facts minus its old ones) only what is more than before per address and part
is added; what a correction takes away stays counted. Retention does not touch them. Cells bring every net sum here
(`Cells.settle`); `keep` puts back what a correction took away.
"""

from __future__ import annotations

from typing import Final

from schemas.parts import SERIES, TOTALS
from streams.core.cells import Address, Cell, Fact, histogram_part

_TOTALS: Final = frozenset(TOTALS)


class Totals:
    """Totals of one partition, and which of them changed."""

    def __init__(self) -> None:
        """Start at 0."""
        self.cells: dict[Address, Cell] = {}
        self.changed: set[Address] = set()

    def of(self, address: Address) -> Cell:
        """Return the totals of an address, which are about to change."""
        self.changed.add(address)
        found = self.cells.get(address)
        if found is None:
            found = self.cells[address] = {}
        return found

    def keep(self, changes: dict[Fact, int]) -> None:
        """Undo what a correction takes away: fact → how many times more (or less) than before."""
        net: dict[tuple[Address, str], int] = {}
        samples: dict[tuple[Address, str], list[tuple[int, int]]] = {}
        for (address, _, part, amount), times in changes.items():
            if type(part) is str and part in _TOTALS:
                net[address, part] = net.get((address, part), 0) + amount * times
            elif type(part) is str and part in SERIES:
                samples.setdefault((address, part), []).append((amount, times))
        for (address, part), more in net.items():
            if more < 0:
                self._add(address, part, -more)
        for (address, series), changed in samples.items():
            self._keep_samples(address, series, changed)

    def _keep_samples(self, address: Address, series: str, changed: list[tuple[int, int]]) -> None:
        """Let a histogram count only as many of the new values, the least of them, as there are more than before."""
        more = sum(times for _, times in changed)
        if all(times > 0 for _, times in changed):
            return
        new = sorted(value for value, times in changed for _ in range(times))
        for value, times in changed:
            self._sample(address, series, value, -times)
        for value in new[: max(0, more)]:
            self._sample(address, series, value, 1)

    def _sample(self, address: Address, series: str, value_ms: int, times: int) -> None:
        if SERIES[series][0] in _TOTALS:
            self._add(address, SERIES[series][0], times)
        self._add(address, histogram_part(series, value_ms), times)
        self._add(address, f"{series}_hist_ms", value_ms * times)

    def _add(self, address: Address, part: str, more: int) -> None:
        cell = self.of(address)
        total = cell.get(part, 0) + more
        if total:
            cell[part] = total
        else:
            cell.pop(part, None)


__all__ = ["Totals"]
