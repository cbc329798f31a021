"""What one indicator is made of: the parts behind it, by partition, read slice by slice.

This is a reckoning of its own: it adds up the slices of a window as they stand, where boards keep running sums. So what it
finds is also a check of what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from schemas.parts import AGENT_DAYS, ROSTER_LEVEL, is_bucket
from schemas.readings import ROSTER_MS
from schemas.zones import date_number, date_start
from sinks.cells import Cells, Parts, Place
from sinks.days import WEEK, WEEK_DAYS
from sinks.gauges import NOTHING, Gauge
from sinks.merge import Merge
from sinks.spans import FOR_EVER, Stretch, integrate
from sinks.windows import DAY_WINDOWS, ROSTER_HOURS, Windows

ByPartition = dict[int, Parts]
_LEVELED: Final = frozenset({"group", "agent"})


def window_evidence(merge: Merge, windows: Windows, places: Sequence[Place], label: str) -> ByPartition:
    """Return partition → parts of one window, over some places added up; levels as integrals up to now."""
    found: ByPartition = {}
    for place in places:
        stretch = windows.stretch(label, place)
        cells = merge.quarters if label in DAY_WINDOWS else merge.short
        gauges = merge.gauges(place)
        summed = _summed(cells, place, stretch, gauges)
        if label == WEEK:  # percentiles of seven days come from the sketches of dates
            summed = {partition: _without_sketches(parts) for partition, parts in summed.items()}
            _add(summed, _sketches(merge.dates, place, windows.zone_of(place), stretch.now))
        if place.dimension == "group" and label in DAY_WINDOWS:
            zone = windows.zone_of(place)
            days = WEEK_DAYS if label == WEEK else 1
            _add(summed, _agents_before(merge.quarters, place, zone, stretch.now, days, gauges))
        _add(found, summed)
    return found


def roster_evidence(merge: Merge, place: Place, now: int) -> tuple[ByPartition, Stretch]:
    """Return partition → who left a group in the last 30 days and the headcount's integral, and the slices read."""
    hour = now // ROSTER_MS
    stretch = Stretch(hour - ROSTER_HOURS + 1, hour, ROSTER_MS, now)
    return _summed(merge.hours, place, stretch, merge.gauges(place), (ROSTER_LEVEL,)), stretch


def gauge_evidence(merge: Merge, places: Iterable[Place], now: int) -> dict[int, dict[Place, Parts]]:
    """Return partition → place → what is the case there now."""
    found: dict[int, dict[Place, Parts]] = {}
    for place in places:
        for partition, gauge in merge.gauges(place).items():
            found.setdefault(partition, {})[place] = gauge.at(now)
    return found


def _summed(
    cells: Cells, place: Place, stretch: Stretch, gauges: Mapping[int, Gauge], levels: Sequence[str] = ()
) -> ByPartition:
    inside: ByPartition = {}
    beyond: ByPartition = {}
    for start, by_partition in cells.of_place(place, stretch.start_ms, FOR_EVER * stretch.length_ms):
        number = start // stretch.length_ms
        target = inside if number <= stretch.last else beyond
        for partition, parts in by_partition.items():
            sums = target.setdefault(partition, {})
            for part, value in parts.items():
                sums[part] = sums.get(part, 0) + value
                if part.endswith("_step"):
                    sums[part + "#"] = sums.get(part + "#", 0) + number * value
    if place.dimension not in _LEVELED:
        return inside
    return {
        partition: integrate(
            inside.get(partition, {}), gauges.get(partition, NOTHING), stretch, beyond.get(partition, {}), levels
        )
        for partition in sorted({*inside, *beyond, *gauges})
    }


def _sketches(cells: Cells, place: Place, zone: str, now: int) -> ByPartition:
    last = date_number(zone, now)
    found: ByPartition = {}
    for _, by_partition in cells.of_place(place, (last - WEEK_DAYS + 1) * cells.length_ms, last * cells.length_ms):
        _add(found, by_partition)
    return found


def _agents_before(
    cells: Cells, place: Place, zone: str, now: int, days: int, gauges: Mapping[int, Gauge]
) -> ByPartition:
    """Return the agents online just before each midnight of a window of days: the present ones less the steps since."""
    last = date_number(zone, now)
    midnights = [date_start(zone, number) for number in range(last - days + 1, last + 1)]
    found = {partition: days * gauge.parts.get("online", 0) for partition, gauge in gauges.items()}
    for start, by_partition in cells.of_place(place, midnights[0], FOR_EVER * cells.length_ms):
        times = sum(midnight <= start for midnight in midnights)
        for partition, parts in by_partition.items():
            found[partition] = found.get(partition, 0) - times * parts.get("online_step", 0)
    return {partition: {AGENT_DAYS: value} for partition, value in found.items() if value}


def _without_sketches(parts: Mapping[str, int]) -> Parts:
    return {part: value for part, value in parts.items() if not is_bucket(part)}


def _add(found: ByPartition, more: Mapping[int, Mapping[str, int]]) -> None:
    for partition, parts in more.items():
        sums = found.setdefault(partition, {})
        for part, value in parts.items():
            sums[part] = sums.get(part, 0) + value


__all__ = ["ByPartition", "gauge_evidence", "roster_evidence", "window_evidence"]
