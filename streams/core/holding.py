"""Who holds a session, and for how long: holdings, hold time, wrap-up.

A holding is `(agent, start, end, to the session's end)`, end None while it lasts. An agent holds from his connected to the
first of: the session's end, his own transfer of it, another agent's connected (31). Two agents never hold one session at
once; a connected of the holder changes nothing; one after the session's end is taken, but holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge
from typing import NamedTuple

from schemas.rules import Rules
from streams.core.milestones import CONNECTED, HELD, RESUMED, TRANSFERRED, WRAPPED_UP, Milestone, order_of
from streams.core.relay import TO_AGENT, Told

Held = tuple[str, int, int | None, bool]
ByType = dict[int, list[Milestone]]


class Holdings(NamedTuple):
    """All holdings of a session in order, and the connects that were no repetition by the holder."""

    held: list[Held]
    takes: list[Milestone]


def holdings_of(of: ByType, ended: Milestone | None) -> Holdings:
    """Return the holdings of a session."""
    connects = of.get(CONNECTED)
    if not connects:
        return Holdings([], [])
    transfers = of.get(TRANSFERRED)
    turns = connects if not transfers else list(merge(connects, transfers, key=order_of))
    over = order_of(ended) if ended else None
    held: list[Held] = []
    takes: list[Milestone] = []
    holder, since = None, 0
    for turn in turns:
        if ended is not None and order_of(turn) > over:
            if holder is not None:
                held.append((holder, since, ended[0], True))
                holder = None
            if turn[1] == CONNECTED:
                takes.append(turn)
        elif turn[1] == TRANSFERRED:
            if turn[3] == holder:
                held.append((turn[3], since, turn[0], False))
                holder = None
        elif turn[3] != holder:
            if holder is not None:
                held.append((holder, since, turn[0], False))
            holder, since = turn[3], turn[0]
            takes.append(turn)
    if holder is not None:
        held.append((holder, since, ended[0] if ended else None, True))
    return Holdings(held, takes)


def held_ms(of: ByType, takes: list[Milestone], connected: int, ended: int) -> int:
    """Return the time on hold within connected..ended (23): from the first held to whatever ends it."""
    helds = of.get(HELD)
    if not helds:
        return 0
    closing = sorted((*of.get(RESUMED, ()), *of.get(TRANSFERRED, ()), *takes), key=order_of)
    total, until, position = 0, -1, 0
    for held in helds:
        if held[0] < until:
            continue
        while position < len(closing) and order_of(closing[position]) < order_of(held):
            position += 1
        until = closing[position][0] if position < len(closing) else ended
        total += max(0, min(until, ended) - max(held[0], connected))
    return total


def _wrapped_up(of: ByType, agent: str, start: int, before: int | None) -> int | None:
    """Return the first wrap-up of an agent at or after `start` and before he next holds the session."""
    for wrap_up in of.get(WRAPPED_UP, ()):
        if wrap_up[3] == agent and wrap_up[0] >= start and (before is None or wrap_up[0] < before):
            at: int = wrap_up[0]
            return at
    return None


def wrap_up_ms(held: list[Held], of: ByType) -> int:
    """Return the wrap-up time of all agents of the session (24)."""
    if WRAPPED_UP not in of:
        return 0
    total = 0
    for position, (agent, _, end, _) in enumerate(held):
        if end is not None:
            again = next((start for other, start, _, _ in held[position + 1 :] if other == agent), None)
            at = _wrapped_up(of, agent, end, again)
            total += at - end if at is not None else 0
    return total


def in_hand(holdings: Holdings, of: ByType, ended: Milestone | None, place: Callable[[int], tuple[str, str, str]],
            rules: Rules, give_up_at: int | None) -> dict[tuple[str, str], Told]:  # fmt: skip
    """Return per agent what his partition must know: intervals in hand (end None: still), instants at which he took it.

    The time of who held to the end runs on to his wrap-up once that is known; where the channel expects one (32) it runs
    on at once, to the wrap-up or the limit. `give_up_at`: a forgotten session's time in hand ends there.
    """
    found: dict[tuple[str, str], Told] = {}
    for agent, start, stop, to_the_end in holdings.held:
        end = stop
        if end is not None and to_the_end and ended is not None:
            limit_ms = rules.at(ended[0]).wrap_up_ms_by_channel.get(place(ended[0])[2])
            end = _with_wrap_up(end, agent, of, limit_ms)
        if end is None:
            end = give_up_at
        if end is None or end > start:
            key = TO_AGENT, agent
            known = found.get(key)
            found[key] = Told((*known.intervals, (start, end))) if known else Told(((start, end),))
    for take in holdings.takes:
        key = TO_AGENT, take[3]
        known = found.get(key)
        found[key] = Told(known.intervals, (*known.taken, take[0])) if known else Told((), (take[0],))
    return found


def _with_wrap_up(end: int, agent: str, of: ByType, limit_ms: int | None) -> int:
    wrapped = _wrapped_up(of, agent, end, None)
    if limit_ms is None:
        return end if wrapped is None else wrapped
    return end + limit_ms if wrapped is None else min(wrapped, end + limit_ms)


__all__ = ["ByType", "Held", "Holdings", "held_ms", "holdings_of", "in_hand", "wrap_up_ms"]
