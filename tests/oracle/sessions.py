"""What happened to each session: its events in order, its queues, stays, connects and holdings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tests.oracle.cleaning import Event, normal, order_key, topic_of
from tests.oracle.settings import UNASSIGNED, Settings


class Place(NamedTuple):
    """The queue and channel that a fact belongs to."""

    queue: str
    channel: str


@dataclass(frozen=True)
class Session:
    """All events of one session, in the order of `rules.md` 2; `cut` = another session under its id follows."""

    session_id: str
    events: tuple[Event, ...]
    cut: bool = False


@dataclass(frozen=True)
class Stay:
    """One wait in one queue; `left_at` and `outcome` are None while it is open."""

    place: Place
    entered_at: int
    left_at: int | None
    outcome: str | None

    @property
    def wait_ms(self) -> int:
        """The wait of a closed stay in ms, never negative."""
        assert self.left_at is not None
        return max(0, self.left_at - self.entered_at)


@dataclass(frozen=True)
class Holding:
    """An agent held the session in [start, end); `end` None = still; `to_the_end` = the session's end closed it."""

    agent: str
    start: int
    end: int | None
    to_the_end: bool


def sessions_of(events: list[Event], settings: Settings) -> list[Session]:
    """Group the events of sessions and queues by session; several sessions under one id are each their own."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        if topic_of(event) in ("sessions", "queues"):
            grouped.setdefault(event["session_id"], []).append(normal(event))
    result = []
    for name, its in grouped.items():
        lives = lives_of(name, sorted(its, key=order_key), settings)
        result += [Session(name, tuple(life), cut=life is not lives[-1]) for life in lives]
    return result


def lives_of(name: str, ordered: list[Event], settings: Settings) -> list[list[Event]]:
    """Cut the events of one id where a new session begins (`rules.md` 5).

    That is a horizon or more after its end or, while it is open, its age (the horizon, if that is longer) or more after
    its newest event.
    """
    lives: list[list[Event]] = []
    for event in ordered:
        if lives and not begins_anew(Session(name, tuple(lives[-1])), event["at"], settings):
            lives[-1].append(event)
        else:
            lives.append([event])
    return lives


def begins_anew(before: Session, at: int, settings: Settings) -> bool:
    """Whether an event at that instant no longer belongs to the session of the events before it."""
    end = first(before, "session.ended")
    if end is not None:
        ended_at: int = end["at"]
        return at - ended_at >= settings.session_horizon_ms
    return at - newest_of(before) >= max(age_of(before, settings), settings.session_horizon_ms)


def newest_of(session: Session) -> int:
    """Return the time of the session's newest event."""
    times: list[int] = [event["at"] for event in session.events]
    return max(times)


def age_of(session: Session, settings: Settings) -> int:
    """Return the session's age in ms: by the channel of the latest entry that names one, else of the start."""
    named = [entry["channel"] for entry in every(session, "queue.entered") if "channel" in entry]
    return settings.age(named[-1] if named else channel_of_start(session))


def forgotten_at(session: Session, settings: Settings, now_ms: int) -> int | None:
    """Return the time of the newest event of a session that is forgotten at now, None of any other (`rules.md` 5)."""
    if first(session, "session.ended") is not None:
        return None
    newest = newest_of(session)
    return newest if session.cut or now_ms - newest >= age_of(session, settings) else None


def sessions_expired(events: list[Event], settings: Settings, now_ms: int) -> int:
    """Return how many sessions are forgotten at now, those among them whose id lives on as another session."""
    return sum(1 for session in sessions_of(events, settings) if forgotten_at(session, settings, now_ms) is not None)


def every(session: Session, kind: str) -> list[Event]:
    """Return the session's events of a type, in order."""
    return [event for event in session.events if event["type"] == kind]


def first(session: Session, kind: str) -> Event | None:
    """Return the session's earliest event of a type: the one that counts of a milestone that should be single."""
    found = every(session, kind)
    return found[0] if found else None


def direction(session: Session) -> str:
    """Return the direction of the session; unknown counts as the default, inbound."""
    started = first(session, "session.started")
    return str(started.get("direction", "inbound")) if started else "inbound"


def channel_of_start(session: Session) -> str:
    """Return the channel that the start names, else `unassigned`."""
    started = first(session, "session.started")
    return str(started["channel"]) if started else UNASSIGNED


def place_of_entry(session: Session, entry: Event) -> Place:
    """Return queue and channel of a `queue.entered`."""
    return Place(entry["queue"], entry.get("channel", channel_of_start(session)))


