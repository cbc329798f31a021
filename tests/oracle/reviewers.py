"""Days on which reviewers reviewed (`rules.md` 39)."""

from __future__ import annotations

from tests.oracle.cleaning import Event
from tests.oracle.sessions import every, place_at, sessions_of
from tests.oracle.settings import ALL, Settings
from tests.oracle.spans import Spans
from tests.oracle.zones import local_midnight


def reviewer_days(events: list[Event], settings: Settings, spans: Spans) -> dict[tuple[str, str | None], int]:
    """Return the reviewer-days per (queue, channel or None) in each queue's span, and the floor's at (`all`, None).

    A day is one of the queue's zone, on the floor one of the top-level zone, as in force at the review. The floor counts
    a reviewer's day once, and takes the reviews in its own span.
    """
    found: dict[tuple[str, str | None], set[tuple[str, int]]] = {}
    for session in sessions_of(events, settings):
        for review in every(session, "session.reviewed"):
            at, reviewer = review["at"], review["reviewer_id"]
            place, then = place_at(session, at), settings.at(at)
            if spans.has(place.queue, at):
                day = local_midnight(at, then.zone_of(place.queue))
                for channel in (place.channel, None):
                    found.setdefault((place.queue, channel), set()).add((reviewer, day))
            if spans.floor.start <= at < spans.floor.end:
                found.setdefault((ALL, None), set()).add((reviewer, local_midnight(at, then.zone)))
    return {place: len(days) for place, days in found.items()}
