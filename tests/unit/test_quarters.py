"""Why quarter-hours need no zone: decision 1 of docs/decisions.md, checked against the time zone database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from schemas.instants import EARLIEST_MS
from schemas.readings import QUARTER_MS

STEP = timedelta(days=15)
SECOND = timedelta(seconds=1)
UNTIL = datetime(2040, 1, 1, tzinfo=UTC)


def shift_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first second at which a zone has no longer the offset of `before`."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = before + (after - before) // 2 // SECOND * SECOND
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after


def test_every_zones_offset_is_a_multiple_of_a_quarter_hour_since_1990() -> None:
    """Events before 1990 are invalid, so each local quarter-hour is one of UTC's, but for those in which a clock is put."""
    quarter = timedelta(milliseconds=QUARTER_MS)
    odd = []
    for name in sorted(available_timezones()):
        zone, at = ZoneInfo(name), datetime.fromtimestamp(EARLIEST_MS / 1000, UTC)
        while at < UNTIL:
            offset = at.astimezone(zone).utcoffset()
            if offset is None or offset % quarter:
                odd.append((name, at, offset))
            at += STEP
    assert odd == []


def test_clocks_are_put_within_a_quarter_hour_only_in_the_past_and_in_its_first_minute() -> None:
    """A quarter-hour goes by the offset at its begin: 14 minutes, at 00:01 in Newfoundland until 2011, in no zone since 2023."""
    within = set()
    for name in sorted(available_timezones()):
        zone, at = ZoneInfo(name), datetime.fromtimestamp(EARLIEST_MS / 1000, UTC)
        while at < UNTIL:
            if at.astimezone(zone).utcoffset() != (at + STEP).astimezone(zone).utcoffset():
                shift = shift_between(zone, at, at + STEP)
                if shift.minute % 15 or shift.second:
                    within.add((name, shift))
            at += STEP
    assert ("America/St_Johns", datetime(2006, 10, 29, 2, 31, tzinfo=UTC)) in within
    assert {(shift.minute % 15, shift.second) for _, shift in within} == {(1, 0)}
    assert max(shift.year for _, shift in within) < 2023
