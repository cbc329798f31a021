"""Keep the agenda of a simulation and write its events: simulated time passes from one task to the next."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any, Literal

from streams.simulator.model import Event, Record


class Clock:
    """The simulated time, what is to be done when, and what has been written at this moment."""

    def __init__(self, start_ms: int, run: str, times: Literal["rfc3339", "ms"]) -> None:
        """Start at a time; `run` makes the ids of this run different from those of any other."""
        self.now = start_ms
        self.run = run
        self.written = 0
        self._text_times = times == "rfc3339"
        self._second = (-1, "")
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._tasks = 0
        self._out: list[Record] = []

    def after(self, delay_ms: int, task: Callable[..., None], *args: object) -> None:
        """Put a task on the agenda; those of one moment are done in the order in which they were put."""
        self.at(self.now + delay_ms, task, *args)

    def at(self, at_ms: int, task: Callable[..., None], *args: object) -> None:
        """Put a task on the agenda for a time that is not past."""
        self._tasks += 1
        heappush(self._agenda, (at_ms, self._tasks, task, args))

    def write(self, topic: str, key: str, kind: str, /, **fields: object) -> None:
        """Write an event of this moment."""
        self.written += 1
        event: Event = {"id": f"{self.run}-{self.written}", "type": kind, "at": self._stamp(), **fields}
        self._out.append((self.now, topic, key, event))

    def drain(self) -> list[Record]:
        """Return what was written since the last call."""
        out, self._out = self._out, []
        return out

    def pass_until(self, end_ms: int | None) -> Iterator[Record]:
        """Do the tasks before a time, or for ever, and yield what they write."""
        agenda = self._agenda
        while agenda and (end_ms is None or agenda[0][0] < end_ms):
            self.step()
            if self._out:
                yield from self.drain()

    def step(self) -> bool:
        """Do the next task; False if there is none."""
        if not self._agenda:
            return False
        self.now, _, task, args = heappop(self._agenda)
        task(*args)
        return True

    def _stamp(self) -> str | int:
        """Return this moment as the centre writes times."""
        if not self._text_times:
            return self.now
        second, milli = divmod(self.now, 1000)
        if self._second[0] != second:
            self._second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second[1]}.{milli:03d}Z"
