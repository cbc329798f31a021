"""Why quarter-hours need no zone: decision 1 of docs/decisions.md, checked against the time zone database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from schemas.instants import EARLIEST_MS
from schemas.readings import QUARTER_MS

STEP = timedelta(days=15)
UNTIL = datetime(2040, 1, 1, tzinfo=UTC)


def test_every_zones_offset_is_a_multiple_of_a_quarter_hour_since_1990() -> None:
    """Events before 1990 are invalid, so each local quarter-hour is one of UTC's."""
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
