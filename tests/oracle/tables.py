"""The interval table of queues and the raw values behind its percentiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.oracle.business import business_facts
from tests.oracle.cleaning import Event, newest
from tests.oracle.customers import customer_facts
from tests.oracle.message_facts import first_responses, message_facts, turns
from tests.oracle.queue_facts import Fact, Measured, queue_facts, queue_times
from tests.oracle.session_facts import session_facts
from tests.oracle.sessions import Session, sessions_of
from tests.oracle.settings import Settings
from tests.oracle.zones import interval_start

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
    "known_started",
    "repeat_contacts",
    "fcr_contacts",
    "fcr_resolved",
    "surveys_sent",
    "rated",
    "rated_good",
    "rated_neutral",
    "rated_bad",
    "reviews",
    "reviews_live",
    "reviews_passed",
    "visits",
    "complaints_opened",
    "complaints_closed",
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
    "complaint_n",
    "complaint_ms",
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


def blank() -> dict[str, int]:
    """Return a row of zeros; costs add columns by currency, `cost_EUR_e6`."""
    return dict.fromkeys(QUEUE_COLUMNS, 0)


def all_facts(events: list[Event], settings: Settings, now_ms: int) -> Iterator[Fact]:
    """Yield all facts that are known at now."""
    sessions = sessions_of(events, settings)
    for session in sessions:
        yield from queue_facts(session, settings)
        yield from session_facts(session, settings)
        yield from message_facts(session, settings)
    yield from customer_facts(sessions, settings, now_ms)
    yield from business_facts(events)


def by_queue(
    events: list[Event],
    settings: Settings,
    interval_ms: int,
    zone: str | None,
    by_channel: bool,
    now_ms: int | None = None,
) -> dict[tuple[str, str | None, int], dict[str, int]]:
    """Return the columns per (queue, channel or None, interval start).

    `zone` None = each queue's own zone; `now_ms` None = the newest event's time.
    """
    now = now_ms if now_ms is not None else newest(events) if events else 0
    table: dict[tuple[str, str | None, int], dict[str, int]] = {}
    for place, at, column, value in all_facts(events, settings, now):
        start = interval_start(at, interval_ms, zone or settings.at(at).zone_of(place.queue))
        row = table.setdefault((place.queue, place.channel if by_channel else None, start), blank())
        row[column] = row.get(column, 0) + value
    return table


def percentile_inputs(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, by_channel: bool
) -> dict[tuple[str, str | None, int], dict[str, list[int]]]:
    """Return the sorted raw values in ms of each measure per (queue, channel or None, interval start)."""
    table: dict[tuple[str, str | None, int], dict[str, list[int]]] = {}
    for session in sessions_of(events, settings):
        for name, measure in MEASURES.items():
            for place, at, value in measure(session):
                start = interval_start(at, interval_ms, zone or settings.at(at).zone_of(place.queue))
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
