"""The roster and its turnover (`rules.md` 38)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from tests.oracle.agents import NOTHING, State, after, groups_of
from tests.oracle.cleaning import Event, normal, order_key, topic_of
from tests.oracle.settings import ALL, Settings

HOUR_MS = 3_600_000
TURNOVER_HOURS = 720


class Stint(NamedTuple):
    """[start, end) on the roster, end None = still there; the states that name the groups, by time, the leaving's last."""

    start: int
    end: int | None
    states: list[tuple[int, State]]


class Turnover(NamedTuple):
    """`value` = left / (headcount_ms / covered_ms) x 365 / 30, None where the mean headcount is 0 or nothing is covered."""

    left: int
    headcount_ms: int
    covered_ms: int
    value: Fraction | None


def stints_of(events: list[Event], settings: Settings) -> list[Stint]:
    """Return the stints of all agents; each `agent.left` ends one, if one had begun."""
    lines: dict[str, list[Event]] = {}
    about = [normal(event) for event in events if topic_of(event) == "status"]
    for event in sorted(about, key=order_key):
        lines.setdefault(event["agent_id"], []).append(event)
    return [stint for line in lines.values() for stint in _stints_of_one(line, settings)]


def _stints_of_one(line: list[Event], settings: Settings) -> Iterator[Stint]:
    states: list[tuple[int, State]] = []
    joined: int | None = None
    first_status: int | None = None
    left_before = False
    for event in line:
        states.append((event["at"], after(states[-1][1] if states else NOTHING, event, settings)))
        if event["type"] == "agent.joined" and joined is None:
            joined = event["at"]
        if event["type"] == "agent.status" and first_status is None and not left_before:
            first_status = event["at"]
        if event["type"] == "agent.left":
            start = joined if joined is not None else first_status
            if start is not None:
                yield Stint(start, event["at"], list(states))
            joined, first_status, left_before = None, None, True
    start = joined if joined is not None else first_status
    if start is not None:
        yield Stint(start, None, list(states))


def memberships(stint: Stint, now_ms: int) -> Iterator[tuple[str, int, int]]:
    """Yield (group or `all`, start, end) of the stint, cut where the groups may change, up to now."""
    end = min(now_ms, stint.end if stint.end is not None else now_ms)
    points = {at for at, _ in stint.states if stint.start < at < end} | {stint.start, end}
    for since, until in pairwise(sorted(points)):
        state = [state for at, state in stint.states if at <= since][-1]
        for group in groups_of(state):
            yield group, since, until


def turnover(events: list[Event], settings: Settings, now_ms: int) -> dict[str, Turnover]:
    """Return the turnover of each group that had members or leavers in 30 days, and of the floor (`all`)."""
    window = (now_ms // HOUR_MS - (TURNOVER_HOURS - 1)) * HOUR_MS
    stints = stints_of(events, settings)
    covered = now_ms - max(window, min((stint.start for stint in stints), default=now_ms))
    left: dict[str, int] = {}
    headcount: dict[str, int] = {}
    for stint in stints:
        for group, since, until in memberships(stint, now_ms):
            if until > max(since, window):
                headcount[group] = headcount.get(group, 0) + until - max(since, window)
        if stint.end is not None and window <= stint.end <= now_ms:
            for group in groups_of(stint.states[-1][1]):
                left[group] = left.get(group, 0) + 1
    result = {}
    for group in sorted({*left, *headcount, ALL}):
        gone, present = left.get(group, 0), headcount.get(group, 0)
        value = Fraction(gone * covered * 365, present * 30) if present else None
        result[group] = Turnover(gone, present, covered, value)
    return result
