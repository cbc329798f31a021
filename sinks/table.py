"""The interval table: one row per queue (and channel) or group and local interval, from quarter-hour slices.

Theory. A row adds up the quarter-hours whose local interval it is; indicators are then derived by the catalogue's
columns. Levels (agents online, in hand …) are integrated backwards from the present value: the level before a
quarter-hour is the level after it less its steps. So a quarter-hour in which nothing changed still has its time,
and the one that holds `now` is cut there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from schemas.columns import group_columns, queue_columns
from schemas.errors import UsageError
from schemas.instants import format_second
from schemas.kpis import currencies_in
from schemas.levels import cut_ms
from schemas.parts import AGENT_DAYS
from schemas.readings import QUARTER_MS
from schemas.rules import QueueRules, Rules
from schemas.zones import at_local_time, check_zone, date_number, interval_start, local_time
from sinks.cells import Cells, Parts, Place
from sinks.gauges import NOTHING, Gauge
from sinks.merge import Merge
from sinks.spans import levels_of
from sinks.written import START, Row, Table, rounded

By = Literal["queue", "queue,channel", "group"]
Compare = Literal["week"]
INTERVALS_MS: Final = {"15m": 900_000, "30m": 1_800_000, "60m": 3_600_000}
WEEK_DAYS: Final = 7
MAX_SPAN_MS: Final = 100 * 366 * 86_400_000
"""The most that a group's open time may cover: a table of 73 years took six minutes, and a wrong clock may ask for 8,000."""
_KEY_COLUMNS: Final[dict[By, tuple[str, ...]]] = {
    "queue": ("queue", START),
    "queue,channel": ("queue", "channel", START),
    "group": ("group", START),
}
_Rows = dict[tuple[tuple[str, ...], int], Row]


class Slices(Protocol):
    """What a table is made from: a `Merge`, or a `Frozen` one."""

    @property
    def rules(self) -> Rules:
        """The rules that are counted by."""

    @property
    def quarters(self) -> Cells:
        """The quarter-hour slices."""

    def places(self, dimension: str) -> list[Place]:
        """Return the places of one dimension that have a gauge."""

    def gauge(self, place: Place) -> Gauge:
        """Return what is the case at a place."""


