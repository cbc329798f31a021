"""When a session is over, and where one ends and the next of the same id begins.

Theory. A session without an event for its channel's age is forgotten as it stands, and one that has ended is closed a horizon
after its end (rules 5); whatever comes later under the same id is a new session. Whether that happens must not
depend on when anybody looked: so it follows from the event times alone. `lives` cuts a session's milestones where a gap is
too long. All lives but the last are over; the floor drops a session when the watermark has passed the end of its last.
"""

from __future__ import annotations

from schemas.rules import Rules
from streams.core.milestones import ENDED, ENTERED, STARTED, Milestone, Session, at_and_sender


class _Cutter:
    """Follows a session's events in order and says until when it lives."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._channel: str | None = None
        self._ended: int | None = None
        self._newest = 0

    def follow(self, at: int, milestone: Milestone | None) -> None:
        self._newest = at
        if milestone is None:
            return
        if milestone[1] == ENDED and self._ended is None:
            self._ended = at
        elif milestone[1] == STARTED and self._channel is None:
            self._channel = milestone[3]
        elif milestone[1] == ENTERED and milestone[4] is not None:
            self._channel = milestone[4]

    @property
    def until(self) -> int:
        """The instant from which on an event belongs to the session no more."""
        if self._ended is not None:
            return self._ended + self._rules.session_horizon_ms
        return self._newest + self._rules.session_age_by_channel.get(self._channel or "", self._rules.session_age_ms)


def lives(session: Session, rules: Rules) -> list[Session]:
    """Return a session's lives in order; mostly the session itself is the only one."""
    session.sort()
    if session.newest - session.oldest < rules.shortest_session_ms:
        return [session]
    events: list[tuple[int, Milestone | int]] = [(milestone[0], milestone) for milestone in session.milestones]
    events += [(at_and_sender(message)[0], message) for message in session.messages]
    events.sort(key=lambda event: event[0])
    found: list[Session] = []
    cutter = _Cutter(rules)
    for at, event in events:
        if not found or at >= cutter.until:
            found.append(Session())
            cutter = _Cutter(rules)
        if isinstance(event, int):
            found[-1].messages.append(event)
            cutter.follow(at, None)
        else:
            found[-1].milestones.append(event)
            cutter.follow(at, event)
        found[-1].heard(at)
    return found


def over_after(session: Session, rules: Rules) -> int:
    """Return the instant from which on an event would belong to the last life of a session no more."""
    last = lives(session, rules)[-1]
    cutter = _Cutter(rules)
    for milestone in last.milestones:
        cutter.follow(milestone[0], milestone)
    cutter.follow(last.newest, None)
    return cutter.until


__all__ = ["lives", "over_after"]
