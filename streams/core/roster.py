"""What follows from an agent's status changes alone: headcount, and on which local days he was online.

Headcount (rules 38). An agent's stints on the roster are cut by `agent.left`. A stint starts at its first `agent.joined`; the first
one, if nobody announced him, at his first status. After he left only a joined brings him back.

Days. Someone who is online over midnight costs nothing: the level of those online just before midnight counts him. Only who
comes online on a day without having been online before on that day is booked (`agent_days` + 1), and who goes offline exactly
at midnight is taken off (- 1). Level and sum together are the agents with any online time that day, by group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.parts import AGENT_DAYS, ROSTER_LEVEL
from schemas.rules import FLOOR, UNASSIGNED, Rules
from schemas.zones import date_number, date_start
from streams.core.cells import Fact

JOINED = 0
STATUS = 1
LEFT = 2
LEFT_STATUS = ""
"""Status of an agent who has left for good: as if offline, but no longer counted."""

Change = tuple[int, int, str, str | None, tuple[str, ...] | None, tuple[str, ...] | None, int | None]
"""(at, rank, id, status, groups, queues, capacity), None = stays as it was; sorted, they are the order in which they hold."""


Online = tuple[int, frozenset[str]]
"""A local day of an agent, and the groups in which he was online on it so far."""


class State(NamedTuple):
    """An agent at one instant; status None = not known yet.

    `hired`: since when he is on the roster, None: he is not; `first`: when he first was; `has_left`: he has left at least once.
    """

    status: str | None = None
    groups: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    capacity: int | None = None
    hired: int | None = None
    has_left: bool = False
    first: int | None = None

    def after(self, change: Change) -> State:
        """Return the state after a change; what it does not name stays."""
        at, rank, _, status, groups, queues, capacity = change
        hired = self.hired
        if rank == LEFT:
            hired = None
        elif hired is None and (rank == JOINED or not self.has_left):
            hired = at
        return State(
            self.status if status is None else status,
            self.groups if groups is None else groups,
            self.queues if queues is None else queues,
            self.capacity if capacity is None else capacity,
            hired,
            self.has_left or rank == LEFT,
            hired if self.first is None else self.first,
        )

    def announced(self, at: int, announced: int | None) -> State:
        """Return the state at an instant of somebody whose first stint starts when he was announced, not with his first status."""
        if announced is None or self.hired is None or self.hired >= announced:
            return self
        start = None if at < announced else announced
        return self._replace(hired=start, first=start)

    @property
    def counted_in(self) -> tuple[str, ...]:
        """The groups in which he counts, the floor among them."""
        return (*(self.groups or (UNASSIGNED,)), FLOOR)

    @property
    def online_in(self) -> frozenset[str]:
        """The groups in which he is online."""
        return frozenset(self.counted_in) if self.status not in (None, LEFT_STATUS, "offline") else frozenset()


def hired_later(base: State, changes: list[Change]) -> int | None:
    """Return the instant at which an agent of whom a status came first was announced before he left; None if he never was."""
    if base.hired is not None or base.has_left:
        return None
    for at, rank, *_ in changes:
        if rank == LEFT:
            return None
        if rank == JOINED:
            return at
    return None


def states(base: State, changes: list[Change]) -> Iterator[tuple[int, State, State, int]]:
    """Yield (instant, state before, state after, stints that ended) per instant, with the first stint starting where it must."""
    announced = hired_later(base, changes)
    state, position = base, 0
    while position < len(changes):
        at, before, ended = changes[position][0], state, 0
        while position < len(changes) and changes[position][0] == at:
            ended += changes[position][1] == LEFT and state.hired is not None
            state = state.after(changes[position])
            position += 1
        state = state.announced(at, announced)
        yield at, before, state, ended


def roster_facts(base: State, changes: list[Change]) -> list[Fact]:
    """Return the steps of headcount, and the leavings."""
    facts: list[Fact] = []
    for at, before, state, ended in states(base, changes):
        was = before.counted_in if before.hired is not None else ()
        is_now = state.counted_in if state.hired is not None else ()
        if was != is_now:
            facts += _steps(at, ROSTER_LEVEL, is_now, was)
        if ended:
            facts += [(("group", group, ""), at, "agents_left", ended) for group in state.counted_in]
    return facts


def hired_first(base: State, changes: list[Change]) -> int | None:
    """Return when an agent first came onto the roster, as far as is known."""
    if base.first is not None:
        return base.first
    return next((state.first for _, _, state, _ in states(base, changes) if state.first is not None), None)


def day_facts(base: State, changes: list[Change], rules: Rules, online: Online | None = None) -> list[Fact]:
    """Return what must be booked of an agent's online days; `online`: that of the newest change before `changes`."""
    facts: list[Fact] = []
    for at, came, gone, _, _ in _online_days(base, changes, rules, online):
        facts += _steps(at, AGENT_DAYS, came, gone)
    return facts


def folded(base: State, changes: list[Change], rules: Rules, online: Online | None) -> tuple[State, Online | None]:
    """Return how an agent stands after some changes, and where he was online on the day of the last of them."""
    state, day = base, online
    for *_, state, day in _online_days(base, changes, rules, online):  # noqa: B007  the last
        pass
    return state, day


def _online_days(
    base: State, changes: list[Change], rules: Rules, online: Online | None
) -> Iterator[tuple[int, frozenset[str], frozenset[str], State, Online]]:
    """Yield (instant, groups to be added to its day, groups to be taken off it, state, the day so far) per instant."""
    day, seen = online if online is not None else (None, frozenset())
    for at, before, state, _ in states(base, changes):
        was, is_now = before.online_in, state.online_in
        zone = rules.at(at).zone
        today = date_number(zone, at)
        at_midnight = at == date_start(zone, today)
        if today != day:
            day, seen = today, frozenset() if at_midnight else was
        came = is_now - seen - (was if at_midnight else frozenset())
        gone = (was - is_now) - seen
        seen |= is_now
        yield at, came, gone, state, (today, seen)


def _steps(at: int, part: str, more: Iterable[str], less: Iterable[str]) -> list[Fact]:
    facts: list[Fact] = [(("group", group, ""), at, part, 1) for group in sorted(set(more) - set(less))]
    return facts + [(("group", group, ""), at, part, -1) for group in sorted(set(less) - set(more))]


__all__ = [
    "JOINED", "LEFT", "LEFT_STATUS", "STATUS", "Change", "Online", "State", "day_facts", "folded", "hired_first",
    "roster_facts", "states",
]  # fmt: skip
