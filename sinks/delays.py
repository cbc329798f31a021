"""A small histogram of durations, kept by the reader and copied into each snapshot."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

LIMITS_MS: Final[tuple[int, ...]] = (50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)


@dataclass(frozen=True, slots=True)
class Delays:
    """Counts per limit, the last one beyond all limits, and the sum in ms."""

    counts: tuple[int, ...] = (0,) * (len(LIMITS_MS) + 1)
    sum_ms: int = 0

    def with_one(self, delay_ms: int) -> Delays:
        """Return it with one more duration; a negative one (clocks differ) counts as 0."""
        delay_ms = max(0, delay_ms)
        counts = list(self.counts)
        counts[bisect_left(LIMITS_MS, delay_ms)] += 1
        return Delays(tuple(counts), self.sum_ms + delay_ms)


def limit_text(limit_ms: int) -> str:
    """Return a limit as the value of a label `le`: seconds, always with a decimal point."""
    return repr(limit_ms / 1000)


__all__ = ["LIMITS_MS", "Delays", "limit_text"]
