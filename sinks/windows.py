"""Trailing windows, today, the last seven days and the roster's thirty, over one merge.

All are spans that are kept up by differences (`sinks.spans`). Two more spans hold what lies beyond now's slice: the sum
of steps there, taken off the current total, is the level at the end of now's slice; so a board whose partitions are
not equally far in a replay still goes backwards from the right value. Local days have their spans per zone (`sinks.days`).
When settings change their version, zones may: the days are then made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from schemas.columns import Span as Merged
from schemas.durations import window_label
from schemas.kpis import TURNOVER_DAYS
from schemas.parts import AGENT_DAYS, ROSTER_LEVEL
from schemas.readings import QUARTER_MS, ROSTER_MS, SLICE_MS
from schemas.rules import DAY_MS, FLOOR, Rules
from sinks.cells import Parts, Place
from sinks.days import TODAY, WEEK, Days, Midnights
from sinks.gauges import ROSTER_SINCE, Gauge
from sinks.merge import Merge
from sinks.spans import FOR_EVER, Span, Stretch, integrate

DEFAULT_WINDOWS_MS: Final = (300_000, 900_000, 1_800_000, 3_600_000)
DAY_WINDOWS: Final = (TODAY, WEEK)
ROSTER_HOURS: Final = TURNOVER_DAYS * DAY_MS // ROSTER_MS
FLOOR_PLACE: Final = Place("group", FLOOR, "")
_NO_PARTS: Final[Mapping[str, int]] = {}


class Windows:
    """All windows over one merge; `advance` moves them to an instant, `parts` reads one."""

    def __init__(self, merge: Merge, windows_ms: Sequence[int] = DEFAULT_WINDOWS_MS) -> None:
        longest = merge.rules.slices_kept_ms
        if any(window % SLICE_MS or not SLICE_MS <= window <= longest for window in windows_ms):
            raise ValueError(f"windows {windows_ms} are not multiples of {SLICE_MS} ms up to {longest}")
        self.now: int | None = None
        self.between: Callable[[], None] = lambda: None
        """Called before each date of slices that is read for the first time; what it raises ends the reading."""
        self._merge, self._rules = merge, merge.rules
        self._trailing = {window_label(window): (window // SLICE_MS, Span(merge.short)) for window in windows_ms}
        self._days: dict[str, Days] = {}
        self._midnights: Midnights | None = None
        self._roster = Span(merge.hours)
        self._beyond_short = Span(merge.short, only="steps")
        self._beyond_quarters = Span(merge.quarters, only="steps")
        self._beyond_hours = Span(merge.hours, only="steps")
        self._zones: dict[Place, str] = {}
        self._lost: set[tuple[str, Place]] = set()
        """What was summed in days that are no more."""
        self._short: tuple[Span, ...] = (*(span for _, span in self._trailing.values()), self._beyond_short)
        self.labels: tuple[str, ...] = (*self._trailing, *DAY_WINDOWS)
        merge.observe(self._changed)

    @property
    def rules(self) -> Rules:
        """The rules that are in force now."""
        return self._rules

    def zone_of(self, place: Place) -> str:
        """Return the zone of a place's local days."""
        zone = self._zones.get(place)
        if zone is None:
            queue = place.dimension == "queue"
            zone = self._zones[place] = self._rules.queue(place.name, place.channel).zone if queue else self._rules.zone
        return zone

    def _changed(self, place: Place, length: int, start: int, delta: Parts) -> None:
        if self.now is None:
            return
        if length == SLICE_MS:
            for span in self._short:
                span.add(place, start, delta)
        elif length == QUARTER_MS:
            self._quarter_changed(place, start, delta)
        elif length == ROSTER_MS:
            self._roster.add(place, start, delta)
            self._beyond_hours.add(place, start, delta)
        elif (days := self._known_days(place)) is not None:
            days.dates.add(place, start, delta)

    def _known_days(self, place: Place) -> Days | None:
        """Return the days of a place; None where they are made only now: they have read the change from the cells."""
        zone = self.zone_of(place)
        days = self._days.get(zone)
        if days is None:
            self.days(zone)
        return days

    def _quarter_changed(self, place: Place, start: int, delta: Parts) -> None:
        self._beyond_quarters.add(place, start, delta)
        days = self._known_days(place)
        if days is not None:
            days.add(place, start, delta)
        if self._midnights is not None:
            self._midnights.add(place, start, delta)

    def days(self, zone: str) -> Days:
        """Return the local days of a zone, made at their first use."""
        days = self._days.get(zone)
        if days is None:
            assert self.now is not None
            days = self._days[zone] = Days(self._merge, zone, lambda place: self.zone_of(place) == zone, self.now, self.between)
        return days

    def all_days(self) -> list[Days]:
        """Return the local days of all zones that places count in."""
        return list(self._days.values())

    def advance(self, now: int) -> None:
        """Move all windows to end with the slices that hold `now`, then let expire what is past its retention.

        `now` may also go back a little: to the least of partitions when a slower one reports for the first time.
        """
        self.now = now
        number, quarter, hour = now // SLICE_MS, now // QUARTER_MS, now // ROSTER_MS
        for count, span in self._trailing.values():
            span.move(number - count + 1, number)
        self._beyond_short.move(number + 1, FOR_EVER)
        self._beyond_quarters.move(quarter + 1, FOR_EVER)
        self._roster.move(hour - ROSTER_HOURS + 1, hour)
        self._beyond_hours.move(hour + 1, FOR_EVER)
        self._move_days(now)
        self._merge.advance(now)  # after the spans have taken off what leaves them

    def _move_days(self, now: int) -> None:
        rules = self._merge.rules.at(now)
        if rules is not self._rules or self._midnights is None:
            self._rules = rules
            self._lost = self._day_sums(lambda span: span.sums)
            self._zones.clear()
            self._days.clear()
            self._midnights = Midnights(self._merge, rules.zone, now)
            for zone in {self.zone_of(place) for place in self._merge.quarters.places() | self._merge.dates.places()}:
                self.days(zone)
        for days in self._days.values():
            days.move(now)
        self._midnights.move(now)

    def places(self, dimension: str) -> set[Place]:
        """Return the places of one dimension with anything in any window."""
        spans = [*self._short, self._beyond_quarters, self._roster]
        for days in self._days.values():
            spans += [days.today, days.week]
        return {place for span in spans for place in span.sums if place.dimension == dimension}

    def take_changed(self) -> set[tuple[str, Place]]:
        """Return (window, place) of all sums that changed since the last call."""
        changed = {(label, place) for label, (_, span) in self._trailing.items() for place in span.changed}
        changed |= self._day_sums(lambda span: span.changed) | self._lost
        self._lost = set()
        for _, span in self._trailing.values():
            span.changed.clear()
        for days in self._days.values():
            for span in (days.today, days.week, days.dates):
                span.changed.clear()
        return changed

    def _day_sums(self, places: Callable[[Span], Iterable[Place]]) -> set[tuple[str, Place]]:
        return {
            (label, place)
            for days in self._days.values()
            for label, span in ((TODAY, days.today), (WEEK, days.week), (WEEK, days.dates))
            for place in places(span)
        }

    def parts(self, label: str, place: Place) -> Merged:
        """Return a copy of the counts, sums and sketches of one window."""
        if label not in DAY_WINDOWS:
            return Merged(self._trailing[label][1].sums.get(place, _NO_PARTS))
        days = self.days(self.zone_of(place))
        if label == TODAY:
            return Merged(days.today.sums.get(place, _NO_PARTS))
        return Merged({**days.week.sums.get(place, _NO_PARTS), **days.dates.sums.get(place, _NO_PARTS)})

    def stretch(self, label: str, place: Place) -> Stretch:
        """Return the range of slices of one window, of which what lies before now counts."""
        assert self.now is not None
        if label not in DAY_WINDOWS:
            span = self._trailing[label][1]
            return Stretch(span.first, span.last, SLICE_MS, self.now)
        days = self.days(self.zone_of(place))
        span = days.today if label == TODAY else days.week
        return Stretch(span.first, span.last, QUARTER_MS, self.now)

    def beyond(self, label: str, place: Place) -> Mapping[str, int]:
        """Return a copy of the sums of steps after one window."""
        span = self._beyond_quarters if label in DAY_WINDOWS else self._beyond_short
        sums = span.sums.get(place)
        return _NO_PARTS if sums is None else dict(sums)

    def online_before(self, name: str, place: Place, gauge: Gauge, *, compared: bool = False) -> int:
        """Return the agents who were online just before the midnights of a window of days, added up.

        `compared`: of the side of a comparison, which ends at the last quarter-hour boundary.
        """
        assert self._midnights is not None
        side = self.days(self._rules.zone).bounds[name]
        return self._midnights.online_before(place, gauge, side.date, side.begun if compared else side.days)

    def levels(self, label: str, place: Place, gauge: Gauge) -> Parts:
        """Return the parts of one window with each level's integral up to now as its `_ms` part, and the agents of its days."""
        parts = integrate(self.parts(label, place), gauge, self.stretch(label, place), self.beyond(label, place))
        if label in DAY_WINDOWS:
            agents = parts.get(AGENT_DAYS, 0) + self.online_before(label, place, gauge)
            if agents:
                parts[AGENT_DAYS] = agents
        return parts

    def roster(self, place: Place) -> tuple[int, int, int]:
        """Return who left a group in the last 30 days, the headcount's integral over them, and the part of them that is covered."""
        assert self.now is not None
        gauge = self._merge.gauge(place)
        stretch = Stretch(self._roster.first, self._roster.last, ROSTER_MS, self.now)
        sums, beyond = (span.sums.get(place, _NO_PARTS) for span in (self._roster, self._beyond_hours))
        parts = integrate(sums, gauge, stretch, beyond, (ROSTER_LEVEL,))
        since = self._merge.gauge(FLOOR_PLACE).parts.get(ROSTER_SINCE, self.now)
        covered = self.now - max(stretch.start_ms, since)
        return parts.get("agents_left", 0), parts.get(ROSTER_LEVEL + "_ms", 0), max(0, covered)


__all__ = [
    "DAY_WINDOWS",
    "DEFAULT_WINDOWS_MS",
    "FLOOR_PLACE",
    "ROSTER_HOURS",
    "TODAY",
    "WEEK",
    "Windows",
    "window_label",
]
