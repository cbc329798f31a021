"""Agents: status, groups, capacity and sessions in hand over time, as steps of levels.

Theory of operation. What an agent contributes is a step function of time: at each instant his status, groups, capacity and
the number of sessions in hand give a vector of levels (online, in hand, idle …). `steps(since)` returns its changes from an
instant on as facts. A correction changes nothing before the earliest instant that it touches, so booking compares the steps
from there on before and after it, new minus old, as for sessions. History older than the horizon is folded into `base`,
the state at its end; nothing before that can be corrected any more. Numbers in comments are the rules of the specification.

Status changes are tuples `(at, rank, id, status, groups, queues, capacity)`, None = stays as it was; sorted, they are the
order in which they hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from schemas.parts import SLOT_LEVELS
from schemas.rules import FLOOR, UNASSIGNED
from streams.core.sessions import Address, Fact

JOINED: Final = 0
STATUS: Final = 1
LEFT: Final = 2
LEFT_STATUS: Final = ""
"""Status of an agent who has left for good: as if offline, but no longer counted."""

Change = tuple[int, int, str, str | None, tuple[str, ...] | None, tuple[str, ...] | None, int | None]


FLOOR_ADDRESS: Final[Address] = ("group", FLOOR, "")
_MANY_HOLDS: Final = 16
_SETTLED_AFTER_MS: Final = 600_000


class State(NamedTuple):
    """An agent at one instant; status None = not known yet."""

    status: str | None = None
    groups: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    capacity: int | None = None

    def after(self, change: Change) -> State:
        """Return the state after a change; what it does not name stays."""
        _, _, _, status, groups, queues, capacity = change
        return State(
            self.status if status is None else status,
            self.groups if groups is None else groups,
            self.queues if queues is None else queues,
            self.capacity if capacity is None else capacity,
        )


class Hold(NamedTuple):
    """What is known of one session: version of the relay record, intervals in hand (end None: still), instants taken."""

    version: int
    intervals: tuple[tuple[int, int | None], ...]
    taken: tuple[int, ...]


@lru_cache(maxsize=4096)
def levels_of(status: str | None, capacity: int, in_hand: int) -> tuple[tuple[str, int], ...]:
    """Return the levels that are not 0 for an agent in this state (31, 33, 35)."""
    available = status == "available"
    levels = {
        "in_hand": int(in_hand > 0),
        "available_idle": int(available and in_hand == 0),
        "sessions_in_hand": in_hand,
        "slots": capacity if in_hand or available else 0,
        "capacity": capacity if available else 0,
        "slots_used": in_hand if available else 0,
        "slots_free": max(0, capacity - in_hand) if available else 0,
    }
    if status:
        levels[f"status_{status}"] = 1
        levels["online"] = int(status != "offline")
    return tuple((level, value) for level, value in levels.items() if value)


class Agent:
    """One agent: base state, status changes, sessions held.

    Sessions whose hold ended long before the newest one lie in `_settled` and are only looked at for changes as old as that: an
    agent's day has hundreds of them. `_settled` is never changed while a copy is in use.
    """

    __slots__ = ("_recent", "_settled", "_settled_until", "base", "changes", "unsorted")

    def __init__(self) -> None:
        """Start with nothing known."""
        self.base = State()
        self.changes: list[Change] = []
        self.unsorted = False
        self._recent: dict[str, Hold] = {}
        self._settled: dict[str, Hold] = {}
        self._settled_until = 0

    def copy(self) -> Agent:
        """Return a copy that later changes leave alone."""
        other = Agent()
        other.base, other.changes, other.unsorted = self.base, list(self.changes), self.unsorted
        other._recent, other._settled, other._settled_until = dict(self._recent), self._settled, self._settled_until
        return other

    def hold(self, session: str) -> Hold | None:
        """Return what is known of a session, None if nothing."""
        return self._recent.get(session) or self._settled.get(session)

    def put_hold(self, session: str, hold: Hold) -> None:
        """Replace what is known of a session."""
        if session in self._settled:
            self._recent = {**self._settled, **self._recent}
            self._settled, self._settled_until = {}, 0
        self._recent[session] = hold

    def sessions(self) -> list[str]:
        """Return the sessions of which anything is known."""
        return [*self._settled, *self._recent]

    def settle(self) -> None:
        """Lay holds aside that ended long before the newest one."""
        if len(self._recent) <= _MANY_HOLDS:
            return
        newest = {session: _newest(hold) for session, hold in self._recent.items()}
        until = max((at for at in newest.values() if at != float("inf")), default=0) - _SETTLED_AFTER_MS
        over = {session: hold for session, hold in self._recent.items() if newest[session] < until}
        if over:
            self._settled = {**self._settled, **over}
            self._recent = {session: hold for session, hold in self._recent.items() if session not in over}
            self._settled_until = max(self._settled_until, int(until))

    def add(self, change: Change) -> None:
        """Take in a status change."""
        self.changes.append(change)
        self.unsorted = True

    def sort(self) -> None:
        """Put the changes into the order in which they hold."""
        if self.unsorted:
            self.changes.sort(key=lambda change: change[:3])
            self.unsorted = False

    def steps(self, since: int, default_capacity: int) -> list[Fact]:
        """Return the facts of all instants from `since` on: steps of levels, and sessions taken."""
        self.sort()
        state = self.base
        position = 0
        changes = self.changes
        while position < len(changes) and changes[position][0] < since:
            state = state.after(changes[position])
            position += 1
        in_hand, turns, taken = self._turns(since)
        instants = sorted({change[0] for change in changes[position:]} | turns.keys() | taken.keys())
        facts: list[Fact] = []
        before = _placed(state, in_hand, default_capacity)
        for at in instants:
            while position < len(changes) and changes[position][0] == at:
                state = state.after(changes[position])
                position += 1
            in_hand += turns.get(at, 0)
            now = _placed(state, in_hand, default_capacity)
            if now != before:
                facts += _difference(before, now, at)
                before = now
            if at in taken:
                facts += [(("group", group, ""), at, "taken", taken[at]) for group in (*(state.groups or (UNASSIGNED,)), FLOOR)]
        return facts

    def _turns(self, since: int) -> tuple[int, dict[int, int], dict[int, int]]:
        """Return sessions in hand just before `since`, and per instant from there on their changes and the sessions taken."""
        in_hand = 0
        turns: dict[int, int] = {}
        taken: dict[int, int] = {}
        holds = self._recent.values() if since >= self._settled_until else (*self._recent.values(), *self._settled.values())
        for hold in holds:
            for start, end in hold.intervals:
                if start >= since:
                    turns[start] = turns.get(start, 0) + 1
                elif end is None or end >= since:
                    in_hand += 1
                if end is not None and end >= since:
                    turns[end] = turns.get(end, 0) - 1
            for at in hold.taken:
                if at >= since:
                    taken[at] = taken.get(at, 0) + 1
        return in_hand, turns, taken

    def forget(self, before: int) -> tuple[bool, list[str]]:
        """Fold what ended before an instant into the base state; return whether the agent changed, and the holds gone."""
        self.sort()
        keep = 0
        while keep < len(self.changes) and self.changes[keep][0] < before:
            self.base = self.base.after(self.changes[keep])
            keep += 1
        del self.changes[:keep]
        holds = {**self._settled, **self._recent}
        over = {session for session, hold in holds.items() if _newest(hold) < before}
        self._settled = {session: hold for session, hold in self._settled.items() if session not in over}
        self._recent = {session: hold for session, hold in self._recent.items() if session not in over}
        return keep > 0, sorted(over)

    @property
    def is_nothing(self) -> bool:
        """Tell whether nothing of the agent is left that counts."""
        return not self.changes and not self._recent and not self._settled and self.base.status in (None, LEFT_STATUS)

    def freeze(self) -> list[Any]:
        """Return a msgpack-able form without the holds, which are entries of their own."""
        self.sort()
        return [list(self.base), list(self.changes)]

    @classmethod
    def thaw(cls, frozen: list[Any]) -> Agent:
        """Restore what `freeze` returned, also after msgpack has turned tuples into lists."""
        agent = cls()
        status, groups, queues, capacity = frozen[0]
        agent.base = State(status, tuple(groups), tuple(queues), capacity)
        agent.changes = [
            (at, rank, id_, status, _tuple(groups), _tuple(queues), capacity)
            for at, rank, id_, status, groups, queues, capacity in frozen[1]
        ]
        return agent


def thaw_hold(frozen: list[Any]) -> Hold:
    """Restore a hold after msgpack has turned tuples into lists."""
    version, intervals, taken = frozen
    return Hold(version, tuple((start, end) for start, end in intervals), tuple(taken))


def _tuple(names: Any) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _newest(hold: Hold) -> float:
    """Return the newest instant of a hold; endless while it lasts."""
    ends = [float("inf") if end is None else end for _, end in hold.intervals]
    return max((*ends, *hold.taken), default=-1)


class Placed(NamedTuple):
    """Where an agent counts, and as what: everything on which his levels depend."""

    groups: tuple[str, ...]
    queues: tuple[str, ...]
    status: str | None
    capacity: int
    in_hand: int


def _placed(state: State, in_hand: int, default_capacity: int) -> Placed:
    return Placed(state.groups or (UNASSIGNED,), state.queues, state.status, state.capacity or default_capacity, in_hand)


Steps = tuple[tuple[str, int], ...]


@lru_cache(maxsize=16_384)
def _level_steps(before: tuple[str | None, int, int] | None, now: tuple[str | None, int, int] | None) -> tuple[Steps, Steps]:
    """Return the steps of levels between two states (None: nobody): of all levels, and of those by queue."""
    steps = dict(levels_of(*now)) if now is not None else {}
    for level, value in levels_of(*before) if before is not None else ():
        steps[level] = steps.get(level, 0) - value
    changed = tuple((level, step) for level, step in steps.items() if step)
    return changed, tuple((level, step) for level, step in changed if level in SLOT_LEVELS)


def _difference(before: Placed, now: Placed, at: int) -> list[Fact]:
    """Return the steps between two placements: per group, on the floor, per queue served."""
    was, is_now = before[2:], now[2:]
    stays, slots = _level_steps(was, is_now)
    facts: list[Fact] = [(FLOOR_ADDRESS, at, level, step) for level, step in stays]
    for dimension, index, olds, news in (("group", 0, before.groups, now.groups), ("slots", 1, before.queues, now.queues)):
        if olds == news:
            names: Iterable[str] = olds
            steps = slots if index else stays
        else:
            names = sorted({*olds, *news})
        for name in names:
            address: Address = (dimension, name, "")
            if olds != news:
                steps = _level_steps(was if name in olds else None, is_now if name in news else None)[index]
            facts += [(address, at, level, step) for level, step in steps]
    return facts


def within(hold: Hold, known: Hold | None, before: int) -> Hold:
    """Return a hold as far as it may still change: of what lies before an instant, what was known of it stands."""
    old = known.intervals if known is not None else ()
    intervals = []
    for position, (start, end) in enumerate(hold.intervals):
        old_start, old_end = old[position] if position < len(old) else (before, None)
        if start < before:
            start = min(old_start, before)
        if end is not None and end < before:
            end = old_end if old_end is not None and old_end < before else before
        intervals.append((start, end if end is None else max(start, end)))
    taken_before = [at for at in (known.taken if known is not None else ()) if at < before]
    return Hold(hold.version, tuple(intervals), (*taken_before, *(at for at in hold.taken if at >= before)))


def earliest_difference(before: Hold | None, after: Hold | None) -> int | None:
    """Return the earliest instant at which two versions of a hold differ, None if they do not."""
    old = set(_instants(before))
    new = set(_instants(after))
    return min((at for _, at, _ in old ^ new), default=None)


def _instants(hold: Hold | None) -> list[tuple[str, int, int]]:
    if hold is None:
        return []
    found = []
    for position, (start, end) in enumerate(hold.intervals):
        found.append(("start", start, position))
        if end is not None:
            found.append(("end", end, position))
    found += [("taken", at, position) for position, at in enumerate(hold.taken)]
    return found


__all__ = [
    "JOINED", "LEFT", "LEFT_STATUS", "STATUS", "Agent", "Change", "Hold", "State", "earliest_difference", "levels_of",
    "thaw_hold", "within",
]  # fmt: skip
