"""Agents: statuses, groups, capacity and time in hand as a line of segments (`rules.md` 31 to 37)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from tests.oracle.cleaning import Event, normal, order_key, topic_of
from tests.oracle.sessions import in_hand, sessions_of, takes_of
from tests.oracle.settings import ALL, UNASSIGNED, Settings
from tests.oracle.zones import split

ONLINE_STATUSES = ("available", "busy", "away", "break", "meal", "training", "meeting")
GROUP_COLUMNS = (
    "in_hand_ms",
    "available_idle_ms",
    "online_ms",
    "sessions_in_hand_ms",
    "slots_ms",
    "taken",
    *(f"status_{status}_ms" for status in ONLINE_STATUSES),
)


@dataclass(frozen=True)
class State:
    """What is known of an agent from an instant on; status None = before the first status or after leaving."""

    status: str | None
    groups: tuple[str, ...]
    queues: tuple[str, ...]
    capacity: int


@dataclass
class Agent:
    """One agent: states by time, intervals in hand (end None = open), instants of taking a session."""

    agent_id: str
    first_state: State
    states: list[tuple[int, State]]
    held: list[tuple[int, int | None]]
    takes: list[int]

    def state_at(self, at: int) -> State:
        """Return the state in force at an instant."""
        found = self.first_state
        for since, state in self.states:
            if since <= at:
                found = state
        return found

    def in_hand_at(self, at: int) -> int:
        """Return how many sessions the agent has in hand at an instant."""
        return sum(1 for start, end in self.held if start <= at and (end is None or at < end))


@dataclass(frozen=True)
class Segment:
    """[start, end) in which nothing about the agent changes."""

    start: int
    end: int
    state: State
    sessions: int


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
        status = settings.status_map.get(event["status"], event["status"])
        state = replace(state, status=status, capacity=event.get("capacity", state.capacity))
        if "queues" in event:
            state = replace(state, queues=tuple(event["queues"]))
    return state


def agents_of(events: list[Event], settings: Settings) -> list[Agent]:
    """Return every agent that has a status, a roster event or took a session."""
    agents: dict[str, Agent] = {}

    def agent(name: str) -> Agent:
        state = State(None, (), (), settings.default_capacity)
        return agents.setdefault(name, Agent(name, state, [], [], []))

    about = [normal(event) for event in events if topic_of(event) == "status"]
    for event in sorted(about, key=order_key):
        one = agent(event["agent_id"])
        state = one.states[-1][1] if one.states else one.first_state
        one.states.append((event["at"], after(state, event, settings)))
    for session in sessions_of(events):
        for name, start, end in in_hand(session, settings):
            agent(name).held.append((start, end))
        for take in takes_of(session):
            agent(take["agent_id"]).takes.append(take["at"])
    return list(agents.values())


def segments(agent: Agent, now_ms: int) -> Iterator[Segment]:
    """Cut the agent's time up to now wherever something changes."""
    points = {at for at, _ in agent.states} | {now_ms}
    for start, end in agent.held:
        points |= {start} if end is None else {start, end}
    line = sorted(point for point in points if point <= now_ms)
    for start, end in pairwise(line):
        yield Segment(start, end, agent.state_at(start), agent.in_hand_at(start))


def segment_columns(segment: Segment, length_ms: int) -> dict[str, int]:
    """Return what `length_ms` of a segment adds to the columns of each of its groups."""
    state, sessions = segment.state, segment.sessions
    columns = dict.fromkeys(GROUP_COLUMNS, 0)
    if sessions > 0:
        columns["in_hand_ms"] = length_ms
        columns["sessions_in_hand_ms"] = sessions * length_ms
    if sessions == 0 and state.status == "available":
        columns["available_idle_ms"] = length_ms
    if sessions > 0 or state.status == "available":
        columns["slots_ms"] = state.capacity * length_ms
    if state.status in ONLINE_STATUSES:
        columns["online_ms"] = length_ms
        columns[f"status_{state.status}_ms"] = length_ms
    return columns


def add(row: dict[str, int], columns: dict[str, int]) -> None:
    """Add columns to a row in place."""
    for name, value in columns.items():
        row[name] = row.get(name, 0) + value


def by_group(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, now_ms: int
) -> dict[tuple[str, int], dict[str, int]]:
    """Return the columns per (group, interval start); `zone` None = the top-level one; rows of zeros are missing."""
    where = zone or settings.zone
    table: dict[tuple[str, int], dict[str, int]] = {}
    for agent in agents_of(events, settings):
        for segment in segments(agent, now_ms):
            for start, length in split(segment.start, segment.end, interval_ms, where):
                for group in groups_of(segment.state):
                    row = table.setdefault((group, start), dict.fromkeys(GROUP_COLUMNS, 0))
                    add(row, segment_columns(segment, length))
        for at in agent.takes:
            for start, _ in split(at, at + 1, interval_ms, where):
                for group in groups_of(agent.state_at(at)):
                    add(table.setdefault((group, start), dict.fromkeys(GROUP_COLUMNS, 0)), {"taken": 1})
    return {key: row for key, row in table.items() if any(row.values())}


def group_sums(events: list[Event], settings: Settings, since_ms: int, now_ms: int) -> dict[str, dict[str, int]]:
    """Return the columns per group over [since, now]."""
    table: dict[str, dict[str, int]] = {}
    for agent in agents_of(events, settings):
        for segment in segments(agent, now_ms):
            length = segment.end - max(segment.start, since_ms)
            if length > 0:
                for group in groups_of(segment.state):
                    add(table.setdefault(group, dict.fromkeys(GROUP_COLUMNS, 0)), segment_columns(segment, length))
        for at in agent.takes:
            if since_ms <= at:
                for group in groups_of(agent.state_at(at)):
                    add(table.setdefault(group, dict.fromkeys(GROUP_COLUMNS, 0)), {"taken": 1})
    return {group: row for group, row in table.items() if any(row.values())}
