"""Spans of one zone's local days, in quarter-hours: today, the last seven days, and what they are compared with.

Theory. Q is the last quarter-hour boundary that has passed. The sides of a comparison end at Q, or at the same time of the
local clock on another date; where that date skips the time, at the shift, where it has it twice, the first time. Spans
move only at quarter-hours and change only by late facts, so keeping them up costs next to nothing. A new zone reads the
slices of its places once, for all spans together.

Percentiles of seven days come from slices that hold the sketches of a whole local date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Final, NamedTuple

from schemas.parts import is_bucket
from schemas.readings import QUARTER_MS
from schemas.zones import at_local_time, date_number, date_start, local_time
from sinks.cells import Parts, Place
from sinks.gauges import Gauge
from sinks.merge import Merge
from sinks.spans import FOR_EVER, Span, Stretch, integrate, with_numbers

TODAY: Final = "today"
WEEK: Final = "7d"
WEEK_DAYS: Final = 7
KEPT_DAYS: Final = 14
"""Local days that anything here looks back, today among them: the 7 days before the last 7."""
_STEPPING: Final = frozenset({"group", "agent"})
"""Dimensions that have levels."""


class Side(NamedTuple):
    """One side of a comparison: the quarter-hours from the midnight of `date`, over `days` dates, up to `end`.

    `begun`: how many of the dates have begun before the end. Where Q is a midnight, the last one has not.
    """

    date: int
    days: int
    start_ms: int
    end_ms: int
    begun: int


def _go_on() -> None:
    pass


def sides_at(zone: str, now: int) -> dict[str, Side]:
    """Return the sides that are compared at an instant: both end at Q's time of the local clock."""
    until = now // QUARTER_MS * QUARTER_MS
    date = date_number(zone, until)
    clock = local_time(zone, until)

    def side(days_ago: int, days: int) -> Side:
        last = date - days_ago
        first = last - days + 1
        end = at_local_time(zone, last, clock) if days_ago else until
        return Side(first, days, date_start(zone, first), end, days - (end <= date_start(zone, last)))

    return {
        TODAY: side(0, 1),
        "yesterday": side(1, 1),
        "week_ago": side(7, 1),
        WEEK: side(0, WEEK_DAYS),
        "before": side(7, WEEK_DAYS),
    }


PAIRS: Final[tuple[tuple[str, str], ...]] = ((TODAY, "yesterday"), (TODAY, "week_ago"), (WEEK, "before"))
"""What is compared with what."""
_AFTER: Final = {TODAY: TODAY, "yesterday": "yesterday", "week_ago": "week_ago", WEEK: TODAY, "before": "week_ago"}
"""Sides that end at the same instant share the steps after it."""


