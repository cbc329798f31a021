"""Plan the agents' days: when who comes, rests and goes."""

from random import Random

from streams.simulator.model import Agent

_MIN_MS = 60_000
_DAY_MS = 86_400_000
SHIFT_MS = 8 * 3_600_000

# Minutes after the start of the shift, minutes long, status: two breaks and a meal.
_RESTS = ((120, 15, "break"), (225, 45, "meal"), (360, 15, "break"))
_LATE_SD_MIN = 2.0
_DESK_WORK = (300, 30, 0.06)  # training or a meeting; in 6 % of the shifts, assumed


def plan(agent: Agent, day: int, seed: int) -> list[tuple[int, str]]:
    """Return an agent's statuses, in order, of the shift that begins on a UTC day; the last one is offline."""
    if agent.shift_min is None:
        raise ValueError(f"agent {agent.id} has no shifts: he is always there")
    random = Random(f"{seed}:shift:{agent.id}:{day}")
    start = day * _DAY_MS + agent.shift_min * _MIN_MS
    rests = list(_RESTS)
    after, minutes, share = _DESK_WORK
    if random.random() < share:
        rests.insert(2, (after, minutes, random.choice(("training", "meeting"))))
    statuses = [(start + round(random.gauss(0.0, _LATE_SD_MIN) * _MIN_MS), "available")]
    for offset, minutes, status in rests:
        begin = start + (offset + agent.rest_min) * _MIN_MS + round(random.uniform(-30_000, 30_000))
        statuses += [(begin, status), (begin + minutes * _MIN_MS + round(random.uniform(-30_000, 30_000)), "available")]
    return [*statuses, (start + SHIFT_MS, "offline")]
