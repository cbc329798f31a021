"""The interval table: one row per queue (and channel) or group and local interval, from quarter-hour slices.

Theory. A row adds up the quarter-hours whose local interval it is; indicators are then derived by the catalogue's
columns. Levels (agents online, in hand …) are integrated backwards from the present value: the level before a
quarter-hour is the level after it less its steps. So a quarter-hour in which nothing changed still has its time,
and the one that holds `now` is cut there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TextIO

from schemas.errors import UsageError
from schemas.columns import Column, Span, group_columns, queue_columns
from schemas.levels import cut_ms
from schemas.parts import LEVELS
from schemas.readings import QUARTER_MS
from schemas.rules import QueueRules, Rules
from sinks.cells import Cells, Parts, Place
from sinks.merge import NOTHING, Gauge, Merge
from sinks.windows import steps_of
from schemas.zones import check_zone, interval_start, local_text

By = Literal["queue", "queue,channel", "group"]
INTERVALS_MS: Final = {"15m": 900_000, "30m": 1_800_000, "60m": 3_600_000}
_KEY_COLUMNS: Final[dict[By, tuple[str, ...]]] = {
    "queue": ("queue", "interval_start"),
    "queue,channel": ("queue", "channel", "interval_start"),
    "group": ("group", "interval_start"),
}
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

Cell = str | int | float | None


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
    """Which table is wanted; `zone` replaces all zones, `since` and `until` bound the interval's start, in ms."""

    interval_ms: int = 900_000
    by: By = "queue"
    zone: str | None = None
    since: int = 0
    until: int = 1 << 60


def choose(interval: str, by: str, zone: str | None) -> Choice:
    """Check what a person asked for; raises `UsageError`."""
    if interval not in INTERVALS_MS:
        raise UsageError(f"interval {interval[:40]!r} is not one of {', '.join(INTERVALS_MS)}")
    normal = ",".join(word.strip() for word in by.split(","))
    for known in _KEY_COLUMNS:
        if normal == known:
            return Choice(INTERVALS_MS[interval], known, check_zone(zone) if zone else None)
    raise UsageError(f"by {by[:40]!r} is not one of queue | queue,channel | group")


@dataclass(frozen=True, slots=True)
class Row:
    """One interval of one queue or group, before indicators are derived from its parts."""

    names: tuple[str, ...]
    start: int
    zone: str
    rules: QueueRules
    parts: Parts


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in order, and the columns that are derived from them when they are written."""

    key_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Sequence[Row]

    @property
    def header(self) -> list[str]:
        """The names of all columns."""
        return [*self.key_columns, *(column.name for column in self.columns)]

    def values(self) -> Iterator[list[Cell]]:
        """Yield each row's cells: names, the interval's start as ISO 8601, then numbers (None: absent)."""
        for row in self.rows:
            derived = [rounded(column, column.value(Span(row.parts), row.rules)) for column in self.columns]
            yield [*row.names, local_text(row.zone, row.start), *derived]

    def write_csv(self, file: TextIO) -> None:
        """Write the table as CSV, safe to open in a spreadsheet."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.header)
        plain = [""] * len(self.key_columns) + [column.unit for column in self.columns]
        for cells in self.values():
            writer.writerow([_text(unit, cell) for unit, cell in zip(plain, cells, strict=True)])

    def as_json(self) -> dict[str, Any]:
        """Return {columns, rows} of plain values."""
        return {"columns": self.header, "rows": list(self.values())}


def rounded(column: Column, value: float | str | None) -> Cell:
    """Return a value with as many decimals as are published."""
    if isinstance(value, float):
        return round(value, 3 if column.unit == "seconds" else 6)
    return value


