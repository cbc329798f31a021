"""Instants: RFC 3339 text or integer milliseconds, as UTC milliseconds since the epoch.

Theory. Producers write mostly one form (`2026-11-21T14:05:47.123Z`), and neighbouring events share the minute. So the
minute prefix is looked up in a bounded cache, seconds and milliseconds in two tables; what does not fit falls through
to the full pattern, which is the only definition. The tables also refuse what `int()` would forgive (`+1`, `1_0`, `١`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from schemas.errors import InvalidEvent

EARLIEST_MS: Final = 631_152_000_000
"""1990-01-01T00:00:00Z; an event before it is invalid."""
LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, beyond which no text form exists."""
_MAX_CACHED_MINUTES: Final = 4096
"""Minute prefixes remembered; a day has 1440, so that a replay shuffled over hours still hits."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PATTERN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):([0-5]\d)(?:\.(\d+))?(?:([Zz])|([+-])([01]\d|2[0-3]):([0-5]\d))?", re.ASCII
)
_SECONDS = {f"{s:02}": s * 1000 for s in range(60)}
_MILLIS = {f"{m:03}": m for m in range(1000)}
_minutes: dict[str, int] = {}


def parse_instant(at: int | str) -> int:
    """Return UTC milliseconds of an event time.

    Decimals beyond milliseconds are cut, not rounded. Raises `InvalidEvent` with reason `naive_timestamp`,
    `bad_timestamp` or `too_old`.
    """
    if type(at) is str:
        if len(at) == 24 and at[19] == "." and at[23] == "Z":
            try:
                return _minutes[at[:17]] + _SECONDS[at[17:19]] + _MILLIS[at[20:23]]
            except KeyError:
                pass
        ms = _parse_text(at)
    elif type(at) is int:
        ms = at
    else:
        raise InvalidEvent("bad_timestamp", f"at is neither RFC 3339 text nor integer milliseconds: {at!r}")
    if ms < EARLIEST_MS:
        raise InvalidEvent("too_old", f"at {at!r} is before 1990-01-01")
    if ms > LATEST_MS:
        raise InvalidEvent("bad_timestamp", f"at {at!r} is after the year 9999")
    return ms


def _parse_text(at: str) -> int:
    match = _PATTERN.fullmatch(at)
    if match is None:
        raise InvalidEvent("bad_timestamp", f"at {at[:64]!r} is not RFC 3339")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_h, off_m = match.groups()
    if zulu is None and sign is None:
        end = at[17:]
        raise InvalidEvent("naive_timestamp", f'at "{at}" has no offset. Write …{end}+08:00, …{end}Z or integer milliseconds')
    try:
        start = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError as error:
        raise InvalidEvent("bad_timestamp", f"at {at!r}: {error}") from None
    minute_ms = (start - _EPOCH) // timedelta(milliseconds=1)
    if sign is not None:
        offset_ms = (int(off_h) * 60 + int(off_m)) * 60_000
        minute_ms -= offset_ms if sign == "+" else -offset_ms
    elif zulu == "Z" and minute_ms >= EARLIEST_MS:
        if len(_minutes) >= _MAX_CACHED_MINUTES:
            _minutes.clear()
        _minutes[at[:17]] = minute_ms
    return minute_ms + int(second) * 1000 + int(((fraction or "") + "000")[:3])


def format_instant(ms: int) -> str:
    """Return `2026-11-21T14:05:47.123Z` for UTC milliseconds."""
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


def format_second(ms: int) -> str:
    """Return `2026-11-21T14:05:47Z`: an instant for people, cut to the second."""
    return format_instant(ms)[:19] + "Z"


def _setting(value: Any) -> int:
    """Return ms for an instant in a configuration; YAML may have read it already."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // timedelta(milliseconds=1)
    try:
        return parse_instant(value.isoformat() if isinstance(value, datetime) else value)
    except InvalidEvent as error:
        raise PydanticCustomError("instant", "{why}", {"why": error.detail}) from None


Instant = Annotated[int, BeforeValidator(_setting), PlainSerializer(format_instant)]
"""An instant in ms, written as RFC 3339."""

__all__ = ["EARLIEST_MS", "LATEST_MS", "Instant", "format_instant", "format_second", "parse_instant"]
