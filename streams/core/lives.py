"""When a session is forgotten, when it is over, and where one ends and the next of the same id begins.

Theory. A session without an event for its channel's age is forgotten as it stands (rules 5): it leaves the gauges, and the time
in hand ends at its newest event. It is not gone: until its horizon has passed, an event brings it back, and everything is
booked as if nothing had been. The horizon runs from its end or, while it is open, from its newest event (or as long as the
age, if that is longer); whatever comes later under the same id is a new session. Whether that happens must not
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
    def silent_after(self) -> int:
        """The instant from which on the session counts as forgotten, if nothing more is heard of it."""
        if self._ended is not None:
            return self._ended + self._rules.session_horizon_ms
        return self._newest + self._rules.session_age_by_channel.get(self._channel or "", self._rules.session_age_ms)

    @property
    def until(self) -> int:
        """The instant from which on an event belongs to the session no more."""
        if self._ended is not None:
            return self._ended + self._rules.session_horizon_ms
        return max(self.silent_after, self._newest + self._rules.session_horizon_ms)


def lives(session: Session, rules: Rules) -> list[Session]:
    """Return a session's lives in order; mostly the session itself is the only one."""
    if session.newest - session.oldest < rules.session_horizon_ms:
        return [session]
    events: list[tuple[int, Milestone | int]] = [(milestone[0], milestone) for milestone in session.in_order()]
    events += [(at_and_sender(message)[0], message) for message in session.messages]
    events.sort(key=lambda event: event[0])
    found: list[Session] = []
    cutter = _Cutter(rules)
    for at, event in events:
        if not found or at >= cutter.until:
            found.append(Session())
            cutter = _Cutter(rules)
        if isinstance(event, int):
            found[-1].say(event)
            cutter.follow(at, None)
        else:
            found[-1].milestones.append(event)
            cutter.follow(at, event)
        found[-1].heard(at)
    return found


def bounds_of(session: Session, rules: Rules) -> tuple[int, int]:
    """Return the instants from which on a session is forgotten, and from which on an event belongs to it no more."""
    last = lives(session, rules)[-1]
    cutter = _Cutter(rules)
    for milestone in last.in_order():
        cutter.follow(milestone[0], milestone)
    cutter.follow(last.newest, None)
    return cutter.silent_after, cutter.until


__all__ = ["bounds_of", "lives"]
