"""The last hour of each queue, for trend lines: the longest wait and how many waited, per 10 s the highest.

A board remembers this by itself, since nothing that is published tells it afterwards: after a start the line begins anew. Memory:
two rings of 360 numbers per queue and channel, 3 kB, for at most `MAX_PLACES` of them, 3 MB.
"""

from __future__ import annotations

from array import array
from typing import Any, Final

from sinks.gauges import OLDEST
from sinks.snapshot import Snapshot

STEP_MS: Final = 10_000
STEPS: Final = 360
MAX_PLACES: Final = 1000
"""Places with a trend line, first come, first served."""
SET_BACK_MS: Final = 60_000
"""A clock that is set back by less changes nothing: what comes counts for the present step, until the clock has caught up."""
_UNKNOWN: Final = -1
_MOST: Final = (1 << 31) - 1

Rings = tuple["array[int]", "array[int]"]


class Trends:
    """Rings of (longest wait in s, waiting) per (queue, channel). `take` belongs to one thread at a time."""

    def __init__(self) -> None:
        self._rings: dict[tuple[str, str], Rings] = {}
        self._now: int | None = None
        """The floor's clock, as late as it has been."""

    def take(self, snapshot: Snapshot) -> None:
        """Take what is the case now."""
        if not snapshot.ready or snapshot.now is None:
            return
        at = self._move(snapshot.now) // STEP_MS % STEPS
        for view in snapshot.session_queues:
            oldest = view.now.get(OLDEST)
            wait_s = 0 if oldest is None else max(0, snapshot.now - oldest) // 1000
            rings = self._rings_of((view.name, view.channel))
            if rings is not None:
                waits, waiting = rings
                waits[at] = max(waits[at], min(wait_s, _MOST))
                waiting[at] = max(waiting[at], min(view.now.get("waiting", 0), _MOST))

    def of(self, queue: str, channel: str) -> dict[str, Any]:
        """Return the last hour, oldest step first; None: not known."""
        rings, now = self._rings.get((queue, channel)), self._now
        body: dict[str, Any] = {"queue": queue, "channel": channel, "step_s": STEP_MS // 1000, "start_ms": None}
        if rings is None or now is None:
            return {**body, "oldest_wait_s": [], "waiting": []}
        step = now // STEP_MS
        turned = [[None if n == _UNKNOWN else n for n in _turned(ring, step)] for ring in rings]
        return {**body, "start_ms": (step - STEPS + 1) * STEP_MS, "oldest_wait_s": turned[0], "waiting": turned[1]}

    def _rings_of(self, place: tuple[str, str]) -> Rings | None:
        found = self._rings.get(place)
        if found is None and len(self._rings) < MAX_PLACES:
            found = self._rings[place] = array("i", [_UNKNOWN]) * STEPS, array("i", [_UNKNOWN]) * STEPS
        return found

    def _move(self, now: int) -> int:
        """Make room up to now, and return it: what was there an hour before goes; so does all when the clock goes far back."""
        before = now if self._now is None else self._now
        if before - SET_BACK_MS < now < before:
            return before
        self._now, first, last = now, before // STEP_MS + 1, now // STEP_MS
        if now < before or last - first >= STEPS - 1:
            self._rings.clear()
            return now
        for number in range(first, last + 1):
            for rings in self._rings.values():
                for ring in rings:
                    ring[number % STEPS] = _UNKNOWN
        return now


def _turned(ring: array[int], step: int) -> list[int]:
    first = (step + 1) % STEPS
    return [*ring[first:], *ring[:first]]


__all__ = ["MAX_PLACES", "SET_BACK_MS", "STEPS", "STEP_MS", "Trends"]