class Frozen:
    """A merge at one instant, to make a table from in another thread while the merge goes on."""

    def __init__(self, merge: Merge) -> None:
        self.rules = merge.rules
        self.quarters = merge.quarters.copy()
        self._gauges = {place: merge.gauge(place) for place in merge.places("group")}

    def places(self, dimension: str) -> list[Place]:
        """Return the places of one dimension that had a gauge."""
        return [place for place in self._gauges if place.dimension == dimension]

    def gauge(self, place: Place) -> Gauge:
        """Return what was the case at a place."""
        return self._gauges.get(place, NOTHING)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which table is wanted.

    `zone` replaces all zones, `since` and `until` bound the interval's start, in ms; `compare`: add the change against the
    same interval a week before.
    """

    interval_ms: int = 900_000
    by: By = "queue"
    zone: str | None = None
    since: int = 0
    until: int = 1 << 60
    compare: Compare | None = None


def choose(interval: str, by: str, zone: str | None, compare: str | None = None) -> Choice:
    """Check what a person asked for; raises `UsageError`."""
    if compare not in (None, "week"):
        raise UsageError(f"compare {compare[:40]!r} is not week")
    if interval not in INTERVALS_MS:
        raise UsageError(f"interval {interval[:40]!r} is not one of {', '.join(INTERVALS_MS)}")
    normal = ",".join(word.strip() for word in by.split(","))
    for known in _KEY_COLUMNS:
        if normal == known:
            compared: Compare | None = "week" if compare else None
            return Choice(INTERVALS_MS[interval], known, check_zone(zone) if zone else None, compare=compared)
    raise UsageError(f"by {by[:40]!r} is not one of queue | queue,channel | group")


def interval_table(merge: Slices, now: int, choice: Choice) -> Table:
    """Return the table of everything that is kept, up to `now`."""
    found = _group_rows(merge, now, choice) if choice.by == "group" else _queue_rows(merge, now, choice)
    ordered = sorted(found.values(), key=lambda row: (row.names, row.start))
    wanted = [row for row in ordered if choice.since <= row.start < choice.until]
    columns = group_columns() if choice.by == "group" else queue_columns(_currencies(merge, wanted))
    base_of = (lambda row: _week_before(found, row)) if choice.compare else None
    return Table(_KEY_COLUMNS[choice.by], tuple(columns), wanted, base_of)


def _currencies(merge: Slices, rows: list[Row]) -> list[str]:
    known = currencies_in([dict.fromkeys(merge.quarters.names, 0)])
    return [currency for currency in known if any(row.parts.get(f"cost_{currency}_e6") for row in rows)]


def _week_before(rows: _Rows, row: Row) -> Row | None:
    """Return the row of the same time of the local clock seven days before; None where the clock skipped it."""
    clock = local_time(row.zone, row.start)
    start = at_local_time(row.zone, date_number(row.zone, row.start) - WEEK_DAYS, clock)
    return rows.get((row.names, start)) if local_time(row.zone, start) == clock else None


def _queue_rows(merge: Slices, now: int, choice: Choice) -> _Rows:
    """Return the rows of queues: zone and settings are those in force at the time."""
    with_channel = choice.by == "queue,channel"
    found: _Rows = {}
    zones: dict[tuple[tuple[str, ...], int], str] = {}
    changes = [until for until, _ in merge.rules.earlier]
    for start, place, parts in merge.quarters.between(0, now, lambda place: place.dimension == "queue"):
        names = (place.name, place.channel) if with_channel else (place.name,)
        key = (names, bisect_right(changes, start))
        zone = zones.get(key)
        if zone is None:
            zone = zones[key] = choice.zone or _rules_at(merge, names, start).zone
        interval = interval_start(zone, start, choice.interval_ms)
        row = found.get((names, interval))
        if row is None:
            found[names, interval] = Row(names, interval, zone, _rules_at(merge, names, interval), parts)
        else:
            _add(row.parts, parts)
    return {key: row for key, row in found.items() if row.parts}


def _rules_at(merge: Slices, names: tuple[str, ...], at: int) -> QueueRules:
    return merge.rules.at(at).queue(names[0], names[1] if len(names) > 1 else "")


def _add(parts: Parts, more: Parts) -> None:
    for part, value in more.items():
        parts[part] = parts.get(part, 0) + value


def _group_rows(merge: Slices, now: int, choice: Choice) -> _Rows:
    quarters: dict[Place, dict[int, Parts]] = {place: {} for place in merge.places("group")}
    for start, place, parts in merge.quarters.between(0, 1 << 60, lambda place: place.dimension == "group"):
        quarters.setdefault(place, {})[start] = parts
    found: _Rows = {}
    for place, slices in quarters.items():
        for start, parts in _integrated(merge, place, slices, now):
            rules = merge.rules.at(start)
            zone = choice.zone or rules.zone
            interval = interval_start(zone, start, choice.interval_ms)
            row = found.setdefault(((place.name,), interval), Row((place.name,), interval, zone, rules.queue_default, {}))
            _add(row.parts, parts)
    return {key: row for key, row in found.items() if any(n for part, n in row.parts.items() if part != AGENT_DAYS)}


def _integrated(merge: Slices, place: Place, slices: dict[int, Parts], now: int) -> Iterator[tuple[int, Parts]]:
    """Yield (start, parts) of a group's quarter-hours from now's backwards, each level's `_ms` as its integral."""
    gauge = merge.gauge(place)
    last = now // QUARTER_MS * QUARTER_MS
    after = {level: gauge.parts.get(level, 0) for level in levels_of(gauge.parts, *slices.values())}
    for start, parts in slices.items():
        if start > last:
            for level in after:
                after[level] -= parts.get(level + "_step", 0)
    oldest = (now - merge.rules.quarters_kept_ms) // QUARTER_MS * QUARTER_MS
    first = max(min(slices, default=last) if not any(_before(after, slices, last).values()) else oldest, oldest)
    if last - first > MAX_SPAN_MS:
        span = f"{format_second(max(first, 0))} to {format_second(last)}"
        raise UsageError(f"time of group {place.name!r} goes from {span}, over 100 years: a clock was wrong; take its events out")
    for start in range(last, first - 1, -QUARTER_MS):
        parts = dict(slices.get(start, {}))
        for level in after:
            total = parts.pop(level + "_ms", 0)
            end_level = after[level]
            after[level] -= parts.pop(level + "_step", 0)
            total += QUARTER_MS * after[level]
            if start == last:
                total -= cut_ms(now, last + QUARTER_MS, end_level, gauge.steps_of(level))
            if total:
                parts[level + "_ms"] = total
        yield start, parts


def _before(after: dict[str, int], slices: dict[int, Parts], last: int) -> dict[str, int]:
    """Return the levels before the first quarter-hour that is kept: not 0 where a status is older than that."""
    return {
        level: value - sum(parts.get(level + "_step", 0) for start, parts in slices.items() if start <= last)
        for level, value in after.items()
    }


__all__ = [
    "INTERVALS_MS",
    "By",
    "Choice",
    "Compare",
    "Frozen",
    "Row",
    "Slices",
    "Table",
    "choose",
    "interval_table",
    "rounded",
]
