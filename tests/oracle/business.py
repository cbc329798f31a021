"""Facts of the business topic: site visits, costs, complaints (`rules.md` 40 and 41)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracle.cleaning import Event, normal, order_key, topic_of
from tests.oracle.queue_facts import Fact
from tests.oracle.session_facts import exact
from tests.oracle.sessions import Place
from tests.oracle.settings import UNASSIGNED


@dataclass(frozen=True)
class Complaint:
    """One numbered complaint: when it was first opened and first closed, None = it was not."""

    complaint_id: str
    place: Place
    opened_at: int | None
    closed_at: int | None


def business_of(events: list[Event], kind: str) -> list[Event]:
    """Return the business events of a type, in order."""
    about = [normal(event) for event in events if topic_of(event) == "business"]
    return sorted((event for event in about if event["type"] == kind), key=order_key)


def complaints_of(events: list[Event]) -> list[Complaint]:
    """Return every complaint that was opened or closed, at the queue that its open names, else its close."""
    opened, closed = business_of(events, "complaint.opened"), business_of(events, "complaint.closed")
    result = []
    for name in sorted({event["complaint_id"] for event in [*opened, *closed]}):
        opening = next((event for event in opened if event["complaint_id"] == name), None)
        closing = next((event for event in closed if event["complaint_id"] == name), None)
        queues = [event["queue"] for event in (opening, closing) if event is not None and "queue" in event]
        place = Place(queues[0] if queues else UNASSIGNED, UNASSIGNED)
        opened_at = opening["at"] if opening is not None else None
        result.append(Complaint(name, place, opened_at, closing["at"] if closing is not None else None))
    return result


def visits(events: list[Event]) -> Iterator[Fact]:
    """Count the visitors, where the event says."""
    for event in business_of(events, "site.visits"):
        place = Place(event.get("queue", UNASSIGNED), event.get("channel", UNASSIGNED))
        yield Fact(place, event["at"], "visits", event["count"])


def costs(events: list[Event]) -> Iterator[Fact]:
    """Sum the costs by currency in millionths, each rounded half to even."""
    for event in business_of(events, "cost.booked"):
        place = Place(event.get("queue", UNASSIGNED), UNASSIGNED)
        yield Fact(place, event["at"], f"cost_{event['currency']}_e6", round(exact(event["amount"]) * 1_000_000))


def complaints(events: list[Event]) -> Iterator[Fact]:
    """Count complaints when first opened and first closed; time those that are both, at the close."""
    for one in complaints_of(events):
        if one.opened_at is not None:
            yield Fact(one.place, one.opened_at, "complaints_opened", 1)
        if one.closed_at is not None:
            yield Fact(one.place, one.closed_at, "complaints_closed", 1)
        if one.opened_at is not None and one.closed_at is not None:
            yield Fact(one.place, one.closed_at, "complaint_n", 1)
            yield Fact(one.place, one.closed_at, "complaint_ms", max(0, one.closed_at - one.opened_at))


def business_facts(events: list[Event]) -> Iterator[Fact]:
    """Yield all facts of the business topic."""
    yield from visits(events)
    yield from costs(events)
    yield from complaints(events)
