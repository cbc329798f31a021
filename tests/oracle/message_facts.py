"""Facts of messages: counts, first response, first reply, turns (`rules.md` 19 to 21 and 27)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.oracle.cleaning import Event
from tests.oracle.queue_facts import Fact, Measured
from tests.oracle.session_facts import fact
from tests.oracle.sessions import Session, every, first, place_at
from tests.oracle.settings import Settings


def manual(session: Session, sender: str) -> list[Event]:
    """Return the messages that a person on that side wrote."""
    return [
        event
        for event in every(session, "session.message")
        if event["sender"] == sender and not event.get("automatic", False)
    ]


def messages(session: Session) -> Iterator[Fact]:
    """Count the messages: manual ones of customer and agent; all others are the system's."""
    for event in every(session, "session.message"):
        if event["sender"] in ("customer", "agent") and not event.get("automatic", False):
            yield fact(session, event, f"messages_{event['sender']}")
        else:
            yield fact(session, event, "messages_system")


def first_responses(session: Session) -> Iterator[Measured]:
    """Yield the first response: at most one per session, none before both a connect and a customer's message."""
    connected = first(session, "session.connected")
    asked = manual(session, "customer")
    if connected is None or not asked:
        return
    base = max(connected["at"], asked[0]["at"])
    for reply in manual(session, "agent"):
        if reply["at"] >= base:
            yield Measured(place_at(session, reply["at"]), reply["at"], reply["at"] - base)
            return


def first_response(session: Session, settings: Settings) -> Iterator[Fact]:
    """Count and sum the first responses; count those within target."""
    for place, at, value in first_responses(session):
        yield Fact(place, at, "first_response_n", 1)
        yield Fact(place, at, "first_response_ms", value)
        if value <= settings.at(at).first_response_target(*place):
            yield Fact(place, at, "first_response_within", 1)


def first_reply(session: Session) -> Iterator[Fact]:
    """Count and sum the time from the start to the first manual agent message."""
    started = first(session, "session.started")
    replies = manual(session, "agent")
    if started is not None and replies:
        yield fact(session, replies[0], "first_reply_n")
        yield fact(session, replies[0], "first_reply_ms", max(0, replies[0]["at"] - started["at"]))


def turns(session: Session) -> Iterator[Measured]:
    """Yield each turn that got its reply, at the reply."""
    connected = first(session, "session.connected")
    if connected is None:
        return
    unanswered: int | None = None
    for event in every(session, "session.message"):
        if event.get("automatic", False) or event["sender"] not in ("customer", "agent"):
            continue
        if event["sender"] == "customer":
            if unanswered is None:
                unanswered = event["at"]
        elif unanswered is not None:
            base = max(unanswered, connected["at"])
            if event["at"] >= base:
                yield Measured(place_at(session, event["at"]), event["at"], event["at"] - base)
                unanswered = None


def response_time(session: Session, settings: Settings) -> Iterator[Fact]:
    """Count and sum the turns; count those within target."""
    for place, at, value in turns(session):
        yield Fact(place, at, "response_time_n", 1)
        yield Fact(place, at, "response_time_ms", value)
        if value <= settings.at(at).response_target(*place):
            yield Fact(place, at, "response_time_within", 1)


def message_facts(session: Session, settings: Settings) -> Iterator[Fact]:
    """Yield all facts of a session's messages."""
    yield from messages(session)
    yield from first_response(session, settings)
    yield from first_reply(session)
    yield from response_time(session, settings)
