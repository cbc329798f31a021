"""The interval table, windows and the raw values behind percentiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.oracle.agents import group_sums
from tests.oracle.cleaning import Event
from tests.oracle.message_facts import first_responses, message_facts, turns
from tests.oracle.queue_facts import Fact, Measured, queue_facts, queue_times
from tests.oracle.session_facts import session_facts
from tests.oracle.sessions import Session, sessions_of
from tests.oracle.settings import SLICE_MS, Settings
from tests.oracle.zones import interval_start, local_midnight

QUEUE_COLUMNS = (
    "offered",
    "answered",
    "answered_within",
    "abandoned",
    "abandoned_within",
    "short_abandoned",
    "overflowed",
    "timed_out",
    "callback",
    "voicemail",
    "closed",
    "left_transferred",
    "left",
    "left_late",
    "handled",
    "started",
    "connected",
    "ended",
    "unconnected",
    "transferred",
    "transferred_blind",
    "transferred_warm",
    "offers",
    "offers_missed",
    "invalid",
    "invalid_inbound",
    "invalid_outbound",
    "ended_inbound",
    "ended_outbound",
    "resolved",
    "messages_customer",
    "messages_agent",
    "messages_system",
    "first_response_within",
    "surveys_sent",
    "rated",
    "rated_good",
    "rated_neutral",
    "rated_bad",
    "reviews",
    "reviews_live",
    "reviews_passed",
    "wait_answered_ms",
    "wait_abandoned_ms",
    "queue_time_ms",
    "session_ms",
    "ring_time_ms",
    "first_response_ms",
    "first_reply_ms",
    "response_time_ms",
    "talk_ms",
    "hold_ms",
    "wrap_up_ms",
    "ring_time_n",
    "first_response_n",
    "first_reply_n",
    "response_time_n",
    "response_time_within",
    "score_micro",
    "connected_inbound",
    "connected_outbound",
    "connected_callback",
    "unconnected_inbound",
    "unconnected_outbound",
    "unconnected_callback",
)

MEASURES: dict[str, Callable[[Session], Iterator[Measured]]] = {
    "queue_time": queue_times,
    "first_response": first_responses,
    "response_time": turns,
}


class Sums(NamedTuple):
    """Columns over one span: per (queue, channel), channel None = all of them, and per group (`all` = the floor)."""

    queues: dict[tuple[str, str | None], dict[str, int]]
    groups: dict[str, dict[str, int]]


def all_facts(events: list[Event], settings: Settings) -> Iterator[Fact]:
    """Yield the facts of all sessions."""
    for session in sessions_of(events):
        yield from queue_facts(session, settings)
        yield from session_facts(session, settings)
        yield from message_facts(session, settings)


def by_queue(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, by_channel: bool
) -> dict[tuple[str, str | None, int], dict[str, int]]:
    """Return the columns per (queue, channel or None, interval start); `zone` None = each queue's own zone."""
    table: dict[tuple[str, str | None, int], dict[str, int]] = {}
    for place, at, column, value in all_facts(events, settings):
        start = interval_start(at, interval_ms, zone or settings.zone_of(place.queue))
        key = (place.queue, place.channel if by_channel else None, start)
        table.setdefault(key, dict.fromkeys(QUEUE_COLUMNS, 0))[column] += value
    return table


def percentile_inputs(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, by_channel: bool
) -> dict[tuple[str, str | None, int], dict[str, list[int]]]:
    """Return the sorted raw values in ms of each measure per (queue, channel or None, interval start)."""
    table: dict[tuple[str, str | None, int], dict[str, list[int]]] = {}
    for session in sessions_of(events):
        for name, measure in MEASURES.items():
            for place, at, value in measure(session):
                start = interval_start(at, interval_ms, zone or settings.zone_of(place.queue))
                key = (place.queue, place.channel if by_channel else None, start)
                table.setdefault(key, {measure_name: [] for measure_name in MEASURES})[name].append(value)
    for row in table.values():
        for values in row.values():
            values.sort()
    return table


def percentile(values: list[int], q: float) -> int | None:
    """Return the ⌈q·n⌉-th smallest value (`rules.md` 45), None of no values; q in hundredths is taken exactly."""
    if not values:
        return None
    rank = -(-round(q * 100) * len(values) // 100)
    return sorted(values)[max(rank, 1) - 1]


def window_start(now_ms: int, window_ms: int) -> int:
    """Return the start of the first of the w/10 s slices, the open one that contains now among them."""
    return (now_ms // SLICE_MS + 1) * SLICE_MS - window_ms


def _queue_sums(
    events: list[Event], settings: Settings, since: Callable[[str], int], now_ms: int
) -> dict[tuple[str, str | None], dict[str, int]]:
    table: dict[tuple[str, str | None], dict[str, int]] = {}
    for place, at, column, value in all_facts(events, settings):
        if since(place.queue) <= at and at // SLICE_MS <= now_ms // SLICE_MS:
            for channel in (place.channel, None):
                table.setdefault((place.queue, channel), dict.fromkeys(QUEUE_COLUMNS, 0))[column] += value
    return table


def window(events: list[Event], settings: Settings, now_ms: int, window_ms: int) -> Sums:
    """Return all columns over the trailing window that ends with the open slice."""
    start = window_start(now_ms, window_ms)
    return Sums(_queue_sums(events, settings, lambda _: start, now_ms), group_sums(events, settings, start, now_ms))


def today(events: list[Event], settings: Settings, now_ms: int) -> Sums:
    """Return all columns since local midnight: the queue's own zone; groups and `all` the top-level zone."""

    def midnight(queue: str) -> int:
        return local_midnight(now_ms, settings.zone_of(queue))

    groups = group_sums(events, settings, local_midnight(now_ms, settings.zone), now_ms)
    return Sums(_queue_sums(events, settings, midnight, now_ms), groups)


def window_values(
    events: list[Event], now_ms: int, window_ms: int
) -> dict[tuple[str, str | None], dict[str, list[int]]]:
    """Return the sorted raw values of each measure over the trailing window, per (queue, channel or None)."""
    table: dict[tuple[str, str | None], dict[str, list[int]]] = {}
    for session in sessions_of(events):
        for name, measure in MEASURES.items():
            for place, at, value in measure(session):
                if window_start(now_ms, window_ms) <= at and at // SLICE_MS <= now_ms // SLICE_MS:
                    for channel in (place.channel, None):
                        row = table.setdefault((place.queue, channel), {other: [] for other in MEASURES})
                        row[name] = sorted([*row[name], value])
    return table
