"""Who holds a session, and for how long: time in hand, hold time, wrap-up.

An agent holds from his connected to the first of: the session's end, his own transfer of it, another agent's connected (31). Two
agents never hold one session at once; a connected of the holder changes nothing; one after the session's end is taken, but
holds nothing. Everything here is told in order of time. Numbers in comments are the rules of the specification.
"""

from __future__ import annotations

from streams.core.relay import NOTHING_TOLD, Told


class Hands:
    """The holder of a session and the earlier ones, and what their partitions must know.

    `of`: per agent, his intervals in hand (end None: still) and the instants at which he took it. `changed`: the agents of whom
    something new is to be told.
    """

    __slots__ = ("_last", "_leaving", "_on_hold", "changed", "hold_ms", "holder", "of", "since", "wrap_up_ms")

    def __init__(self) -> None:
        """Start with nobody."""
        self.holder: str | None = None
        self.since = 0
        self.of: dict[str, Told] = {}
        self.changed: tuple[str, ...] = ()
        self.hold_ms = 0
        """Time on hold up to now, as far as it is over."""
        self.wrap_up_ms = 0
        """Wrap-up of all agents up to now (24)."""
        self._on_hold: int | None = None
        self._leaving: tuple[tuple[str, int], ...] = ()
        """Until when agents held it whose wrap-up may still come."""
        self._last: tuple[str, int, int | None] | None = None
        """Who held to the end, since when, and how long he is given to wrap up (None: for ever)."""

    def take(self, agent: str, at: int, connected: int) -> None:
        """Let an agent who does not hold the session take it."""
        if self.holder is not None:
            self._release(at)
        self.hold_over(at, connected)
        self._wrap_up_of(agent)
        self.holder, self.since = agent, at
        told = self.of.get(agent, NOTHING_TOLD)
        self.of[agent] = Told((*told.intervals, (at, None)), (*told.taken, at))
        self.changed += (agent,)

    def take_nothing(self, agent: str, at: int) -> None:
        """Note a connected after the end."""
        told = self.of.get(agent, NOTHING_TOLD)
        self.of[agent] = Told(told.intervals, (*told.taken, at))
        self.changed += (agent,)

    def transferred(self, agent: str, at: int, connected: int | None) -> None:
        """Let an agent hand the session on, if he holds it; whoever does, hold is over (23)."""
        if agent == self.holder:
            self._release(at)
        self.hold_over(at, connected)

    def _release(self, at: int) -> None:
        agent = self.holder
        assert agent is not None
        self._ends(agent, self.since, at)
        self._leaving += ((agent, at),)
        self.holder = None

    def _ends(self, agent: str, since: int, at: int) -> None:
        """Let the newest interval of an agent end; nothing is kept of one without length."""
        told = self.of[agent]
        before = told.intervals[:-1] if told.intervals and told.intervals[-1][0] == since else told.intervals
        self.of[agent] = Told((*before, (since, at)) if at > since else before, told.taken)
        self.changed += (agent,)

    def hold(self, at: int) -> None:
        """Put the session on hold, if it is not."""
        if self._on_hold is None:
            self._on_hold = at

    def hold_over(self, at: int, connected: int | None) -> None:
        """End a hold: from the first held, within connected..ended (23)."""
        if self._on_hold is not None:
            if connected is not None:
                self.hold_ms += max(0, at - max(self._on_hold, connected))
            self._on_hold = None

    def ended(self, at: int, connected: int | None, limit_ms: int | None) -> None:
        """End the session; `limit_ms`: how long the holder is given to wrap up, where the channel expects that (32)."""
        self.hold_over(at, connected)
        agent = self.holder
        if agent is not None:
            self._last = agent, self.since, limit_ms
            self._release(at)
            if limit_ms is not None:
                self._ends(agent, self.since, at + limit_ms)

    def wrapped_up(self, agent: str, at: int) -> int:
        """Note a wrap-up: it belongs to the end of the agent's newest holding (24); return its time in ms."""
        end = self._wrap_up_of(agent)
        if end is None:
            return 0
        self.wrap_up_ms += at - end
        if self._last is not None and self._last[0] == agent:
            _, since, limit_ms = self._last
            self._last = None
            self._ends(agent, since, at if limit_ms is None else min(at, end + limit_ms))
        return at - end

    def _wrap_up_of(self, agent: str) -> int | None:
        """Return when an agent's newest holding ended, if his wrap-up may still come; it is over with this."""
        for n, leaving in enumerate(self._leaving):
            if leaving[0] == agent:
                self._leaving = self._leaving[:n] + self._leaving[n + 1 :]
                return leaving[1]
        return None

    def told(self, agent: str, give_up_at: int | None = None) -> Told:
        """Return what an agent's partition must know; `give_up_at`: a forgotten session's time in hand ends there."""
        told = self.of[agent]
        if give_up_at is None or agent != self.holder:
            return told
        last = ((self.since, give_up_at),) if give_up_at > self.since else ()
        return Told(told.intervals[:-1] + last, told.taken)


__all__ = ["Hands"]