class Dates:
    """Sums of whole local dates, without sketches, so that a span that moves by a date need not read its slices again."""

    def __init__(
        self, merge: Merge, zone: str, wants: Callable[[Place], bool], now: int, between: Callable[[], None] = _go_on
    ) -> None:
        self._zone = zone
        self._sums: dict[int, dict[Place, Parts]] = {}
        self._today = date_number(zone, now)
        first = date_start(zone, self._today - KEPT_DAYS)
        by_date = groupby(merge.quarters.starts(first), lambda start: date_number(zone, start))
        for date, starts in by_date:
            between()
            some = list(starts)
            for place, parts in merge.quarters.summed(some[0], some[-1], wants).items():
                self._add(place, date, parts)

    def slices(self, date: int) -> tuple[int, int]:
        """Return the numbers of a date's first and last quarter-hour."""
        return date_start(self._zone, date) // QUARTER_MS, date_start(self._zone, date + 1) // QUARTER_MS - 1

    def add(self, place: Place, start: int, delta: Parts) -> None:
        """Add what changed in a quarter-hour."""
        date = date_number(self._zone, start)
        if date >= self._today - KEPT_DAYS:
            self._add(place, date, with_numbers(delta, start // QUARTER_MS))

    def _add(self, place: Place, date: int, parts: Mapping[str, int]) -> None:
        sums = self._sums.setdefault(date, {}).setdefault(place, {})
        for part, value in parts.items():
            if not is_bucket(part):
                sums[part] = sums.get(part, 0) + value

    def whole(self, first: int, last: int) -> Iterator[tuple[int, int, dict[Place, Parts]]]:
        """Yield (first slice, last slice, sums) of the dates that lie wholly within some slices."""
        date = date_number(self._zone, first * QUARTER_MS)
        while True:
            begin, end = self.slices(date)
            if end > last:
                return
            if begin >= first and date >= self._today - KEPT_DAYS:
                yield begin, end, self._sums.get(date, {})
            date += 1

    def move(self, now: int) -> None:
        """Forget the dates that are too old."""
        today = date_number(self._zone, now)
        if today != self._today:
            self._today = today
            for date in [date for date in self._sums if date < today - KEPT_DAYS]:
                del self._sums[date]


class _Dated(Span):
    """A span of quarter-hours without sketches that takes whole dates from their sums."""

    def __init__(self, merge: Merge, dates: Dates, wants: Callable[[Place], bool]) -> None:
        super().__init__(merge.quarters, only="no sketches", wants=wants)
        self._dates = dates

    def _read(self, first: int, last: int) -> dict[Place, Parts]:
        found: dict[Place, Parts] = {}
        reached = first
        for begin, end, sums in self._dates.whole(first, last):
            _merge(found, {place: parts for place, parts in sums.items() if self._wants(place)})
            if reached < begin:
                _merge(found, super()._read(reached, begin - 1))
            reached = end + 1
        if reached <= last:
            _merge(found, super()._read(reached, last))
        return found


def _merge(found: dict[Place, Parts], more: Mapping[Place, Parts]) -> None:
    for place, parts in more.items():
        sums = found.setdefault(place, {})
        for part, value in parts.items():
            sums[part] = sums.get(part, 0) + value


class Days:
    """All spans of one zone; `wants` tells its places, `between` is called before each date that is read and may raise."""

    def __init__(
        self, merge: Merge, zone: str, wants: Callable[[Place], bool], now: int, between: Callable[[], None] = _go_on
    ) -> None:
        self.zone = zone
        quarters = merge.quarters
        self._totals = Dates(merge, zone, wants, now, between)
        self.today = Span(quarters, wants=wants)
        self.week = _Dated(merge, self._totals, wants)
        self.dates = Span(merge.dates, wants=wants)
        shown = _and_not_agents(wants)
        self.sides = {name: _Dated(merge, self._totals, shown) for name in _AFTER}
        stepping = _and_stepping(shown)
        self.after = {name: Span(quarters, only="steps", wants=stepping) for name in set(_AFTER.values())}
        self.bounds = sides_at(zone, now)
        self.now = now
        self._move_spans()

    @property
    def quarter_spans(self) -> tuple[Span, ...]:
        """The spans over quarter-hours."""
        return (self.today, self.week, *self.sides.values(), *self.after.values())

    def _ranges(self) -> list[tuple[int, int]]:
        quarter, bounds = self.now // QUARTER_MS, self.bounds
        sides = [(bounds[name].start_ms // QUARTER_MS, bounds[name].end_ms // QUARTER_MS - 1) for name in self.sides]
        after = [(bounds[name].end_ms // QUARTER_MS, FOR_EVER) for name in self.after]
        return [(sides[0][0], quarter), (bounds[WEEK].start_ms // QUARTER_MS, quarter), *sides, *after]

    def _move_spans(self) -> None:
        for span, (first, last) in zip(self.quarter_spans, self._ranges(), strict=True):
            span.move(first, last)
        bound = self.bounds[WEEK]
        self.dates.move(bound.date, bound.date + WEEK_DAYS - 1)
        self._totals.move(self.now)  # after the spans have taken off what leaves them

    def move(self, now: int) -> None:
        """Let all spans stand at an instant."""
        moved = now // QUARTER_MS != self.now // QUARTER_MS
        self.now = now
        if moved:
            self.bounds = sides_at(self.zone, now)
            self._move_spans()

    def add(self, place: Place, start: int, delta: Parts) -> None:
        """Add what changed in a quarter-hour."""
        self._totals.add(place, start, delta)
        for span in self.quarter_spans:
            span.add(place, start, delta)

    def compared_places(self, dimension: str) -> set[Place]:
        """Return the places of one dimension with anything on any side."""
        return {place for span in self.sides.values() for place in span.sums if place.dimension == dimension}

    def version(self) -> int:
        """Return a number that grows with each change of what is compared."""
        return sum(span.version for span in self.sides.values())

    def side(self, name: str, place: Place, gauge: Gauge) -> Parts:
        """Return the parts of one side; levels are integrated where the place has any."""
        span = self.sides[name]
        sums = span.sums.get(place, {})
        if place.dimension not in _STEPPING:
            return dict(sums)
        if span.last < span.first:
            return {}
        beyond = self.after[_AFTER[name]].sums.get(place, {})
        return integrate(sums, gauge, Stretch(span.first, span.last, QUARTER_MS, self.now), beyond)


def _and_not_agents(wants: Callable[[Place], bool]) -> Callable[[Place], bool]:
    return lambda place: place.dimension != "agent" and wants(place)


def _and_stepping(wants: Callable[[Place], bool]) -> Callable[[Place], bool]:
    return lambda place: place.dimension in _STEPPING and wants(place)


def _is_group(place: Place) -> bool:
    return place.dimension == "group"


class Midnights:
    """How many agents of each group were online just before each local midnight of one zone.

    Per place and local date the sum of the steps of `online`; the level before a midnight is the present one less all steps
    since. Dates older than `KEPT_DAYS` are forgotten.
    """

    def __init__(self, merge: Merge, zone: str, now: int) -> None:
        self._zone = zone
        self._steps: dict[Place, dict[int, int]] = {}
        self._today = date_number(zone, now)
        first = date_start(zone, self._today - KEPT_DAYS)
        for start, place, parts in merge.quarters.between(first, FOR_EVER * QUARTER_MS, _is_group):
            self.add(place, start, parts)

    def add(self, place: Place, start: int, delta: Parts) -> None:
        """Add what changed in a quarter-hour."""
        step = delta.get("online_step", 0)
        if step and place.dimension == "group":
            dates = self._steps.setdefault(place, {})
            number = date_number(self._zone, start)
            dates[number] = dates.get(number, 0) + step

    def move(self, now: int) -> None:
        """Forget what is too old."""
        today = date_number(self._zone, now)
        if today != self._today:
            self._today = today
            for dates in self._steps.values():
                for number in [number for number in dates if number < today - KEPT_DAYS]:
                    del dates[number]

    def online_before(self, place: Place, gauge: Gauge, date: int, days: int) -> int:
        """Return the agents online just before the midnights of `days` dates from `date` on, added up."""
        level, total = gauge.parts.get("online", 0), 0
        dates = self._steps.get(place, {})
        for number in range(date, date + days):
            total += level - sum(step for day, step in dates.items() if day >= number)
        return total


__all__ = ["KEPT_DAYS", "PAIRS", "TODAY", "WEEK", "WEEK_DAYS", "Days", "Midnights", "Side", "sides_at"]
