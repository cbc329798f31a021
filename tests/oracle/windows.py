"""Windows, their comparisons and the raw values behind their percentiles (`rules.md` 42 to 45)."""

from __future__ import annotations

from typing import NamedTuple

from tests.oracle.agents import group_sums, online_days
from tests.oracle.cleaning import Event
from tests.oracle.sessions import sessions_of
from tests.oracle.settings import SLICE_MS, Settings
from tests.oracle.spans import Spans, days, days_cut, trailing
from tests.oracle.tables import MEASURES, all_facts, blank

Values = dict[tuple[str, str | None], dict[str, list[int]]]
WEEK_DAYS = 7


class Sums(NamedTuple):
    """Columns over one span: per (queue, channel), channel None = all of them, and per group (`all` = the floor)."""

    queues: dict[tuple[str, str | None], dict[str, int]]
    groups: dict[str, dict[str, int]]


def window_start(now_ms: int, window_ms: int) -> int:
    """Return the start of the first of the w/10 s slices, the open one that contains now among them."""
    return (now_ms // SLICE_MS + 1) * SLICE_MS - window_ms


def sums(events: list[Event], settings: Settings, now_ms: int, spans: Spans) -> Sums:
    """Return all columns over the spans, as known at now."""
    queues: dict[tuple[str, str | None], dict[str, int]] = {}
    for place, at, column, value in all_facts(events, settings, now_ms):
        if spans.has(place.queue, at):
            for channel in (place.channel, None):
                row = queues.setdefault((place.queue, channel), blank())
                row[column] = row.get(column, 0) + value
    return Sums(queues, group_sums(events, settings, *spans.floor, now_ms))


def values(events: list[Event], settings: Settings, spans: Spans) -> Values:
    """Return the sorted raw values in ms of each measure over the spans, per (queue, channel or None)."""
    table: Values = {}
    for session in sessions_of(events, settings):
        for name, measure in MEASURES.items():
            for place, at, value in measure(session):
                if spans.has(place.queue, at):
                    for channel in (place.channel, None):
                        row = table.setdefault((place.queue, channel), {other: [] for other in MEASURES})
                        row[name] = sorted([*row[name], value])
    return table


def window(events: list[Event], settings: Settings, now_ms: int, window_ms: int) -> Sums:
    """Return all columns over the trailing window that ends with the open slice."""
    return sums(events, settings, now_ms, trailing(now_ms, window_ms))


def window_values(events: list[Event], now_ms: int, window_ms: int, settings: Settings | None = None) -> Values:
    """Return the raw values over the trailing window."""
    return values(events, settings or Settings(), trailing(now_ms, window_ms))


def today(events: list[Event], settings: Settings, now_ms: int) -> Sums:
    """Return all columns since local midnight: the queue's own zone; groups and `all` the top-level zone."""
    return sums(events, settings, now_ms, days(settings, now_ms, 1))


def today_values(events: list[Event], settings: Settings, now_ms: int) -> Values:
    """Return the raw values of today."""
    return values(events, settings, days(settings, now_ms, 1))


def seven_days(events: list[Event], settings: Settings, now_ms: int) -> Sums:
    """Return all columns of today and the six local days before it."""
    return sums(events, settings, now_ms, days(settings, now_ms, WEEK_DAYS))


def seven_days_values(events: list[Event], settings: Settings, now_ms: int) -> Values:
    """Return the raw values of today and the six local days before it."""
    return values(events, settings, days(settings, now_ms, WEEK_DAYS))


def agent_days(events: list[Event], settings: Settings, now_ms: int, spans: Spans) -> dict[str, int]:
    """Return per group the (agent, local day) with online time as its member: the denominator of what they handle a day."""
    return online_days(events, settings, *spans.floor, now_ms)


def compared(settings: Settings, now_ms: int) -> dict[str, tuple[Spans, Spans]]:
    """Return both sides of each comparison: of today `yesterday` and `week_ago`, of `7d` the seven days `before`."""
    day, week = (days_cut(settings, now_ms, count, 0) for count in (1, WEEK_DAYS))
    return {
        "yesterday": (day, days_cut(settings, now_ms, 1, 1)),
        "week_ago": (day, days_cut(settings, now_ms, 1, WEEK_DAYS)),
        "before": (week, days_cut(settings, now_ms, WEEK_DAYS, WEEK_DAYS)),
    }


def comparisons(events: list[Event], settings: Settings, now_ms: int) -> dict[str, tuple[Sums, Sums]]:
    """Return (side of now, its base) per comparison; both end at the last local quarter-hour boundary that has passed."""
    return {
        name: (sums(events, settings, now_ms, side), sums(events, settings, now_ms, base))
        for name, (side, base) in compared(settings, now_ms).items()
    }
