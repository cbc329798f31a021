"""Agents: statuses, groups, capacity and time in hand as a line of segments (`rules.md` 31 to 37).

`peak_concurrency` is the one column that is no sum: the most sessions at once, 0 where nobody held any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from tests.oracle.cleaning import Event, normal, order_key, topic_of
from tests.oracle.sessions import in_hand, sessions_of, takes_of
from tests.oracle.settings import ALL, UNASSIGNED, Settings
from tests.oracle.zones import interval_start, local_midnight, midnight, split

ONLINE_STATUSES = ("available", "busy", "away", "break", "meal", "training", "meeting")
GROUP_COLUMNS = (
    "in_hand_ms",
    "available_idle_ms",
    "online_ms",
    "sessions_in_hand_ms",
    "slots_ms",
    "taken",
    *(f"status_{status}_ms" for status in ONLINE_STATUSES),
    "peak_concurrency",
)
Row = dict[str, int]


@dataclass(frozen=True)
class State:
    """What is known of an agent from an instant on; status None = before the first status or after leaving.

    `capacity` None = never named: the default in force.
    """

    status: str | None
    groups: tuple[str, ...]
    queues: tuple[str, ...]
    capacity: int | None


NOTHING = State(None, (), (), None)


@dataclass
class Agent:
    """One agent: states by time, intervals in hand (end None = open), instants of taking a session."""

    agent_id: str
    states: list[tuple[int, State]]
    held: list[tuple[int, int | None]]
    takes: list[int]

    def state_at(self, at: int) -> State:
        """Return the state in force at an instant."""
        found = NOTHING
        for since, state in self.states:
            if since <= at:
                found = state
        return found

    def in_hand_at(self, at: int) -> int:
        """Return how many sessions the agent has in hand at an instant."""
        return sum(1 for start, end in self.held if start <= at and (end is None or at < end))


@dataclass(frozen=True)
class Segment:
    """[start, end) in which nothing about the agent changes, nor the settings."""

    start: int
    end: int
    state: State
    capacity: int
    sessions: int
    zone: str


def groups_of(state: State) -> list[str]:
    """Return the groups that an agent's time counts in: its own, or `unassigned`, and `all`."""
    return [*sorted(set(state.groups) or {UNASSIGNED}), ALL]


def after(state: State, event: Event, settings: Settings) -> State:
    """Return the state after an event about the agent."""
    if "groups" in event:
        state = replace(state, groups=tuple(event["groups"]))
    if event["type"] == "agent.left":
        return replace(state, status=None)
    if event["type"] == "agent.status":
        status = settings.at(event["at"]).status_map.get(event["status"], event["status"])
        state = replace(state, status=status, capacity=event.get("capacity", state.capacity))
        if "queues" in event:
            state = replace(state, queues=tuple(event["queues"]))
    return state


def capacity_of(state: State, settings: Settings, at: int) -> int:
    """Return an agent's capacity at an instant: the named one, else the default then."""
    return state.capacity if state.capacity is not None else settings.at(at).default_capacity


def agents_of(events: list[Event], settings: Settings, now_ms: int) -> list[Agent]:
    """Return every agent that has a status, a roster event or took a session, as known at now."""
    agents: dict[str, Agent] = {}

    def agent(name: str) -> Agent:
        return agents.setdefault(name, Agent(name, [], [], []))

    about = [normal(event) for event in events if topic_of(event) == "status"]
    for event in sorted(about, key=order_key):
        one = agent(event["agent_id"])
        state = one.states[-1][1] if one.states else NOTHING
        one.states.append((event["at"], after(state, event, settings)))
    for session in sessions_of(events, settings):
        for name, start, end in in_hand(session, settings, now_ms):
            agent(name).held.append((start, end))
        for take in takes_of(session):
            agent(take["agent_id"]).takes.append(take["at"])
    return list(agents.values())