def _text(unit: str, cell: Cell) -> str:
    """Return a cell's text: seconds with up to 3 decimals, ratios with 6, absent as empty."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return "'" + cell if cell.startswith(_DANGEROUS) else cell
    if unit == "count":
        return str(cell)
    if unit == "seconds":
        return f"{cell:.3f}".rstrip("0").rstrip(".")
    return f"{cell:.6f}"


def interval_table(merge: Slices, now: int, choice: Choice) -> Table:
    """Return the table of everything that is kept, up to `now`."""
    if choice.by == "group":
        rows, columns = _group_rows(merge, now, choice), group_columns()
    else:
        rows, columns = _queue_rows(merge, now, choice), queue_columns()
    ordered = sorted(rows, key=lambda row: (row.names, row.start))
    wanted = [row for row in ordered if choice.since <= row.start < choice.until]
    return Table(_KEY_COLUMNS[choice.by], tuple(columns), wanted)


def _queue_rows(merge: Slices, now: int, choice: Choice) -> Iterable[Row]:
    with_channel = choice.by == "queue,channel"
    found: dict[tuple[tuple[str, ...], int], Row] = {}
    rules_of: dict[tuple[str, ...], tuple[str, QueueRules]] = {}
    for start, place, parts in merge.quarters.between(0, now):
        if place.dimension != "queue":
            continue
        names = (place.name, place.channel) if with_channel else (place.name,)
        known = rules_of.get(names)
        if known is None:
            rules = merge.rules.queue(place.name, place.channel if with_channel else "")
            known = rules_of[names] = (choice.zone or rules.zone, rules)
        zone, rules = known
        interval = interval_start(zone, start, choice.interval_ms)
        row = found.get((names, interval))
        if row is None:
            found[names, interval] = Row(names, interval, zone, rules, parts)
        else:
            _add(row.parts, parts)
    return (row for row in found.values() if row.parts)


def _add(parts: Parts, more: Parts) -> None:
    for part, value in more.items():
        parts[part] = parts.get(part, 0) + value


def _group_rows(merge: Slices, now: int, choice: Choice) -> Iterable[Row]:
    quarters: dict[Place, dict[int, Parts]] = {place: {} for place in merge.places("group")}
    for start, place, parts in merge.quarters.between(0, 1 << 60):
        if place.dimension == "group":
            quarters.setdefault(place, {})[start] = parts
    zone = choice.zone or merge.rules.zone
    rules = merge.rules.queue_default
    for place, slices in quarters.items():
        rows: dict[int, Row] = {}
        for start, parts in _integrated(merge, place, slices, now):
            interval = interval_start(zone, start, choice.interval_ms)
            row = rows.setdefault(interval, Row((place.name,), interval, zone, rules, {}))
            _add(row.parts, parts)
        yield from (row for row in rows.values() if any(row.parts.values()))


def _integrated(merge: Slices, place: Place, slices: dict[int, Parts], now: int) -> Iterator[tuple[int, Parts]]:
    """Yield (start, parts) of a group's quarter-hours from now's backwards, each level's `_ms` as its integral."""
    gauge = merge.gauge(place)
    last = now // QUARTER_MS * QUARTER_MS
    after = {level: gauge.parts.get(level, 0) for level in LEVELS}
    for start, parts in slices.items():
        if start > last:
            for level in LEVELS:
                after[level] -= parts.get(level + "_step", 0)
    oldest = (now - merge.rules.quarters_kept_ms) // QUARTER_MS * QUARTER_MS
    first = min(slices, default=last) if not any(_before(after, slices, last).values()) else oldest
    for start in range(last, max(first, oldest) - 1, -QUARTER_MS):
        parts = dict(slices.get(start, {}))
        for level in LEVELS:
            total = parts.pop(level + "_ms", 0)
            end_level = after[level]
            after[level] -= parts.pop(level + "_step", 0)
            total += QUARTER_MS * after[level]
            if start == last:
                total -= cut_ms(now, last + QUARTER_MS, end_level, steps_of(gauge, level))
            if total:
                parts[level + "_ms"] = total
        yield start, parts


def _before(after: dict[str, int], slices: dict[int, Parts], last: int) -> dict[str, int]:
    """Return the levels before the first quarter-hour that is kept: not 0 where a status is older than that."""
    return {
        level: value - sum(parts.get(level + "_step", 0) for start, parts in slices.items() if start <= last)
        for level, value in after.items()
    }


__all__ = ["INTERVALS_MS", "By", "Choice", "Frozen", "Row", "Slices", "Table", "choose", "interval_table", "rounded"]
