"""From event dicts as they came to those that are applied, with integer times; the order of `rules.md` 2."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.oracle.settings import DEFAULT_DUPLICATE_HORIZON_MS

Event = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))")

TOPIC_OF_PREFIX = {
    "session": "sessions",
    "queue": "queues",
    "agent": "status",
    "site": "business",
    "cost": "business",
    "complaint": "business",
}

LIFECYCLE = [
    "session.started",
    "queue.entered",
    "queue.offered",
    "queue.missed",
    "queue.left",
    "session.connected",
    "session.message",
    "session.held",
    "session.resumed",
    "session.transferred",
    "session.ended",
    "session.wrapped_up",
    "session.survey_sent",
    "session.rated",
    "session.reviewed",
    "agent.joined",
    "agent.status",
    "agent.left",
    "site.visits",
    "cost.booked",
    "complaint.opened",
    "complaint.closed",
]
SENDERS = ["customer", "agent", "bot", "system"]


def parse_at(at: int | str) -> int:
    """Return an event's `at` as integer ms since the epoch; decimals beyond the ms are cut."""
    if isinstance(at, int):
        return at
    match = RFC3339.fullmatch(at)
    if match is None:
        raise ValueError(f"not an RFC 3339 time with offset: {at!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    offset = timedelta(0)
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (1 if match[9] == "+" else -1)
    moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    millis = int((match[7] or "0").ljust(3, "0")[:3])
    return (moment - EPOCH) // timedelta(milliseconds=1) + millis


def topic_of(event: Event) -> str:
    """Return the topic (without prefix) that an event belongs to, from its type's prefix."""
    return TOPIC_OF_PREFIX[event["type"].split(".")[0]]


def key_of(event: Event) -> str:
    """Return the record key of an event on its topic."""
    topic = topic_of(event)
    if topic in ("sessions", "queues"):
        return str(event["session_id"])
    if topic == "status":
        return str(event["agent_id"])
    if event["type"].startswith("complaint."):
        return str(event["complaint_id"])
    return str(event.get("queue") or "")


def normal(event: Event) -> Event:
    """Return a copy with integer `at` and without the optional fields that are null."""
    without_null = {name: value for name, value in event.items() if value is not None}
    return {**without_null, "at": parse_at(event["at"])}


def clean(events: list[Event], horizon_ms: int = DEFAULT_DUPLICATE_HORIZON_MS) -> list[Event]:
    """Return the events that are applied, in reading order, with integer times.

    A repetition has topic, key and id of an applied event whose `at` is at most the horizon away, whatever it says.
    """
    applied: list[Event] = []
    times: dict[tuple[str, str, str], list[int]] = {}
    for raw in events:
        event = normal(raw)
        claims = times.setdefault((topic_of(event), key_of(event), event["id"]), [])
        if any(abs(event["at"] - at) <= horizon_ms for at in claims):
            continue
        claims.append(event["at"])
        applied.append(event)
    return applied


def order_key(event: Event) -> tuple[int, int, int, str]:
    """Return the sort key of `rules.md` 2: time, place in the lifecycle (messages by sender), id."""
    sender = SENDERS.index(event["sender"]) if event["type"] == "session.message" else 0
    return (parse_at(event["at"]), LIFECYCLE.index(event["type"]), sender, event["id"])


def newest(events: list[Event]) -> int:
    """Return the newest event time of the input in ms: now at the end of a file (`rules.md` 6)."""
    return max(parse_at(event["at"]) for event in events)
