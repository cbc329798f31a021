"""Draw arrivals: Poisson with a rate that is constant over quarter-hours (Brown et al. 2005)."""

from random import Random

from streams.simulator.centre import Centre
from streams.simulator.model import Queue
from streams.simulator.scenario import Scenario

_QUARTER_MS = 900_000
_DAY_MS = 86_400_000


class Arrivals:
    """The first calls of one queue; who calls again comes on top."""

    def __init__(self, centre: Centre, queue: Queue, scenario: Scenario) -> None:
        """Start the queue's own random numbers."""
        self._centre = centre
        self._queue = queue
        self._scenario = scenario
        self._random = Random(f"{centre.seed}:arrivals:{queue.name}")
        self._seen_again = centre.habits.reconnect * 0.94  # so that all arrivals together make the queue's rate
        self._day = (-1, 1.0)

    def next_after(self, at_ms: int, steering: float = 1.0) -> int:
        """Return when the next one comes; exact, because a Poisson process has no memory at a change of rate."""
        at = float(at_ms)
        while True:
            rate = self.rate_per_ms(int(at)) * steering
            change = self._next_change(int(at))
            gap = self._random.expovariate(rate) if rate > 0 else float("inf")
            if at + gap < change:
                return max(at_ms, round(at + gap))
            at = float(change)

    def rate_per_ms(self, at_ms: int) -> float:
        """Return the arrivals per millisecond at a time, without those who call again."""
        rate = self._queue.per_minute * (1 - self._seen_again) / 60_000
        scripted = self._scenario.factor(self._queue.name, at_ms)
        return rate * scripted * self._hour_weight(at_ms) * self._day_factor(at_ms)

    def _next_change(self, at_ms: int) -> int:
        quarter = (at_ms // _QUARTER_MS + 1) * _QUARTER_MS
        scripted = self._scenario.next_change(at_ms)
        return quarter if scripted is None else min(quarter, scripted)

    def _hour_weight(self, at_ms: int) -> float:
        """Return the profile at the middle of this quarter-hour, straight between the middles of the hours."""
        profile = self._centre.profile
        if profile is None:
            return 1.0
        local = at_ms + self._centre.utc_offset_min * 60_000
        middle = (local // _QUARTER_MS + 0.5) * _QUARTER_MS / 3_600_000 - 0.5
        hour = int(middle // 1)
        if profile[int(local // 3_600_000) % 24] == 0:
            return 0.0
        here, there = profile[hour % 24], profile[(hour + 1) % 24]
        return (here + (there - here) * (middle - hour)) / max(profile)

    def _day_factor(self, at_ms: int) -> float:
        """Return how busy the local day is: Gamma with mean 1, the same for all queues."""
        if not self._centre.day_cv:
            return 1.0
        day = (at_ms + self._centre.utc_offset_min * 60_000) // _DAY_MS
        if self._day[0] != day:
            shape = self._centre.day_cv**-2
            self._day = day, Random(f"{self._centre.seed}:day:{day}").gammavariate(shape, 1 / shape)
        return self._day[1]
