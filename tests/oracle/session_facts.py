"""Facts of sessions: milestones, times, transfers, quality (`rules.md` 15 and 22 to 30)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tests.oracle.cleaning import Event
from tests.oracle.queue_facts import Fact
from tests.oracle.sessions import Session, direction, every, first, place_at, takes_of, wrap_ups
from tests.oracle.settings import Settings

HOLD_ENDERS = ("session.resumed", "session.transferred", "session.connected", "session.ended")


def fact(session: Session, event: Event, column: str, value: int = 1) -> Fact:
    """Return a fact at the event's time, in the queue that most recently precedes it."""
    strictly = event["type"] == "session.transferred"
    return Fact(place_at(session, event["at"], strictly=strictly), event["at"], column, value)


def started(session: Session) -> Iterator[Fact]:
    """Count the session at its start."""
    event = first(session, "session.started")
    if event is not None:
        yield fact(session, event, "started")


def connected(session: Session) -> Iterator[Fact]:
    """Count the session at its first connect, in total and by direction."""
    event = first(session, "session.connected")
    if event is not None:
        yield fact(session, event, "connected")
        yield fact(session, event, f"connected_{direction(session)}")


def ended(session: Session) -> Iterator[Fact]:
    """Count the session at its end: ended, by direction (callbacks in neither), resolved."""
    event = first(session, "session.ended")
    if event is None:
        return
    yield fact(session, event, "ended")
    if direction(session) in ("inbound", "outbound"):
        yield fact(session, event, f"ended_{direction(session)}")
    if event.get("resolved", False):
        yield fact(session, event, "resolved")


def handled_or_not(session: Session) -> Iterator[Fact]:
    """Count the ended session as handled where it was ever connected, else as unconnected (also by direction)."""
    event = first(session, "session.ended")
    if event is None:
        return
    if first(session, "session.connected") is not None:
        yield fact(session, event, "handled")
    else:
        yield fact(session, event, "unconnected")
        yield fact(session, event, f"unconnected_{direction(session)}")


def is_valid(session: Session, speech: bool) -> bool:
    """Whether speech was ever connected, or both sides wrote a manual message."""
    if speech:
        return first(session, "session.connected") is not None
    manual = [event for event in every(session, "session.message") if not event.get("automatic", False)]
    senders = {event["sender"] for event in manual}
    return "customer" in senders and "agent" in senders


def invalid(session: Session, settings: Settings) -> Iterator[Fact]:
    """Count the ended session that is invalid, in total and by direction (callbacks in neither)."""
    event = first(session, "session.ended")
    if event is None:
        return
    speech = place_at(session, event["at"]).channel in settings.at(event["at"]).speech_channels
    if is_valid(session, speech):
        return
    yield fact(session, event, "invalid")
    if direction(session) in ("inbound", "outbound"):
        yield fact(session, event, f"invalid_{direction(session)}")


def hold_ms(session: Session, begin: int, end: int) -> int:
    """Return the time on hold within [begin, end): from a held to the next resumed, transferred, connected or ended."""
    takes = takes_of(session)
    total = 0
    since: int | None = None
    for event in session.events:
        if event["type"] == "session.held" and since is None:
            since = event["at"]
        if event["type"] not in HOLD_ENDERS or since is None:
            continue
        if event["type"] == "session.connected" and not any(event is take for take in takes):
            continue  # repeated: changes nothing
        total += max(0, min(event["at"], end) - max(since, begin))
        since = None
    return total


def times(session: Session) -> Iterator[Fact]:
    """Sum session, talk, hold and wrap-up time of a handled session, all booked at its end."""
    connect, end = first(session, "session.connected"), first(session, "session.ended")
    if connect is None or end is None:
        return
    duration = max(0, end["at"] - connect["at"])
    held = hold_ms(session, connect["at"], end["at"])
    yield fact(session, end, "session_ms", duration)
    yield fact(session, end, "hold_ms", held)
    yield fact(session, end, "talk_ms", duration - held)
    for holding, wrapped_at in wrap_ups(session):
        assert holding.end is not None
        yield fact(session, end, "wrap_up_ms", wrapped_at - holding.end)


def transferred(session: Session) -> Iterator[Fact]:
    """Count each transfer, in total and by kind, in the queue that the session was in just before."""
    for event in every(session, "session.transferred"):
        yield fact(session, event, "transferred")
        yield fact(session, event, f"transferred_{event.get('kind', 'blind')}")


def surveys_sent(session: Session) -> Iterator[Fact]:
    """Count the session's first invitation."""
    event = first(session, "session.survey_sent")
    if event is not None:
        yield fact(session, event, "surveys_sent")


def exact(number: float) -> Fraction:
    """Return a JSON number as it was written, exactly."""
    return Fraction(repr(number))


def rated(session: Session) -> Iterator[Fact]:
    """Count the session's last rating, by band, and sum score/scale in millionths (half to even)."""
    ratings = every(session, "session.rated")
    if not ratings:
        return
    event = ratings[-1]
    score, scale = exact(event["score"]), exact(event["scale"])
    yield fact(session, event, "rated")
    yield fact(session, event, "score_micro", round(score / scale * 1_000_000))
    if 5 * score >= 4 * scale:
        yield fact(session, event, "rated_good")
    elif 5 * score <= 2 * scale:
        yield fact(session, event, "rated_bad")
    else:
        yield fact(session, event, "rated_neutral")


def reviews(session: Session) -> Iterator[Fact]:
    """Count each review, the live ones and those that passed."""
    for event in every(session, "session.reviewed"):
        yield fact(session, event, "reviews")
        if event.get("live", False):
            yield fact(session, event, "reviews_live")
        if event["score"] >= 97:
            yield fact(session, event, "reviews_passed")


def session_facts(session: Session, settings: Settings) -> Iterator[Fact]:
    """Yield all facts of a session's milestones, times, transfers and quality."""
    yield from started(session)
    yield from connected(session)
    yield from ended(session)
    yield from handled_or_not(session)
    yield from invalid(session, settings)
    yield from times(session)
    yield from transferred(session)
    yield from surveys_sent(session)
    yield from rated(session)
    yield from reviews(session)
