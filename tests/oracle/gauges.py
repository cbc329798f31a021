"""The gauges of now (`rules.md` 11, 18, 33 and 35)."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.oracle.agents import Agent, agents_of, capacity_of, groups_of
from tests.oracle.business import complaints_of
from tests.oracle.cleaning import Event
from tests.oracle.sessions import Place, Session, every, first, forgotten_at, place_at, sessions_of, stays
from tests.oracle.settings import Settings


@dataclass
class QueueNow:
    """One queue and channel now; `oldest_entered_at` None = nobody waits."""

    waiting: int = 0
    oldest_entered_at: int | None = None
    waiting_late: int = 0
    waiting_past_threshold: int = 0
    active_sessions: int = 0
    complaints_open: int = 0


@dataclass
class SlotsNow:
    """Capacity and sessions in hand of the available agents of a group or queue."""

    capacity: int = 0
    slots_used: int = 0
    slots_free: int = 0


@dataclass
class GroupNow:
    """One group now: agents by status (from the first status until they left) and slots."""

    agents: dict[str, int] = field(default_factory=dict)
    slots: SlotsNow = field(default_factory=SlotsNow)


@dataclass
class Now:
    """All gauges: per (queue, channel), per group (`all` = the floor), slots per queue that agents serve."""

    queues: dict[tuple[str, str], QueueNow] = field(default_factory=dict)
    groups: dict[str, GroupNow] = field(default_factory=dict)
    queue_slots: dict[str, SlotsNow] = field(default_factory=dict)


def waiting_entries(session: Session) -> dict[Place, int]:
    """Return where the session waits, with its earliest open entry there.

    A stay is open until its leaving; the session's end, and a connect at or after the entry, take it out too.
    """
    result: dict[Place, int] = {}
    if first(session, "session.ended") is not None:
        return result
    for stay in stays(session):
        connected_since = any(event["at"] >= stay.entered_at for event in every(session, "session.connected"))
        if stay.left_at is None and not connected_since:
            result[stay.place] = min(stay.entered_at, result.get(stay.place, stay.entered_at))
    return result


def count_waiting(now: Now, session: Session, settings: Settings, now_ms: int) -> None:
    """Add where a session waits."""
    for place, entered_at in waiting_entries(session).items():
        row = now.queues.setdefault((place.queue, place.channel), QueueNow())
        row.waiting += 1
        if row.oldest_entered_at is None or entered_at < row.oldest_entered_at:
            row.oldest_entered_at = entered_at
        if now_ms - entered_at > settings.at(now_ms).queue(place.queue).placement_ms:
            row.waiting_late += 1
        if now_ms - entered_at > settings.at(now_ms).queue(place.queue).threshold_ms:
            row.waiting_past_threshold += 1


def count_active(now: Now, session: Session, now_ms: int) -> None:
    """Add a session that is connected and has not ended, in the queue that it is in now."""
    if first(session, "session.connected") is not None and first(session, "session.ended") is None:
        place = place_at(session, now_ms)
        now.queues.setdefault((place.queue, place.channel), QueueNow()).active_sessions += 1


def count_slots(slots: SlotsNow, capacity: int, held: int) -> None:
    """Add one available agent's slots."""
    slots.capacity += capacity
    slots.slots_used += held
    slots.slots_free += max(0, capacity - held)


def count_agent(now: Now, agent: Agent, settings: Settings, now_ms: int) -> None:
    """Add an agent to its groups, the floor and, when available, to its queues."""
    state, held = agent.state_at(now_ms), agent.in_hand_at(now_ms)
    capacity = capacity_of(state, settings, now_ms)
    if state.status is None:
        return
    for group in groups_of(state):
        row = now.groups.setdefault(group, GroupNow())
        row.agents[state.status] = row.agents.get(state.status, 0) + 1
        if state.status == "available":
            count_slots(row.slots, capacity, held)
    if state.status == "available":
        for queue in sorted(set(state.queues)):
            count_slots(now.queue_slots.setdefault(queue, SlotsNow()), capacity, held)


def now_gauges(events: list[Event], settings: Settings, now_ms: int) -> Now:
    """Return the gauges at now, which lies at or after the newest event."""
    now = Now()
    for session in sessions_of(events, settings):
        if forgotten_at(session, settings, now_ms) is None:
            count_waiting(now, session, settings, now_ms)
            count_active(now, session, now_ms)
    for agent in agents_of(events, settings, now_ms):
        count_agent(now, agent, settings, now_ms)
    for complaint in complaints_of(events):
        if complaint.opened_at is not None and complaint.closed_at is None:
            now.queues.setdefault(complaint.place, QueueNow()).complaints_open += 1
    return now
