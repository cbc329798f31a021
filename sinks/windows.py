"""Trailing windows and today, kept up by differences.

Theory. A span is a range of slices with the running sum of each part per place. A change of a slice inside the
range is added; when the range moves, what leaves is taken off and what enters is added: the cost is the changes,
not the length. For levels (`schemas.levels`) a span also keeps the sum of slice number x step. Two more spans hold
what lies beyond now's slice: the sum of steps there, taken off the current total, is the level at the end of now's
slice; so a board whose partitions are not equally far in a replay still goes backwards from the right value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from schemas.levels import cut_ms, integral_ms
from schemas.parts import LEVELS
from schemas.readings import QUARTER_MS, SLICE_MS
from schemas.rules import Rules
from sinks.cells import Cells, Parts, Place
from sinks.merge import Gauge, Merge
from schemas.zones import day_start

TODAY: Final = "today"
DEFAULT_WINDOWS_MS: Final = (300_000, 900_000, 1_800_000, 3_600_000)
_FOR_EVER: Final = 1 << 50
_BY_NUMBER: Final = "_step#"
"""Suffix of the sum of slice number x step beside each `_step`."""


def window_label(window_ms: int) -> str:
    """Return `30m` for 1,800,000."""
    return f"{window_ms // 60_000}m" if window_ms % 60_000 == 0 else f"{window_ms // 1000}s"


class Span:
    """Running sums over the slices number first..last of one length."""

    def __init__(self, cells: Cells, *, only_steps: bool = False, wants: Callable[[Place], bool] | None = None) -> None:
        self._cells = cells
        self._length = cells.length_ms
        self._only_steps = only_steps
        self._wants = wants or (lambda _: True)
        self.first, self.last = 0, -1
        self.sums: dict[Place, Parts] = {}
        self.changed: set[Place] = set()
        """Places whose sums changed since the owner last cleared it."""

    def add(self, place: Place, start: int, parts: Mapping[str, int], sign: int = 1) -> None:
        """Add what changed in a slice, if it lies inside."""
        number = start // self._length
        if self.first <= number <= self.last and self._wants(place):
            self._add(place, number, parts, sign)

    def _add(self, place: Place, number: int, parts: Mapping[str, int], sign: int) -> None:
        sums = self.sums.setdefault(place, {})
        for part, value in parts.items():
            is_step = part.endswith("_step")
            if self._only_steps and not is_step:
                continue
            _put(sums, part, sign * value)
            if is_step:
                _put(sums, part + "#", sign * value * number)
        if not sums:
            del self.sums[place]
        self.changed.add(place)

    def move(self, first: int, last: int) -> None:
        """Let the range become first..last."""
        if first > self.last or last < self.first:
            self.changed.update(self.sums)
            self.sums.clear()
            self._take(first, last, 1)
        else:
            self._take(self.first, first - 1, -1)
            self._take(last + 1, self.last, -1)
            self._take(first, self.first - 1, 1)
            self._take(self.last + 1, last, 1)
        self.first, self.last = first, last

    def _take(self, first: int, last: int, sign: int) -> None:
        if first > last:
            return
        for start, place, parts in self._cells.between(first * self._length, last * self._length):
            if self._wants(place):
                self._add(place, start // self._length, parts, sign)


def _put(sums: Parts, part: str, value: int) -> None:
    total = sums.get(part, 0) + value
    if total:
        sums[part] = total
    else:
        sums.pop(part, None)


class Windows:
    """All windows over one merge; `advance` moves them to an instant, `parts` reads one."""

    def __init__(self, merge: Merge, windows_ms: Sequence[int] = DEFAULT_WINDOWS_MS) -> None:
        longest = merge.rules.slices_kept_ms
        if any(window % SLICE_MS or not SLICE_MS <= window <= longest for window in windows_ms):
            raise ValueError(f"windows {windows_ms} are not multiples of {SLICE_MS} ms up to {longest}")
        self.now: int | None = None
        self._merge, self._rules = merge, merge.rules
        self._trailing = {window_label(window): (window // SLICE_MS, Span(merge.short)) for window in windows_ms}
        self._days: dict[str, Span] = {}
        self._beyond_short = Span(merge.short, only_steps=True)
        self._beyond_quarters = Span(merge.quarters, only_steps=True)
        self._zones: dict[Place, str] = {}
        self._short: tuple[Span, ...] = (*(span for _, span in self._trailing.values()), self._beyond_short)
        self._long: tuple[Span, ...] = (self._beyond_quarters,)
        self.labels: tuple[str, ...] = (*self._trailing, TODAY)
        merge.observe(self._changed)

    @property
    def rules(self) -> Rules:
        """The rules that are counted by."""
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
        spans = self._short if length == SLICE_MS else self._long
        if length == QUARTER_MS:
            self._day(self.zone_of(place))  # a day made now has read the slice from the cells: not added again
        for span in spans:
            span.add(place, start, delta)

    def _day(self, zone: str) -> Span:
        """Return today's span of a zone, made at its first use."""
        day = self._days.get(zone)
        if day is None:
            day = self._days[zone] = Span(self._merge.quarters, wants=lambda place: self.zone_of(place) == zone)
            self._long = (self._beyond_quarters, *self._days.values())
            self._move_day(zone, day)
        return day

    def _move_day(self, zone: str, day: Span) -> None:
        assert self.now is not None
        day.move(day_start(zone, self.now) // QUARTER_MS, self.now // QUARTER_MS)

    def advance(self, now: int) -> None:
        """Move all windows to end with the slices that hold `now`, then let expire what is past its retention.

        `now` may also go back a little: to the least of partitions when a slower one reports for the first time.
        """
        first_time, self.now = self.now is None, now
        number, quarter = now // SLICE_MS, now // QUARTER_MS
        for count, span in self._trailing.values():
            span.move(number - count + 1, number)
        self._beyond_short.move(number + 1, _FOR_EVER)
        self._beyond_quarters.move(quarter + 1, _FOR_EVER)
        for zone, day in self._days.items():
            self._move_day(zone, day)
        if first_time:
            for _, place, _ in self._merge.quarters.between(0, _FOR_EVER * QUARTER_MS):
                self._day(self.zone_of(place))
        self._merge.advance(now)  # after the spans have taken off what leaves them

    def places(self, dimension: str) -> set[Place]:
        """Return the places of one dimension with anything in any window."""
        spans = (*self._short, *self._long)
        return {place for span in spans for place in span.sums if place.dimension == dimension}

    def take_changed(self) -> set[tuple[str, Place]]:
        """Return (window, place) of all sums that changed since the last call."""
        spans = [(label, span) for label, (_, span) in self._trailing.items()]
        spans += [(TODAY, day) for day in self._days.values()]
        changed = {(label, place) for label, span in spans for place in span.changed}
        for _, span in spans:
            span.changed.clear()
        return changed

    def _span(self, label: str, place: Place) -> Span | None:
        return self._days.get(self.zone_of(place)) if label == TODAY else self._trailing[label][1]

    def parts(self, label: str, place: Place) -> Parts:
        """Return a copy of the counts, sums and sketches of one window."""
        span = self._span(label, place)
        sums = None if span is None else span.sums.get(place)
        return {} if sums is None else dict(sums)

    def levels(self, label: str, place: Place, gauge: Gauge) -> Parts:
        """Return the parts of one window with each level's integral up to now as its `_ms` part."""
        assert self.now is not None
        parts = self.parts(label, place)
        span = self._span(label, place)
        if span is None:
            span = self._day(self.zone_of(place))
        beyond = (self._beyond_quarters if label == TODAY else self._beyond_short).sums.get(place, {})
        length = QUARTER_MS if label == TODAY else SLICE_MS
        for level in LEVELS:
            sums = (parts.pop(level + "_ms", 0), parts.pop(level + "_step", 0), parts.pop(level + _BY_NUMBER, 0))
            after = gauge.parts.get(level, 0) - beyond.get(level + "_step", 0)
            ahead = steps_of(gauge, level)
            total = integral_ms(*sums, span.first, span.last, after, length)
            total -= cut_ms(self.now, (span.last + 1) * length, after, ahead)
            if total:
                parts[level + "_ms"] = total
        return parts


def steps_of(gauge: Gauge, level: str) -> Iterable[tuple[int, int]]:
    """Return (instant, step) of one level's changes still to come."""
    return [(instant, step) for instant, part, step in gauge.ahead if part == level]


__all__ = ["DEFAULT_WINDOWS_MS", "TODAY", "Span", "Windows", "steps_of", "window_label"]
