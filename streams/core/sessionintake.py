"""Events of sessions and queues, on their way in: what becomes part of a session, and what is late or a repetition.

Theory of operation. Nearly every event is an ordinary one of a session that is known: not from the future, of the right key, not a
repetition, and not so old that the id of what it may repeat is forgotten, unless the session is younger. `take_on` takes a
run of these in one loop, for which everything that does not change on the way is looked up once, and stops before the first event
that needs a second look; that is given to `take`. Both say the same of an event that either may take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.codec import STRUCT_OF, Decoded
from schemas.errors import InvalidEvent
from schemas.rules import Rules
from streams.core.clock import PartitionClock
from streams.core.expiry import Expiry
from streams.core.ids import Ids
from streams.core.intake import Intake, digest_of, kinds_of
from streams.core.milestones import ENTERED, LEFT, MAKERS, STARTED, Milestone, Session, message_of

_MESSAGE: Final = STRUCT_OF["session.message"]
_MAKERS: Final[dict[type, Callable[[Decoded], Any]]] = {**MAKERS, _MESSAGE: message_of}
QUICK_TOPICS: Final = ("sessions", "queues")
_QUICK: Final[dict[str, dict[type, Callable[[Decoded], Any]]]] = {
    topic: {kind: _MAKERS[kind] for kind in kinds_of(topic) - {STRUCT_OF["session.started"]}} for topic in QUICK_TOPICS
}
"""Types of events that `take_on` may take, with what makes milestones of them; a message is one integer."""


class SessionIntake:
    """Takes the events of one partition's sessions in; `sessions` and `touched` are those of the floor and of its book."""

    def __init__(self, rules: Rules, intake: Intake, clock: PartitionClock, expiry: Expiry, ids: Ids) -> None:
        """Start without sessions."""
        self.sessions: dict[str, Session] = {}
        self.touched: dict[str, Session] = {}
        """What was heard of, or is forgotten, since the last flush."""
        self.newest = -1
        """The newest event time that `take_on` has met since this was set last."""
        self._rules = rules
        self._intake = intake
        self._clock = clock
        self._expiry = expiry
        self._ids = ids
        self._longest_life_ms = max(rules.session_horizon_ms, rules.session_age_ms, *rules.session_age_by_channel.values(), 0)
        """So long before the oldest event of a session another one would belong to an earlier session of the same id."""

    def take_on(self, events: Sequence[Decoded], start: int, topic: str, keys: Sequence[bytes | None], latest: int) -> int:
        """Take ordinary events from an index on; return that of the first that needs a second look, or how many there are."""
        makers, sessions, touched, newest = _QUICK[topic], self.sessions, self.touched, self.newest
        claim, waking = self._ids.claim, self._expiry.waking
        covered, kept = self._ids.covered_from, self._ids.kept_from
        most, longest = self._rules.max_milestones, self._longest_life_ms
        index, end = start, len(events)
        while index < end:
            event = events[index]
            kind = type(event)
            if kind not in makers:
                break
            session_id, at = event.session_id, event.at
            session = sessions.get(session_id)
            if session is None or session.forgotten or session.packed is not None:
                break
            if at > latest or (at < covered and session.oldest < kept) or at < session.oldest - longest:
                break
            milestones, messages = session.milestones, session.messages
            if keys[index] != session_id.encode() or len(milestones) + len(messages) >= most:
                break
            if not claim(digest_of(topic, session_id, event.id), at):
                break
            if kind is _MESSAGE:
                session.say(message_of(event))
            else:
                milestone = makers[kind](event)
                milestones.append(milestone)
                session.unsorted = True
                if milestone[1] in waking:
                    self._expiry.watch(session_id, at)
            touched[session_id] = session
            if at > session.newest:
                session.newest = at
            elif at < session.oldest:
                session.oldest = at
            if at > newest:
                newest = at
            index += 1
        self.newest = newest
        return index

    def take_touched(self) -> dict[str, Session]:
        """Return what was touched since the last call."""
        touched, self.touched = self.touched, {}
        return touched

    def take(self, event: Decoded, topic: str, key: bytes | None, latest: int) -> str:
        """Take any event of a session, or say why not: return what became of it; raises `InvalidEvent`."""
        session_id: str = event.session_id
        session = self.sessions.get(session_id)
        self._intake.check(event, key, latest, session is not None)
        at: int = event.at
        alone = session is None or at < session.oldest - self._longest_life_ms
        if alone and self._expiry.session_is_late(at, self._clock.watermark):
            return "late"
        if session is not None and not self._ids.covers(at) and self._has(session, event, topic):
            return "duplicate"
        digest = digest_of(topic, session_id, event.id)
        if session is not None and session.size >= self._rules.max_milestones:
            if self._ids.knows(digest, at):
                return "duplicate"
            most = self._rules.max_milestones
            raise InvalidEvent("session_full", f"session has {most} events already (limits.milestones)")
        if not self._ids.claim(digest, at):
            return "duplicate"
        if session is None:
            session = self.sessions[session_id] = Session()
            self._expiry.watch(session_id, at)
        session.wake()
        self._put(session_id, session, event)
        self.touched[session_id] = session
        session.heard(at)
        if session.forgotten:
            session.forgotten = False
            self._expiry.watch(session_id, at)
        return "applied"

    def _has(self, session: Session, event: Decoded, topic: str) -> bool:
        """Tell whether an event repeats what is kept of a session; of messages only the very same one is recognised."""
        if session.oldest >= self._ids.kept_from:
            return False  # its id would be known
        of_queue, horizon_ms = topic == "queues", self._ids.horizon_ms
        if type(event) is _MESSAGE and event.at < self._ids.kept_from and message_of(event) in session.messages:
            return True
        return any(
            event_id == event.id and abs(at - event.at) <= horizon_ms and (ENTERED <= rank <= LEFT) is of_queue
            for at, rank, event_id, *_ in session.known()
        )

    def _put(self, session_id: str, session: Session, event: Decoded) -> None:
        """Keep what an event says of a session."""
        if type(event) is _MESSAGE:
            session.say(message_of(event))
            return
        milestone: Milestone = MAKERS[type(event)](event)
        if milestone[1] == STARTED and self._rules.customer_key is not None:
            milestone = self._without_customer_id(milestone)
        session.milestones.append(milestone)
        if milestone[1] in self._expiry.waking:
            self._expiry.watch(session_id, milestone[0])

    def _without_customer_id(self, started: Milestone) -> Milestone:
        """Put a keyed hash in the place of a customer's id: all that is ever kept of it."""
        if started[6] is None:
            return started
        return (*started[:6], self._rules.customer(started[6]))


__all__ = ["QUICK_TOPICS", "SessionIntake"]