def segments(agent: Agent, settings: Settings, now_ms: int) -> Iterator[Segment]:
    """Cut the agent's time up to now wherever something changes."""
    points = {at for at, _ in agent.states} | {at for at, _ in settings.changes} | {now_ms}
    for start, end in agent.held:
        points |= {start} if end is None else {start, end}
    line = sorted(point for point in points if point <= now_ms)
    for start, end in pairwise(line):
        state = agent.state_at(start)
        capacity, zone = capacity_of(state, settings, start), settings.at(start).zone
        yield Segment(start, end, state, capacity, agent.in_hand_at(start), zone)


def segment_columns(segment: Segment, length_ms: int) -> Row:
    """Return what `length_ms` (more than 0) of a segment adds to the columns of each of its groups."""
    state, sessions = segment.state, segment.sessions
    columns = dict.fromkeys(GROUP_COLUMNS, 0)
    columns["peak_concurrency"] = sessions
    if sessions > 0:
        columns["in_hand_ms"] = length_ms
        columns["sessions_in_hand_ms"] = sessions * length_ms
    if sessions == 0 and state.status == "available":
        columns["available_idle_ms"] = length_ms
    if sessions > 0 or state.status == "available":
        columns["slots_ms"] = segment.capacity * length_ms
    if state.status in ONLINE_STATUSES:
        columns["online_ms"] = length_ms
        columns[f"status_{state.status}_ms"] = length_ms
    return columns


def add(row: Row, columns: Row) -> None:
    """Add columns to a row in place; of peaks the highest stands."""
    for name, value in columns.items():
        if name == "peak_concurrency":
            row[name] = max(row[name], value)
        else:
            row[name] += value


def by_group(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, now_ms: int
) -> dict[tuple[str, int], Row]:
    """Return the columns per (group, interval start); `zone` None = the top-level one; rows of zeros are missing."""
    table: dict[tuple[str, int], Row] = {}

    def row(group: str, start: int) -> Row:
        return table.setdefault((group, start), dict.fromkeys(GROUP_COLUMNS, 0))

    for agent in agents_of(events, settings, now_ms):
        for segment in segments(agent, settings, now_ms):
            for start, length in split(segment.start, segment.end, interval_ms, zone or segment.zone):
                for group in groups_of(segment.state):
                    add(row(group, start), segment_columns(segment, length))
        for at in agent.takes:
            start = interval_start(at, interval_ms, zone or settings.at(at).zone)
            for group in groups_of(agent.state_at(at)):
                row(group, start)["taken"] += 1
    return {key: row for key, row in table.items() if any(row.values())}


def group_sums(events: list[Event], settings: Settings, since_ms: int, until_ms: int, now_ms: int) -> dict[str, Row]:
    """Return the columns per group over [since, until), and no further than now; rows of zeros are missing."""
    table: dict[str, Row] = {}

    def row(group: str) -> Row:
        return table.setdefault(group, dict.fromkeys(GROUP_COLUMNS, 0))

    for agent in agents_of(events, settings, now_ms):
        for segment in segments(agent, settings, now_ms):
            length = min(segment.end, until_ms) - max(segment.start, since_ms)
            if length > 0:
                for group in groups_of(segment.state):
                    add(row(group), segment_columns(segment, length))
        for at in agent.takes:
            if since_ms <= at < until_ms:
                for group in groups_of(agent.state_at(at)):
                    row(group)["taken"] += 1
    return {group: row for group, row in table.items() if any(row.values())}


def online_days(events: list[Event], settings: Settings, since_ms: int, until_ms: int, now_ms: int) -> dict[str, int]:
    """Return per group how many (agent, local day) have online time as its member in [since, until), up to now."""
    found: dict[str, set[tuple[str, int]]] = {}
    for agent in agents_of(events, settings, now_ms):
        for segment in segments(agent, settings, now_ms):
            start, end = max(segment.start, since_ms), min(segment.end, until_ms)
            while start < end and segment.state.status in ONLINE_STATUSES:
                for group in groups_of(segment.state):
                    found.setdefault(group, set()).add((agent.agent_id, local_midnight(start, segment.zone)))
                start = midnight(start, segment.zone, -1)
    return {group: len(days) for group, days in found.items()}
