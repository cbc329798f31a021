"""Draw what customers and agents do: patience, service, messages, ratings. All times in whole milliseconds."""

from itertools import pairwise
from math import exp, inf, log, sqrt
from random import Random

from streams.simulator.model import Habits, Queue

# Hazard of giving up per 1,000 s, from that many seconds on (bank, censored estimate).
BANK_HAZARD = ((0.0, 3.3), (5.0, 4.4), (20.0, 3.2), (60.0, 2.7), (120.0, 2.3), (240.0, 1.5), (inf, 0.0))


class People:
    """The random numbers of a run; the same seed gives the same people."""

    def __init__(self, habits: Habits, seed: str) -> None:
        """Start the random numbers."""
        self.habits = habits
        self.random = Random(seed)
        self._rarely = Random(f"{seed}:rarely")

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return self.random.random() < probability

    def rarely(self, probability: float) -> bool:
        """Return True with that probability; by other random numbers, so that what is rare moves little else."""
        return self._rarely.random() < probability

    def between(self, bounds_s: tuple[float, float]) -> int:
        """Draw a uniform duration."""
        return round(self.random.uniform(*bounds_s) * 1000)

    def exponential(self, mean_s: float) -> int:
        """Draw an exponential duration."""
        return round(self.random.expovariate(1 / mean_s) * 1000) if mean_s else 0

    def lognormal(self, mean_s: float, sigma: float) -> int:
        """Draw a lognormal duration by its mean and the deviation of its logarithm."""
        return round(self.random.lognormvariate(log(mean_s) - sigma * sigma / 2, sigma) * 1000) if mean_s else 0

    def lognormal_median(self, median_s: float, sigma: float) -> int:
        """Draw a lognormal duration by its median."""
        return round(self.random.lognormvariate(log(median_s), sigma) * 1000)

    def poisson(self, mean: float) -> int:
        """Draw a Poisson count (Knuth; above 50 the rounded normal)."""
        if mean > 50:
            return max(0, round(self.random.gauss(mean, sqrt(mean))))
        count, product, limit = 0, self.random.random(), exp(-mean)
        while product > limit:
            count += 1
            product *= self.random.random()
        return count

    def patience(self, queue: Queue) -> int:
        """Draw how long a customer waits before giving up."""
        if queue.patience_s is not None:
            return self.exponential(queue.patience_s)
        left = self.random.expovariate(1.0)
        for (start, hazard), (end, _) in pairwise(BANK_HAZARD):
            if left < (end - start) * hazard / 1000:
                return round((start + left * 1000 / hazard) * 1000)
            left -= (end - start) * hazard / 1000
        raise AssertionError("the last hazard has no end")

    def talk(self, queue: Queue) -> int:
        """Draw a call's length: some are over within seconds, the others make up for it in the mean."""
        short = self.habits.short_calls
        if short and self.chance(short):
            return self.between((1.0, 10.0))
        mean = (queue.talk_s - short * 5.5) / (1 - short)
        return self.exponential(mean) if queue.service == "exponential" else self.lognormal(mean, queue.talk_sigma)

    def wrap_up(self) -> int:
        """Draw the work after a session."""
        return self.lognormal(self.habits.wrap_up_s, self.habits.wrap_up_sigma)

    def comes_again(self) -> int:
        """Draw after how long a customer calls again."""
        return self.lognormal_median(self.habits.return_s, self.habits.return_sigma)

    def reply(self, in_hand: int) -> int:
        """Draw how long an agent with so many sessions takes to reply."""
        slower = 1 + self.habits.reply_slower * (in_hand - 1)
        return self.lognormal_median(self.habits.reply_s * slower, self.habits.reply_sigma)

    def turns(self) -> int:
        """Draw how many times a chat goes back and forth: 1 + negative binomial with dispersion 3."""
        more = self.habits.turns - 1
        return 1 + self.poisson(self.random.gammavariate(3.0, more / 3.0))

    def score(self, waited_ms: int) -> int:
        """Draw a rating of 1 to 5; a minute of waiting costs about a tenth of the fives."""
        content = max(0.3, 0.93 - waited_ms / 600_000)
        draw = self.random.random()
        if draw < content:
            return 5
        return 4 if draw < content + (1 - content) * 0.6 else self.random.choice((3, 3, 2, 1))
