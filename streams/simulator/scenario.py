"""Script what happens to a centre from outside: outages and surges, once or in a cycle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from streams.simulator.centre import Centre

DEMO_CYCLE_MS = 480_000


@dataclass(frozen=True, slots=True)
class Outage:
    """The agents of a queue cannot take anything in `[start_ms, end_ms)`; somebody calls at its start, and is patient."""

    queue: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Surge:
    """A queue's arrivals are `factor` times the usual in `[start_ms, end_ms)`."""

    queue: str
    factor: float
    start_ms: int
    end_ms: int


class Step(NamedTuple):
    """Something begins or ends: when, and in words."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Outages and surges in event time; with `every_ms` all of them come again and again, the first time as written."""

    outages: tuple[Outage, ...] = ()
    surges: tuple[Surge, ...] = ()
    every_ms: int | None = None

    def outage(self, queue: str, start_ms: int, end_ms: int) -> Self:
        """Return the scenario with an outage more."""
        return replace(self, outages=(*self.outages, Outage(queue, start_ms, end_ms)))

    def surge(self, queue: str, factor: float, start_ms: int, end_ms: int) -> Self:
        """Return the scenario with a surge more."""
        return replace(self, surges=(*self.surges, Surge(queue, factor, start_ms, end_ms)))

    def repeating(self, every_ms: int) -> Self:
        """Return the scenario with all of it coming again every so many milliseconds."""
        return replace(self, every_ms=every_ms)

    @property
    def items(self) -> tuple[Outage | Surge, ...]:
        """Return all outages and surges."""
        return (*self.outages, *self.surges)

    def outage_end(self, queue: str, at_ms: int) -> int | None:
        """Return when the outage ends that the queue is in at that time; None outside of one."""
        ends = (self._end(item, at_ms) for item in self.outages if item.queue == queue)
        return max((end for end in ends if end is not None), default=None)

    def factor(self, queue: str, at_ms: int) -> float:
        """Return by how much the queue's arrivals are multiplied at that time."""
        product = 1.0
        for item in self.surges:
            if item.queue == queue and self._end(item, at_ms) is not None:
                product *= item.factor
        return product

    def next_change(self, at_ms: int) -> int | None:
        """Return the first time after `at_ms` at which anything begins or ends."""
        first: int | None = None
        for item in self.items:
            for edge in (item.start_ms, item.end_ms):
                passed = (at_ms - edge) // self.every_ms + 1 if edge <= at_ms and self.every_ms else 0
                at = edge + passed * (self.every_ms or 0)
                if at > at_ms and (first is None or at < first):
                    first = at
        return first

    def steps(self, after_ms: int) -> Iterator[Step]:
        """Yield what begins or ends after a time, in order; without end if the scenario repeats."""
        at = self.next_change(after_ms)
        while at is not None:
            for out in self.outages:
                before, now = self._end(out, at - 1), self._end(out, at)
                if before is None and now is not None:
                    yield Step(at, f"simulated outage: {out.queue} agents cannot take calls")
                elif now is None and before is not None:
                    yield Step(at, f"{out.queue} agents come back")
            for surge in self.surges:
                before, now = self._end(surge, at - 1), self._end(surge, at)
                if before is None and now is not None:
                    yield Step(at, f"{surge.queue} surge, {surge.factor:g} times as many arrivals")
                elif now is None and before is not None:
                    yield Step(at, f"{surge.queue} surge ends")
            at = self.next_change(at)

    def _end(self, item: Outage | Surge, at_ms: int) -> int | None:
        """Return the end of the item's occurrence that covers a time, None if none does."""
        shift = 0
        if self.every_ms and at_ms > item.start_ms:
            shift = (at_ms - item.start_ms) // self.every_ms * self.every_ms
        return item.end_ms + shift if item.start_ms + shift <= at_ms < item.end_ms + shift else None


def demo_scenario(live_start_ms: int, centre: Centre | None = None) -> Scenario:
    """Return the demo's story, every 8 min from 45 s before the live start on.

    The first voice queue (Orders) is out for 2 min; from 90 s after the live start the first chat queue (Sales chat)
    gets three times its chats for a minute. A queue that the centre does not have is left out.
    """
    queues = (centre or Centre.default()).queues
    voice = next((queue.name for queue in queues if queue.channel == "voice"), None)
    chat = next((queue.name for queue in queues if queue.channel == "chat"), None)
    story = Scenario().repeating(DEMO_CYCLE_MS)
    if voice is not None:
        story = story.outage(voice, live_start_ms - 45_000, live_start_ms + 75_000)
    if chat is not None:
        story = story.surge(chat, 3.0, live_start_ms + 90_000, live_start_ms + 150_000)
    return story