def place_at(session: Session, at: int, *, strictly: bool = False) -> Place:
    """Return where a fact at an instant belongs (`rules.md` 10); `strictly` = entries at that ms do not precede."""
    entries = every(session, "queue.entered")
    preceding = [entry for entry in entries if entry["at"] < at or (entry["at"] == at and not strictly)]
    if preceding:
        return place_of_entry(session, preceding[-1])
    started = first(session, "session.started")
    if started is not None and "queue" in started:
        return Place(started["queue"], channel_of_start(session))
    if entries:
        return place_of_entry(session, entries[0])
    for connected in every(session, "session.connected"):
        if "queue" in connected:
            return Place(connected["queue"], channel_of_start(session))
    return Place(UNASSIGNED, channel_of_start(session))


def place_of_offer(session: Session, offer: Event) -> Place:
    """Return the queue that an offer or a miss names, with the channel of the session's entry into it."""
    entries = [entry for entry in every(session, "queue.entered") if entry["queue"] == offer["queue"]]
    preceding = [entry for entry in entries if entry["at"] <= offer["at"]]
    if preceding:
        return place_of_entry(session, preceding[-1])
    if entries:
        return place_of_entry(session, entries[0])
    return Place(offer["queue"], channel_of_start(session))


def stays(session: Session) -> list[Stay]:
    """Pair the k-th entry into each queue with the k-th leaving of it; a leaving without an entry makes no stay."""
    result = []
    for queue in {entry["queue"] for entry in every(session, "queue.entered")}:
        entries = [event for event in every(session, "queue.entered") if event["queue"] == queue]
        leavings = [event for event in every(session, "queue.left") if event["queue"] == queue]
        for k, entry in enumerate(entries):
            place = place_of_entry(session, entry)
            if k < len(leavings):
                result.append(Stay(place, entry["at"], leavings[k]["at"], leavings[k]["outcome"]))
            else:
                result.append(Stay(place, entry["at"], None, None))
    return result


def _walk_holdings(session: Session) -> tuple[list[Holding], list[Event]]:
    """Return the holdings and the connects of agents who did not hold the session, both in order."""
    holdings: list[Holding] = []
    takes: list[Event] = []
    holder: str | None = None
    since = 0
    over = False
    for event in session.events:
        kind, at = event["type"], event["at"]
        if kind == "session.connected" and event["agent_id"] != holder:
            takes.append(event)
            if over:
                continue
            if holder is not None:
                holdings.append(Holding(holder, since, at, False))
            holder, since = event["agent_id"], at
        elif kind == "session.transferred" and holder is not None and event["from_agent"] == holder:
            holdings.append(Holding(holder, since, at, False))
            holder = None
        elif kind == "session.ended" and not over:
            if holder is not None:
                holdings.append(Holding(holder, since, at, True))
            holder, over = None, True
    if holder is not None:
        holdings.append(Holding(holder, since, None, False))
    return holdings, takes


def holdings_of(session: Session) -> list[Holding]:
    """Return who held the session when, in order (`rules.md` 31)."""
    return _walk_holdings(session)[0]


def takes_of(session: Session) -> list[Event]:
    """Return the connects of agents who did not hold the session: a repeated connect changes nothing."""
    return _walk_holdings(session)[1]


def wrap_ups(session: Session) -> list[tuple[Holding, int]]:
    """Return each closed holding that has a wrap-up, with the time of that wrap-up (`rules.md` 24)."""
    result = []
    holdings = holdings_of(session)
    for k, holding in enumerate(holdings):
        if holding.end is None:
            continue
        later = [other.start for other in holdings[k + 1 :] if other.agent == holding.agent]
        for event in every(session, "session.wrapped_up"):
            if event["agent_id"] != holding.agent or event["at"] < holding.end:
                continue
            if not later or event["at"] < later[0]:
                result.append((holding, event["at"]))
            break
    return result


def in_hand(session: Session, settings: Settings, now_ms: int) -> list[tuple[str, int, int | None]]:
    """Return (agent, start, end) of the time in hand; end None = open (`rules.md` 32).

    After the session's end the agent who held it then has it in hand until his first wrap-up at or after it, once that
    is known; where the channel expects a wrap-up, from the end on until the wrap-up or the limit. Of a session that is
    forgotten at now it ends at the newest event.
    """
    forgotten = forgotten_at(session, settings, now_ms)
    result: list[tuple[str, int, int | None]] = []
    for holding in holdings_of(session):
        end = holding.end if holding.end is not None else forgotten
        if holding.to_the_end and end is not None:
            wrapped = [at for held, at in wrap_ups(session) if held.to_the_end]
            limit = settings.at(end).wrap_up_limits.get(place_at(session, end).channel)
            if limit is not None:
                end = min([*wrapped, end + limit])
            elif wrapped:
                end = wrapped[0]
        result.append((holding.agent, holding.start, end))
    return result
