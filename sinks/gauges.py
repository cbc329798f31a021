"""Latest values per place and partition: gauges of now and running totals.

Over partitions everything adds up, but instants: of those the least counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.readings import Published
from sinks.cells import Parts, Place

OLDEST: Final = "oldest_entered_at"
ROSTER_SINCE: Final = "roster_since"
_INSTANTS: Final = frozenset({OLDEST, ROSTER_SINCE})
"""Parts of which the least over partitions counts."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is the case now, added over partitions; `ahead` = (instant, part, step) of changes still to come."""

    parts: Mapping[str, int]
    ahead: tuple[tuple[int, str, int], ...] = ()

    def at(self, now: int) -> Parts:
        """Return the levels as they stand at an instant: without the steps after it."""
        parts = dict(self.parts)
        for instant, part, step in self.ahead:
            if instant > now:
                parts[part] = parts.get(part, 0) - step
        return parts

    def steps_of(self, level: str) -> list[tuple[int, int]]:
        """Return (instant, step) of one level's changes still to come."""
        return [(instant, step) for instant, part, step in self.ahead if part == level]


NOTHING: Final = Gauge({})


class Latest:
    """Values of one kind (now, total): per place and partition the latest, and the sum, made when asked for."""

    def __init__(self) -> None:
        self._values: dict[Place, dict[int, Published]] = {}
        self._sums: dict[Place, Gauge] = {}

    def __iter__(self) -> Iterator[Place]:
        return iter(self._values)

    def __contains__(self, place: Place) -> bool:
        return place in self._values

    def stamp(self, place: Place, partition: int) -> tuple[int, int] | None:
        """Return (epoch, seq) of what a partition last said about a place."""
        value = self._values.get(place, {}).get(partition)
        return None if value is None else (value.epoch, value.seq)

    def set(self, place: Place, partition: int, value: Published | None) -> None:
        """Set a partition's value; None: forget it."""
        self._sums.pop(place, None)
        if value is not None:
            self._values.setdefault(place, {})[partition] = value
            return
        by_partition = self._values.get(place, {})
        by_partition.pop(partition, None)
        if not by_partition:
            self._values.pop(place, None)

    def sum(self, place: Place) -> Gauge:
        """Return the value of a place over all partitions."""
        found = self._sums.get(place)
        if found is None:
            found = self._sums[place] = added_up(self._values[place]) if place in self._values else NOTHING
        return found

    def each(self, place: Place) -> dict[int, Gauge]:
        """Return the value of a place by partition."""
        return {partition: added_up({partition: value}) for partition, value in self._values.get(place, {}).items()}


def added_up(by_partition: Mapping[int, Published]) -> Gauge:
    """Return several partitions' values as one."""
    parts: Parts = {}
    ahead: list[tuple[int, str, int]] = []
    for value in by_partition.values():
        for part, number in value.parts.items():
            known = parts.get(part)
            if known is None:
                parts[part] = number
            else:
                parts[part] = min(known, number) if part in _INSTANTS else known + number
        ahead += [(instant, part.removesuffix("_step"), step) for instant, part, step in value.ahead]
    return Gauge(parts, tuple(sorted(ahead)))


__all__ = ["NOTHING", "OLDEST", "ROSTER_SINCE", "Gauge", "Latest"]
