"""Quiet hours: spans of local time in which nobody is woken, `22:00-06:00` or `Sat-Sun 00:00-24:00`.

A span that ends before it begins goes on after midnight; its days are those on which it begins.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pydantic_core import PydanticCustomError

from schemas.rules import DAY_MS, MINUTE_MS
from schemas.zones import date_number, local_time

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "(?:" + "|".join(DAYS) + ")"
_SPAN: Final = re.compile(rf"(?:({_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?)*) )?(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_EPOCH_DAY: Final = 3
"""1970-01-01 was a Thursday."""


class QuietSpan(NamedTuple):
    """One span; `days` are numbers from Monday = 0, times are ms of the local clock."""

    days: frozenset[int]
    start_ms: int
    end_ms: int

    def holds(self, zone: str, now: int) -> bool:
        """Tell whether an instant lies in it."""
        day, clock = (date_number(zone, now) + _EPOCH_DAY) % 7, local_time(zone, now)
        if self.start_ms < self.end_ms:
            return day in self.days and self.start_ms <= clock < self.end_ms
        return (day in self.days and clock >= self.start_ms) or ((day - 1) % 7 in self.days and clock < self.end_ms)


def check_quiet(value: Any) -> str:
    """Return a span as it was written; raises what pydantic words."""
    text = " ".join(str(value).split())
    parse_quiet(text)
    return text


def parse_quiet(text: str) -> QuietSpan:
    """Read a span."""
    found = _SPAN.fullmatch(text)
    if found is not None:
        start, end = (_clock_ms(*pair) for pair in (found.group(2, 3), found.group(4, 5)))
        if start is not None and end is not None and start < DAY_MS and start != end:
            return QuietSpan(_days(found[1]), start, end)
    raise PydanticCustomError("quiet_hours", "is not a span of local time: write 22:00-06:00 or Mon,Sat-Sun 00:00-24:00")


def _clock_ms(hours: str, minutes: str) -> int | None:
    ms = (int(hours) * 60 + int(minutes)) * MINUTE_MS
    return ms if int(minutes) < 60 and ms <= DAY_MS else None


def _days(text: str | None) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days.update((start + n) % 7 for n in range((end - start) % 7 + 1))
    return frozenset(days)


__all__ = ["QuietSpan", "check_quiet", "parse_quiet"]
