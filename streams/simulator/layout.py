"""Lay out default centres of any size: which queues, how many agents in each, how much arrives."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Literal, TypeAlias

from streams.simulator.model import Agent, Habits, Queue

_Channel: TypeAlias = Literal["voice", "chat"]

# Name, channel, agents on duty. The first six are the demo's.
_TEMPLATE: tuple[tuple[str, _Channel, int], ...] = (
    ("Orders", "voice", 27),
    ("Sales chat", "chat", 7),
    ("Billing", "voice", 12),
    ("Tech chat", "chat", 5),
    ("Tech voice", "voice", 9),
    ("Service chat", "chat", 4),
    ("Delivery", "voice", 10),
    ("Returns", "voice", 10),
    ("Returns chat", "chat", 4),
    ("Loyalty", "voice", 8),
    ("Business", "voice", 8),
    ("Business chat", "chat", 4),
)

SHIFT_MIN = 480  # three shifts of 8 h a day
START_GRID_MIN = 30  # shifts start on the half-hour
_CAPACITY, _CAPACITY_TECH, _CAPACITY_NEW = 8, 5, 5  # KPI catalogue: 8-12 for text, 4-6 technical, about 5 newcomers
_ON_THE_JOB = 0.82  # of those on duty: breaks and meal take 75 of 480 min, short pauses a little more
_SPARE = 0.853  # square-root staffing, n - load = 0.853 sqrt(n): 22 agents for 6 calls of 180 s a minute
_LEAST_SPARE = 3.5  # small teams need more than the square root: else somebody waits past 90 s every few minutes
_CHAT_LOAD = 0.64  # of the slots
_EVENTS = {"voice": 9.6, "chat": 24.3}  # per session, seen
_EVENTS_PER_AGENT_S = 0.10  # a default centre's events per second and agent on duty, seen


def queues_and_seats(count: int, agents: int | None, rate: float | None) -> tuple[tuple[Queue, ...], list[int]]:
    """Return `count` queues, voice first, and the agents on duty in each; arrivals fit the agents, or make the rate."""
    if count < 1 or (agents is not None and agents < 1) or (rate is not None and rate <= 0):
        raise ValueError(f"queues {count}, agents {agents}, rate {rate}: each must be at least 1 (rate above 0)")
    rows = sorted((_row(index) for index in range(count)), key=lambda row: row[1] == "chat")
    if agents is None:
        agents = sum(row[2] for row in rows) if rate is None else max(count, ceil(rate / _EVENTS_PER_AGENT_S))
    seats = _apportion([row[2] for row in rows], agents)
    per_minute = [_per_minute(name, channel, seat) for (name, channel, _), seat in zip(rows, seats, strict=True)]
    scale = 1.0
    if rate is not None:
        natural = sum(much * _EVENTS[row[1]] for much, row in zip(per_minute, rows, strict=True)) / 60
        scale = rate / natural
    return tuple(
        Queue(name=name, channel=channel, per_minute=round(much * scale, 3), overflow_to=_overflow(rows, place))
        for place, ((name, channel, _), much) in enumerate(zip(rows, per_minute, strict=True))
    ), seats


def roster(queues: Sequence[Queue], seats: Sequence[int], *, shifts: bool) -> tuple[Agent, ...]:
    """Return the agents: with shifts three for each seat, who take turns; the breaks are spread evenly."""
    agents: list[Agent] = []
    uncovered = tuple(queue.name for queue, count in zip(queues, seats, strict=True) if count == 0)
    chat_seats = 0
    for place, (queue, count) in enumerate(zip(queues, seats, strict=True)):
        for seat in range(count):
            chat_seats += queue.channel == "chat"
            skills = _skills(queues, place, seat) + (() if agents else uncovered)
            new = queue.channel == "chat" and chat_seats % 10 == 4
            agents += _seat(queue, skills, seat=seat, of=count, new=new, shifts=shifts)
    return tuple(agents)


def _seat(queue: Queue, skills: tuple[str, ...], *, seat: int, of: int, new: bool, shifts: bool) -> list[Agent]:
    """Return those who take turns in one seat of a queue."""
    team = f"{queue.name} team"
    even = SHIFT_MIN * seat / of
    start = round(even / START_GRID_MIN) * START_GRID_MIN
    return [
        Agent(
            id=f"{queue.name.lower().replace(' ', '-')}-{seat + 1:02d}{'abc'[turn]}",
            queues=skills,
            groups=(team, "Newcomers") if new else (team,),
            capacity=_capacity(skills, queue.channel, new=new),
            shift_min=(start + turn * SHIFT_MIN) % 1_440 if shifts else None,
            rest_min=round(even) - start,
        )
        for turn in range(3 if shifts else 1)
    ]


def _row(index: int) -> tuple[str, _Channel, int]:
    """Return name, channel and weight of the queue at an index; past the template the names get a number."""
    name, channel, weight = _TEMPLATE[index % len(_TEMPLATE)]
    again = index // len(_TEMPLATE)
    return (f"{name} {again + 1}" if again else name), channel, min(weight, 10) if again else weight


def _overflow(rows: Sequence[tuple[str, _Channel, int]], place: int) -> str | None:
    """Return where a queue overflows to: the one before it on its channel, but never Orders."""
    if place < 2 or rows[place - 1][1] != rows[place][1]:
        return None
    return rows[place - 1][0]


def _apportion(weights: Sequence[int], total: int) -> list[int]:
    """Share a total out by weight (largest remainder), at least one for each as long as there are enough."""
    exact = [weight * total / sum(weights) for weight in weights]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: (shares[index] - exact[index], index))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    while total >= len(weights) and 0 in shares:
        shares[shares.index(max(shares))] -= 1
        shares[shares.index(0)] += 1
    return shares


def _per_minute(name: str, channel: _Channel, seats: int) -> float:
    """Return the arrivals per minute that so many agents on duty serve well."""
    call, habits = Queue(name=name), Habits()
    working = max(seats, 1) * _ON_THE_JOB
    if channel == "voice":
        load = max(working - max(_SPARE * sqrt(working), min(_LEAST_SPARE, 0.4 * working)), 0.3 * working)
        return load * 60 / (call.talk_s + habits.wrap_up_s)
    capacity = _capacity((name,), channel, new=False)
    in_hand = capacity * _CHAT_LOAD
    reply = habits.reply_s * 1.2 * (1 + habits.reply_slower * (in_hand - 1))  # 1.2: a lognormal's mean over its median
    return working * in_hand * 60 / (habits.turns * (habits.think_s + reply) + habits.wrap_up_s)


def _capacity(skills: Sequence[str], channel: str, *, new: bool) -> int:
    """Return how many sessions an agent with these queues takes at once."""
    if channel == "voice":
        return 1
    if new:
        return _CAPACITY_NEW
    return _CAPACITY_TECH if any(name.startswith("Tech") for name in skills) else _CAPACITY


def _skills(queues: Sequence[Queue], place: int, seat: int) -> tuple[str, ...]:
    """Return a seat's queues: its own; every third one also takes the next of the channel, Orders stays by itself."""
    own = queues[place]
    others = [queue.name for queue in queues[place + 1 :] if queue.channel == own.channel]
    if seat % 3 == 2 and place > 0 and others:
        return own.name, others[0]
    return (own.name,)
