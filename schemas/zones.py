"""Local days, dates and intervals of a time zone, as UTC milliseconds.

Theory. A zone's offset is constant between its shifts, and since 1990 a multiple of a quarter-hour, so each
quarter-hour slice lies in one local interval. An interval is aligned to local time by the offset at the instant;
only where a shift is no multiple of the interval (Lord Howe's half hour and an interval of 60 minutes) the interval
is cut at the shift.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from schemas.errors import UsageError
from schemas.instants import LATEST_MS
from schemas.readings import QUARTER_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = 86_400_000
LAST_MS: Final = LATEST_MS - 15 * 3_600_000
"""The last instant that no zone has past all calendars, in the year 10000."""
_CACHED: Final = 20_000
"""Offsets and starts remembered: the quarter-hours of 15 days in a dozen zones."""
MAX_ZONE_CHARS: Final = 64
_FIRST_DATE: Final = _EPOCH.toordinal()


def check_zone(name: str) -> str:
    """Return the name of a zone that exists; raises `UsageError`."""
    try:
        if len(name) <= MAX_ZONE_CHARS:
            ZoneInfo(name)
            return name
    except (ValueError, OSError, KeyError):
        pass
    raise UsageError(f"unknown time zone {name[:MAX_ZONE_CHARS]!r}; write an IANA name such as Asia/Shanghai or UTC")


def _local(zone: str, at: int) -> datetime:
    """Return the local time of an instant; of the last hours of the year 9999, which may be past all calendars, one before them."""
    return (_EPOCH + min(at, LAST_MS) * _MS).astimezone(ZoneInfo(zone))


@lru_cache(_CACHED)
def offset_ms(zone: str, at: int) -> int:
    """Return the zone's offset from UTC at an instant."""
    offset = _local(zone, at).utcoffset()
    return 0 if offset is None else offset // _MS


@lru_cache(_CACHED)
def interval_start(zone: str, at: int, interval_ms: int) -> int:
    """Return the start of the local interval that holds an instant."""
    offset = offset_ms(zone, at)
    start = (at + offset) // interval_ms * interval_ms - offset
    if (offset_ms(zone, start) - offset) % interval_ms == 0:
        return start
    before, shift = start, at
    while shift - before > 1:
        middle = (before + shift) // 2
        before, shift = (before, middle) if offset_ms(zone, middle) == offset else (middle, shift)
    return shift


def _local_date(zone: str, at: int) -> date:
    return _local(zone, at).date()


@lru_cache(_CACHED)
def _midnight(zone: str, day: date) -> int:
    """Return the first instant of a local day; where 00:00 is skipped that is the shift itself."""
    return (datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - _EPOCH) // _MS


@lru_cache(_CACHED)
def _date_number(zone: str, quarter: int) -> int:
    return _local_date(zone, quarter * QUARTER_MS).toordinal() - _FIRST_DATE


def date_number(zone: str, at: int) -> int:
    """Return the local date of an instant as days since 1970-01-01."""
    return _date_number(zone, at // QUARTER_MS)


def date_start(zone: str, number: int) -> int:
    """Return the first instant of a local date."""
    return _midnight(zone, date.fromordinal(number + _FIRST_DATE))


def local_time(zone: str, at: int) -> int:
    """Return what the local clock shows at an instant, in ms since 00:00."""
    return (at + offset_ms(zone, at)) % _DAY_MS


@lru_cache(_CACHED)
def at_local_time(zone: str, number: int, time_ms: int) -> int:
    """Return when the clock of a local date first reaches a time (ms since 00:00); where it skips the time: the shift itself."""
    naive = datetime.combine(date.fromordinal(number + _FIRST_DATE), time()) + time_ms * _MS
    first, second = ((naive.replace(tzinfo=ZoneInfo(zone), fold=fold) - _EPOCH) // _MS for fold in (0, 1))
    if first <= second:
        return first
    before, shift = second, first  # skipped: the offset after the shift gives the earlier instant
    while shift - before > 1:
        middle = (before + shift) // 2
        before, shift = (middle, shift) if offset_ms(zone, middle) == offset_ms(zone, second) else (before, middle)
    return shift


def local_text(zone: str, at: int) -> str:
    """Return `2026-11-21T14:00:00+08:00` for an instant."""
    return (_EPOCH + at * _MS).astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


__all__ = [
    "LAST_MS",
    "at_local_time",
    "check_zone",
    "date_number",
    "date_start",
    "interval_start",
    "local_text",
    "local_time",
    "offset_ms",
]
