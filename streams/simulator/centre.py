"""Put a contact centre together: the one argument of a simulation."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from streams.simulator.layout import queues_and_seats, roster
from streams.simulator.model import Agent, Habits, Mess, Queue

BANK_PROFILE = (0.0,) * 7 + (2.6, 6.4, 6.8, 7.9, 7.2, 6.1, 8.4, 7.2, 7.0, 8.0, 6.1, 5.7, 4.3, 4.0, 4.8, 3.8, 2.8)
"""Percent of a weekday's calls by local hour (bank, Sunday to Thursday)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A contact centre. `rate` is events per second over all topics, held by steering the arrivals; None lets them be.

    `profile` weighs the hours of the local day, 1 being its busiest hour; None is the same all day. `day_cv` is the
    variation from day to day (assumed: 0.1). Without `mess` nothing is late, double, wrong or lost.
    """

    queues: tuple[Queue, ...]
    agents: tuple[Agent, ...]
    seed: int = 1
    rate: float | None = None
    profile: tuple[float, ...] | None = None
    day_cv: float = 0.0
    utc_offset_min: int = 0
    times: Literal["rfc3339", "ms"] = "rfc3339"
    habits: Habits = field(default_factory=Habits)
    mess: Mess | None = None

    @classmethod
    def default(cls, queues: int = 6, agents: int | None = None, seed: int = 1, rate: float | None = None) -> Self:
        """Return a centre with so many queues and so many agents on duty at a time (three shifts take turns).

        Without a number of agents there are 64, of whom 22 take 6 calls a minute in Orders, or as many as `rate` needs.
        """
        some, seats = queues_and_seats(queues, agents, rate)
        return cls(queues=some, agents=roster(some, seats, shifts=rate is None), seed=seed, rate=rate)

    @property
    def on_duty(self) -> int:
        """Return how many agents are on duty at a time, breaks included: a third of those who work in shifts."""
        always = sum(agent.shift_min is None for agent in self.agents)
        return always + (len(self.agents) - always) // 3

    def bank_day(self, utc_offset_min: int = 0) -> Self:
        """Return the same centre with the bank's day: closed from midnight to 7, days that differ."""
        return replace(self, profile=BANK_PROFILE, day_cv=0.1, utc_offset_min=utc_offset_min)
