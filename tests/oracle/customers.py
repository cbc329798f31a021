"""Customers who come back (`rules.md` 29): repeat contacts, and contacts that nobody followed in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracle.queue_facts import Fact
from tests.oracle.session_facts import fact
from tests.oracle.sessions import Session, first, place_at
from tests.oracle.settings import Settings


@dataclass(frozen=True)
class Contact:
    """One session of a known customer; `ended_at` None = it has not ended."""

    session: Session
    customer: str
    started_at: int
    ended_at: int | None


def contacts_of(sessions: list[Session]) -> list[Contact]:
    """Return the sessions whose start names a customer."""
    result = []
    for session in sessions:
        started, ended = first(session, "session.started"), first(session, "session.ended")
        if started is not None and "customer_id" in started:
            ended_at = ended["at"] if ended is not None else None
            result.append(Contact(session, started["customer_id"], started["at"], ended_at))
    return result


def follows(later: Contact, earlier: Contact, within_ms: int) -> bool:
    """Whether a contact follows an earlier one of its customer, no later than so long after that one's end."""
    if later.customer != earlier.customer or later.started_at <= earlier.started_at:
        return False
    return earlier.ended_at is None or later.started_at <= earlier.ended_at + within_ms


def repeats(contacts: list[Contact], settings: Settings) -> Iterator[Fact]:
    """Count each contact and those that follow another, at the start."""
    for contact in contacts:
        started = first(contact.session, "session.started")
        assert started is not None
        yield fact(contact.session, started, "known_started")
        within_ms = settings.at(contact.started_at).repeat_within_ms
        if any(follows(contact, other, within_ms) for other in contacts):
            yield fact(contact.session, started, "repeat_contacts")


def resolutions(contacts: list[Contact], settings: Settings, now_ms: int) -> Iterator[Fact]:
    """Count each ended contact and those that nobody followed, when its time is up, in the queue of its end."""
    for contact in contacts:
        if contact.ended_at is None:
            continue
        within_ms = settings.at(contact.ended_at).repeat_within_ms
        due = contact.ended_at + within_ms
        if due > now_ms:
            continue
        place = place_at(contact.session, contact.ended_at)
        yield Fact(place, due, "fcr_contacts", 1)
        if not any(follows(other, contact, within_ms) for other in contacts):
            yield Fact(place, due, "fcr_resolved", 1)


def customer_facts(sessions: list[Session], settings: Settings, now_ms: int) -> Iterator[Fact]:
    """Yield all facts of known customers."""
    contacts = contacts_of(sessions)
    yield from repeats(contacts, settings)
    yield from resolutions(contacts, settings, now_ms)
