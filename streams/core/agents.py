"""Agents: status, groups, capacity and sessions in hand over time, as steps of levels.

Theory of operation. What an agent contributes is a step function of time: at each instant his status, groups, capacity and
the number of sessions in hand give a vector of levels (online, in hand, idle …). `steps(since)` returns its changes from an
instant on as facts. A correction changes nothing before the earliest instant that it touches, so booking compares the steps
from there on before and after it, new minus old, as for sessions. History older than the horizon is folded into `base`,
the state at its end; nothing before that can be corrected any more. Numbers in comments are the rules of the specification.

Headcount and online days follow from the status changes alone (`streams/core/roster.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from schemas.parts import MAX_PEAK, ROSTER_LEVEL, SLOT_LEVELS
from schemas.rules import FLOOR, UNASSIGNED, Rules
from streams.core.cells import Address, Fact, Steps
from streams.core.relay import RelayFact
from streams.core.roster import Change, Online, State, day_facts, folded, hired_first, hired_later, roster_facts

FLOOR_ADDRESS: Final[Address] = ("group", FLOOR, "")
_MANY_HOLDS: Final = 16
_FOLDED_OF: Final = 4
"""Changes are folded when they are one in so many of all."""
_SETTLED_AFTER_MS: Final = 600_000


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


Turns = list[tuple[int, int]]
"""(at, 1: takes one in hand, -1: gives one back, 0: it counts as taken)."""


class End(NamedTuple):
    """How an agent stands at the end of all that is booked of him; nothing of him is booked after `at`."""

    at: int
    state: State
    in_hand: int


class Agent:
    """One agent: base state, status changes, sessions held.

    Sessions whose hold ended long before the newest one lie in `_settled` and are only looked at for changes as old as that: an
    agent's day has hundreds of them. `_settled` is never changed while a copy is in use.
    """

    __slots__ = ("_recent", "_settled", "_settled_until", "base", "changes", "end", "heard", "online", "unsorted")

    def __init__(self) -> None:
        """Start with nothing known."""
        self.base = State()
        self.changes: list[Change] = []
        self.heard = 0
        """Newest change that was folded into the base."""
        self.online: Online | None = None
        """Where he was online on its day; None: nothing was folded, or whole days by an earlier program."""
        self.unsorted = False
        self.end: End | None = None
        """Where steps may go on; None: not known."""
        self._recent: dict[str, Hold] = {}
        self._settled: dict[str, Hold] = {}
        self._settled_until = 0

    def as_it_was(self, undo: Sequence[tuple[str, Hold | None]], changes: int) -> Agent:
        """Return the agent without what was added to the first so many changes, and with holds put back as they were."""
        other = Agent()
        other.base, other.changes, other.unsorted = self.base, self.changes[:changes], True
        other.heard, other.online = self.heard, self.online
        other._recent, other._settled, other._settled_until = dict(self._recent), self._settled, self._settled_until
        for session, hold in reversed(undo):
            if hold is not None:
                other._recent[session] = hold
            else:
                other._recent.pop(session, None)
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

    def steps(self, since: int, rules: Rules, alone: Address | None = None) -> list[Fact]:
        """Return the facts of all instants from `since` on: steps of levels, sessions taken.

        `alone`: address of the agent's own readings, where that is switched on.
        """
        self.sort()
        state = self.base
        position = 0
        changes = self.changes
        while position < len(changes) and changes[position][0] < since:
            state = state.after(changes[position])
            position += 1
        in_hand, turns, taken = self._turns(since)
        instants = turns.keys() | taken.keys()
        if position < len(changes):
            instants |= {change[0] for change in changes[position:]}
        if rules.earlier:
            instants |= {until for until, _ in rules.earlier if until >= since}
        before = _placed(state, in_hand, rules.at(since - 1))
        return self._walk(sorted(instants) or [since], before, state, position, turns, taken, rules, alone)

    def goes_on(self, since: int, rules: Rules) -> bool:
        """Tell whether what concerns nothing before `since` only adds to what is booked."""
        if self.end is None or since <= self.end.at:
            return False
        return not rules.earlier or rules.earlier[-1][0] <= self.end.at

    def go_on(self, further: Turns, position: int, rules: Rules, alone: Address | None) -> list[Fact]:
        """Return the facts of what was added: turns, and the changes from a position on; all of it after the end."""
        assert self.end is not None
        _, state, in_hand = self.end
        turns: dict[int, int] = {}
        taken: dict[int, int] = {}
        for at, turn in further:
            if turn:
                turns[at] = turns.get(at, 0) + turn
            else:
                taken[at] = taken.get(at, 0) + 1
        self.sort()
        instants = turns.keys() | taken.keys() if position == len(self.changes) else {
            *turns, *taken, *(change[0] for change in self.changes[position:])
        }  # fmt: skip
        return self._walk(sorted(instants), _placed(state, in_hand, rules), state, position, turns, taken, rules, alone)

    def _walk(self, instants: list[int], before: Placed, state: State, position: int, turns: Mapping[int, int],
              taken: Mapping[int, int], rules: Rules, alone: Address | None) -> list[Fact]:  # fmt: skip
        """Return the facts of some instants, and keep how he stands at the last of them."""
        facts: list[Fact] = []
        changes = self.changes
        in_hand = before.in_hand
        for at in instants:
            while position < len(changes) and changes[position][0] == at:
                state = state.after(changes[position])
                position += 1
            in_hand += turns.get(at, 0)
            now = _placed(state, in_hand, rules.at(at))
            if now != before:
                facts += _difference(before, now, at, alone)
                before = now
            if at in taken:
                facts += [(("group", group, ""), at, "taken", taken[at]) for group in state.counted_in]
                if alone is not None:
                    facts.append((alone, at, "taken", taken[at]))
        self.end = End(instants[-1], state, in_hand)
        return facts

    def history(self, rules: Rules) -> list[Fact]:
        """Return the facts that follow from the status changes alone: headcount, online days.

        All of them: one change may concern what came before it, as a joined that is heard of after the first status.
        """
        self.sort()
        return roster_facts(self.base, self.changes) + day_facts(self.base, self.changes, rules, self.online)

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

    def forget(self, before: int, rules: Rules) -> tuple[bool, list[str]]:
        """Fold what ended before an instant into the base state; return whether the agent changed, and the holds gone.

        Status changes are folded when they are a quarter of all: the agent's entry is written anew each time. A first status waits
        for the joined behind it: he may still be said to have left between them.
        """
        self.sort()
        changes = self.changes
        keep = 0
        while keep < len(changes) and changes[keep][0] < before:
            keep += 1
        announced = hired_later(self.base, changes)
        folds = keep > 0 and len(changes) <= keep * _FOLDED_OF and (announced is None or announced < before)
        if folds:
            self.base, self.online = folded(self.base, changes[:keep], rules, self.online)
            self.heard = max(self.heard, changes[keep - 1][0])
            del changes[:keep]
        holds = {**self._settled, **self._recent}
        over = {session for session, hold in holds.items() if _newest(hold) < before}
        self._settled = {session: hold for session, hold in self._settled.items() if session not in over}
        self._recent = {session: hold for session, hold in self._recent.items() if session not in over}
        return folds, sorted(over)

    @property
    def hired_first(self) -> int | None:
        """When he first came onto the roster."""
        self.sort()
        return hired_first(self.base, self.changes)

    @property
    def is_nothing(self) -> bool:
        """Tell whether nothing of the agent is left but that he held something once."""
        return self.base == State() and not self.changes and not self._recent and not self._settled

    def silent_since(self, before: int) -> bool:
        """Tell whether nothing was heard of the agent since an instant, and he holds nothing."""
        return not self.changes and not self._recent and not self._settled and self.heard < before

    def standing(self, since: int, rules: Rules, alone: Address) -> list[Fact]:
        """Return the facts that put an agent who gets readings of his own onto the levels on which he was before an instant."""
        self.sort()
        state = self.base
        for change in self.changes:
            if change[0] < since:
                state = state.after(change)
        was = _placed(state, self._turns(since)[0], rules.at(since - 1))
        steps = _level_steps(None, was[2:])[0]
        return [(alone, since, steps, 1)] if steps.all else []

    def goodbye(self, at: int, rules: Rules) -> list[Fact]:
        """Return the facts that take an agent off all levels at an instant."""
        state = self.base
        facts = _difference(_placed(state, 0, rules.at(at)), _placed(State(groups=state.groups), 0, rules.at(at)), at, None)
        if state.hired is not None:
            facts += [(("group", group, ""), at, ROSTER_LEVEL, -1) for group in state.counted_in]
        return facts

    def freeze(self) -> list[Any]:
        """Return a msgpack-able form without the holds, which are entries of their own."""
        self.sort()
        online = None if self.online is None else [self.online[0], sorted(self.online[1])]
        return [list(self.base), list(self.changes), self.heard, online]

    @classmethod
    def thaw(cls, frozen: list[Any]) -> Agent:
        """Restore what `freeze` returned, also after msgpack has turned tuples into lists."""
        agent = cls()
        status, groups, queues, *roster = frozen[0]
        agent.base = State(status, tuple(groups), tuple(queues), *roster)
        agent.heard = frozen[2]
        online = frozen[3] if len(frozen) > 3 else None  # older programs folded whole days
        agent.online = None if online is None else (online[0], frozenset(online[1]))
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


def _placed(state: State, in_hand: int, rules: Rules) -> Placed:
    capacity = state.capacity or rules.default_capacity
    return Placed(state.groups or (UNASSIGNED,), state.queues, state.status, capacity, in_hand)


Counted = tuple[str | None, int, int]
"""(status, capacity, in hand)."""


@lru_cache(maxsize=16_384)
def _level_steps(before: Counted | None, now: Counted | None) -> tuple[Steps, Steps]:
    """Return the steps of levels between two states (None: nobody): of all levels, and of those by queue."""
    steps = dict(levels_of(*now)) if now is not None else {}
    for level, value in levels_of(*before) if before is not None else ():
        steps[level] = steps.get(level, 0) - value
    was, is_now = (min(who[2], MAX_PEAK) if who is not None else 0 for who in (before, now))
    steps |= {f"in_hand_{n}": 1 for n in range(max(2, was + 1), is_now + 1)}
    steps |= {f"in_hand_{n}": -1 for n in range(max(2, is_now + 1), was + 1)}
    changed = [(level, step) for level, step in steps.items() if step]
    return Steps(changed), Steps((level, step) for level, step in changed if level in SLOT_LEVELS)


def _difference(before: Placed, now: Placed, at: int, alone: Address | None) -> list[Fact]:
    """Return the steps between two placements: per group, on the floor, per queue served, and of the agent himself."""
    was, is_now = before[2:], now[2:]
    stays, slots = _level_steps(was, is_now)
    facts: list[Fact] = []
    if stays.all:
        facts.append((FLOOR_ADDRESS, at, stays, 1))
        if alone is not None:
            facts.append((alone, at, stays, 1))
    for dimension, index, olds, news in (("group", 0, before.groups, now.groups), ("slots", 1, before.queues, now.queues)):
        if olds == news:
            steps = slots if index else stays
            if steps.all:
                facts += [((dimension, name, ""), at, steps, 1) for name in olds]
            continue
        for name in sorted({*olds, *news}):
            steps = _level_steps(was if name in olds else None, is_now if name in news else None)[index]
            if steps.all:
                facts.append(((dimension, name, ""), at, steps, 1))
    return facts


def hold_of(fact: RelayFact, known: Hold | None, before: int) -> Hold:
    """Return what a relay record says of a hold, as far as it may still change.

    Of what lies before the instant `before`, and of earlier sessions of the same id, what was known stands.
    """
    earlier = tuple(i for i in known.intervals if i[0] < fact.since) if known is not None else ()
    old = known.intervals[len(earlier) :] if known is not None else ()
    intervals = []
    for position, (start, end) in enumerate(fact.intervals):
        old_start, old_end = old[position] if position < len(old) else (before, None)
        if start < before:
            start = min(old_start, before)
        if end is not None and end < before:
            end = old_end if old_end is not None and old_end < before else before
        intervals.append((start, end if end is None else max(start, end)))
    stands = max(before, fact.since)
    taken = [at for at in (known.taken if known is not None else ()) if at < stands]
    return Hold(fact.version, (*earlier, *intervals), (*taken, *(at for at in fact.taken if at >= stands)))


def earliest_difference(before: Hold | None, after: Hold | None) -> int | None:
    """Return the earliest instant at which two versions of a hold differ, None if they do not."""
    old = set(_instants(before))
    new = set(_instants(after))
    return min((at for _, at, _ in old ^ new), default=None)


def turns_between(before: Hold | None, after: Hold) -> Turns | None:
    """Return what a version of a hold adds to the one before, None if it changes anything else."""
    turns: Turns = []
    old = before.intervals if before is not None else ()
    if len(old) > len(after.intervals):
        return None
    for position, (start, end) in enumerate(after.intervals):
        if position < len(old):
            if old[position][0] != start or old[position][1] not in (None, end):
                return None
            if end is not None and old[position][1] is None:
                turns.append((end, -1))
            continue
        turns.append((start, 1))
        if end is not None:
            turns.append((end, -1))
    taken = before.taken if before is not None else ()
    if after.taken[: len(taken)] != taken:
        return None
    turns += [(at, 0) for at in after.taken[len(taken) :]]
    return turns


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
    "FLOOR_ADDRESS", "Agent", "End", "Hold", "Turns", "earliest_difference", "hold_of", "levels_of", "thaw_hold", "turns_between",
]  # fmt: skip
