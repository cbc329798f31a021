"""Booking of agents: once a flush, what each touched agent's levels are now, less what they were before.

Theory of operation. An agent's levels are a step function of time, so what comes later than everything that is booked of him only
adds steps at the end: his `End` says how he stood there, and the booking goes on from it. In all other cases (something came
out of order or was taken back, the first look after a restart) the steps from the earliest instant concerned are derived twice, as
booked and as they are now, and the difference is booked. Both come to the same; an `End` is a short cut, not state.
"""

from __future__ import annotations

from typing import Any

from schemas.history import kept
from schemas.rules import Rules
from streams.core.agents import Agent, Hold, Turns, earliest_difference, hold_of, turns_between
from streams.core.booking import Books
from streams.core.cells import Address
from streams.core.relay import RelayFact
from streams.core.roster import Change


class Touch:
    """What has come of one agent since the last flush.

    `since`: the earliest instant concerned; `turns`: what was added, None if something else was changed too; `undo`: the holds as
    they were; `changes`: how many status changes there were.
    """

    __slots__ = ("changes", "since", "turns", "undo")

    def __init__(self, agent: Agent, since: int) -> None:
        """Start with nothing, from an instant on."""
        self.since = since
        self.turns: Turns | None = []
        self.undo: list[tuple[str, Hold | None]] = []
        self.changes = len(agent.changes)


class AgentBook:
    """Books the agents of one partition."""

    def __init__(self, rules: Rules, books: Books) -> None:
        """Start without any; book into `books`."""
        self.agents: dict[str, Agent] = {}
        self._rules = rules
        self._books = books
        self._touched: dict[str, Touch] = {}
        self._alone: dict[str, Address] = {}
        """Agents with readings of their own."""
        self._hired: dict[str, int] = {}
        """When each agent came onto the roster first."""

    def hear(self, agent_id: str, change: Change) -> None:
        """Take in a status change."""
        agent = self.agents.get(agent_id)
        if agent is None:
            agent = self.agents[agent_id] = Agent()
        self._touch(agent_id, agent, change[0])
        agent.add(change)

    def has(self, agent_id: str, event_id: str, at: int, horizon_ms: int) -> bool:
        """Tell whether a change of this id is known, at most the horizon away."""
        agent = self.agents.get(agent_id)
        return agent is not None and any(known[2] == event_id and abs(known[0] - at) <= horizon_ms for known in agent.changes)

    def held(self, fact: RelayFact, before: int) -> bool:
        """Take in what a relay record says of a session in hand; return whether that is new; before `before` all is closed."""
        agent = self.agents.get(fact.target)
        known = None if agent is None else agent.hold(fact.session)
        if known is not None and known.version >= fact.version:
            return False
        hold = hold_of(fact, known, before)
        turns = turns_between(known, hold)
        since = earliest_difference(known, hold) if turns is None else min((at for at, _ in turns), default=None)
        if since is None:
            return False
        if agent is None:
            agent = self.agents[fact.target] = Agent()
        touch = self._touch(fact.target, agent, since)
        if turns is None:
            touch.turns = None
        elif touch.turns is not None:
            touch.turns += turns
        touch.undo.append((fact.session, known))
        agent.put_hold(fact.session, hold)
        return True

    def _touch(self, agent_id: str, agent: Agent, since: int) -> Touch:
        touch = self._touched.get(agent_id)
        if touch is None:
            touch = self._touched[agent_id] = Touch(agent, since)
        elif since < touch.since:
            touch.since = since
        return touch

    def book(self) -> list[str]:
        """Book what changed; return the agents' ids."""
        touched, self._touched = self._touched, {}
        rules, books = self._rules, self._books
        for agent_id, touch in touched.items():
            agent = self.agents[agent_id]
            alone = self._alone.get(agent_id)
            if touch.turns is not None and agent.goes_on(touch.since, rules) and (alone is not None or not rules.agent_series):
                steps = agent.go_on(touch.turns, touch.changes, rules, alone)
                books.book(steps)
                before = agent.as_it_was([], touch.changes) if len(agent.changes) > touch.changes else None
            else:
                before = agent.as_it_was(touch.undo, touch.changes)
                alone = self._address_of(agent_id, before, touch.since) if rules.agent_series else None
                books.replace(before.steps(touch.since, rules, alone), agent.steps(touch.since, rules, alone))
            if before is not None and len(agent.changes) > touch.changes:
                books.replace(before.history(rules), agent.history(rules))
                self._note_hired(agent_id, agent)
            agent.settle()
        return list(touched)

    def roster_since(self) -> int | None:
        """Return the first instant of which the roster knows."""
        return min(self._hired.values(), default=None)

    def _address_of(self, agent_id: str, agent: Agent, since: int) -> Address | None:
        """Return the address of an agent's own readings, None where there are too many; new ones begin with what he is by then."""
        address = self._alone.get(agent_id)
        if address is None and len(self._alone) < self._rules.max_agents:
            address = self._alone[agent_id] = ("agent", agent_id, "")
            self._books.book(agent.standing(since, self._rules, address))
        return address

    def _note_hired(self, agent_id: str, agent: Agent) -> None:
        hired = agent.hired_first
        if hired is not None:
            self._hired[agent_id] = hired
        else:
            self._hired.pop(agent_id, None)

    def restored(self, history: Any | None, agents_before: int) -> None:
        """Bring in line what was restored with the settings of now; `history`: the settings by which it had been booked."""
        rules, books = self._rules, self._books
        alone = [address for address in books.cells.levels if address[0] == "agent"]
        if rules.agent_series:
            self._alone = {address[1]: address for address in alone}
        else:
            for address in (*alone, *(known for known in books.addresses if known[0] == "agent" and known not in alone)):
                books.drop(address)
        before = None if history is None else kept(rules, history)
        for agent_id, agent in self.agents.items():
            self._note_hired(agent_id, agent)
            if before is not None and before.earlier != rules.earlier:
                own = self._alone.get(agent_id)
                since = min((until for until, _ in (*before.earlier, *rules.earlier)), default=0)
                since = max(since, agents_before)
                books.replace(agent.steps(since, before, own), agent.steps(since, rules, own))

    def forget(self, before: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Fold agents' history that is closed, and forget those of whom nothing was heard for very long.

        Return the agents that changed, and (agent, session) of holds that are gone.
        """
        changed: list[str] = []
        holds: list[tuple[str, str]] = []
        silent_since = before - self._rules.silence_ms
        for agent_id, agent in list(self.agents.items()):
            folded, gone = agent.forget(before, self._rules)
            over = agent.is_nothing or agent.silent_since(silent_since)
            if over:
                if not agent.is_nothing:
                    self._books.count("agents_expired")
                    self._books.book(agent.goodbye(before, self._rules))
                if agent_id in self._alone:
                    self._books.drop(self._alone.pop(agent_id))
                del self.agents[agent_id]
                self._hired.pop(agent_id, None)
            if folded or gone or over:
                changed.append(agent_id)
            holds += [(agent_id, session_id) for session_id in gone]
        return changed, holds


__all__ = ["AgentBook"]
