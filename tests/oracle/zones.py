"""Local intervals and days (`rules.md` 42 and 43), from the offset at each instant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.oracle.settings import DAY_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def offset_ms(at: int, zone: str) -> int:
    """Return the offset of the zone from UTC at an instant in ms."""
    local = (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def shift_between(before: int, after: int, zone: str) -> int:
    """Return the first instant after `before` with the offset of `after`: one shift lies between them."""
    low, high = before, after
    while high - low > 1:
        middle = (low + high) // 2
        if offset_ms(middle, zone) == offset_ms(after, zone):
            high = middle
        else:
            low = middle
    return high


@cache
def interval_bounds(at: int, interval_ms: int, zone: str) -> tuple[int, int]:
    """Return [start, end) of the interval that contains an instant.

    Aligned to local time by the offset at the instant; cut at a shift of the clock that is no multiple of the interval.
    """
    offset = offset_ms(at, zone)
    start = (at + offset) // interval_ms * interval_ms - offset
    end = start + interval_ms
    if (offset_ms(start, zone) - offset) % interval_ms != 0:
        start = shift_between(start, at, zone)
    if (offset_ms(end - 1, zone) - offset) % interval_ms != 0:
        end = shift_between(at, end - 1, zone)
    return start, end


def interval_start(at: int, interval_ms: int, zone: str) -> int:
    """Return the start of the interval that contains an instant."""
    return interval_bounds(at, interval_ms, zone)[0]


def split(start: int, end: int, interval_ms: int, zone: str) -> Iterator[tuple[int, int]]:
    """Yield (interval start, ms of [start, end) in it) for each interval that [start, end) touches."""
    at = start
    while at < end:
        interval, stop = interval_bounds(at, interval_ms, zone)
        yield interval, min(stop, end) - at
        at = stop


def midnight(at: int, zone: str, days_before: int) -> int:
    """Return the first instant of the local day so many days before that of an instant; negative = days after."""
    local = (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))
    day = local.date() - timedelta(days=days_before)
    return (datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - EPOCH) // timedelta(milliseconds=1)


def local_midnight(at: int, zone: str) -> int:
    """Return the first instant of the local day that contains an instant."""
    return midnight(at, zone, 0)


def same_time(at: int, zone: str, days_before: int) -> int:
    """Return the instant at which the clock of the local day so many days before shows the time of day of an instant.

    Where it shows that time twice, the first; where it skips it, the instant of the shift.
    """
    start, end = midnight(at, zone, days_before), midnight(at, zone, days_before - 1)
    local = at + offset_ms(at, zone)
    wanted = local - days_before * DAY_MS
    if start + offset_ms(start, zone) >= wanted:
        return start
    offsets = {offset_ms(start, zone), offset_ms(end - 1, zone)}
    shown = [wanted - offset for offset in offsets if offset_ms(wanted - offset, zone) == offset]
    return min(shown) if shown else shift_between(start, end - 1, zone)
