"""A report's floor in shares: each takes the keys of one partition, and all go on in step.

Theory of operation. A key's events all go to one share, as to a partition on Kafka, and what another key must know goes there by
relay. Sums over shares are the sums of one floor. What would still depend on how many shares there are is only what the
clock decides: what is late, and when state is forgotten. So at each flush all shares hear of the newest event time of each topic of
any of them, and of each other's watermarks whenever one floor alone would have heard its own. Flushes come after the same lines for
any number of shares, so a table is the same to the byte.

A `Share` answers messages and knows nothing of where it runs; a `Seat` carries them: in this process (`Here`), or to one of its own
(`streams/jobs.py`). `Shares` leads all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, TypeVar

from schemas.events import INPUT_TOPICS
from schemas.readings import Dimension, Reading, ReadingKey
from streams.lines import Lanes
from streams.share import MAX_COMPLAINTS, Answer, Complaint, End, Flush, Flushed, Message, Pause, Share, Show, Shown, Standing, Take

FOR_EVER_MS: Final = 1 << 60
"""Later than any event time, longer than any span."""
_LOOPS: Final = 4
"""Flushes after the end of input at most: one books, one books what was relayed, one says that nothing is left."""
Kind = TypeVar("Kind")


class Seat(Protocol):
    """Where a share is."""

    def send(self, message: Message) -> None:
        """Give a message; waits until it is under way, not until it is done."""

    def receive(self) -> Answer:
        """Return the next answer, waiting for it."""


class Here:
    """A share in this process."""

    def __init__(self, share: Share) -> None:
        """Seat a share."""
        self._share = share
        self._answers: deque[Answer] = deque()

    def send(self, message: Message) -> None:
        """Let the share do it."""
        self._answers.extend(self._share.answers(message))

    def receive(self) -> Answer:
        """Return the next answer."""
        return self._answers.popleft()


class Shares:
    """Leads all shares through a file and to its end."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        """Lead the shares on these seats, of which each is fresh."""
        self._seats = seats
        self._flushed: list[Flushed] | None = []
        """What came of the last flush; None while that is still to be heard."""
        self._numbers: list[dict[tuple[int, str], list[int]]] = []
        self._batch = 0
        self.newest_ms = 0
        """The newest event time of all, as of the last flush."""
        self.outcomes: dict[str, int] = {}
        self.complaints: list[tuple[int, int, Complaint]] = []
        """(batch, line number, complaint), the first ones."""

    def take(self, lanes: Lanes) -> None:
        """Give each share its part of a batch."""
        for number, seat in enumerate(self._seats):
            mine = ((topic, lanes.get((number, topic))) for topic in INPUT_TOPICS)
            seat.send(Take([(topic, lane.keys, lane.values) for topic, lane in mine if lane is not None]))
        self._numbers.append({place: lane.numbers for place, lane in lanes.items()})

    def flush(self, at_ms: int = 0, at_end: tuple[str, ...] = INPUT_TOPICS, until_ms: int = FOR_EVER_MS) -> bool:
        """Bring all shares to the same clock, deliver what was relayed, and let them flush; does not wait for it.

        Where all topics have been read beyond `until_ms` they do not flush, and False is returned: what is still to come would
        find its sessions forgotten.
        """
        seats = self._seats
        last = self._hear()
        for seat in seats:
            seat.send(Pause())
        standings = [_is(seat.receive(), Standing) for seat in seats]
        newest: dict[str, int] = {}
        for standing in standings:
            for topic, at in standing.newest.items():
                newest[topic] = max(at, newest.get(topic, at))
        self._note(standings, newest)
        if min(newest.values(), default=0) > until_ms:
            return False
        mark = last[0].mark if _anything(last) else None
        for number, seat in enumerate(seats):
            relay = [record for flushed in last for record in flushed.relay[number]]
            seat.send(Flush(newest, mark, relay, at_ms, at_end))
        self._flushed = None
        return True

    def _hear(self) -> list[Flushed]:
        if self._flushed is None:
            self._flushed = [_is(seat.receive(), Flushed) for seat in self._seats]
        return self._flushed

    def _note(self, standings: list[Standing], newest: dict[str, int]) -> None:
        self.newest_ms = max(newest.values(), default=0)
        self.outcomes = {}
        for number, standing in enumerate(standings):
            for outcome, count in standing.outcomes.items():
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
            for each in standing.complaints:
                line = self._numbers[each.batch - self._batch][number, each.topic][each.place]
                self.complaints.append((each.batch, line, each))
        self.complaints = sorted(self.complaints)[:MAX_COMPLAINTS]
        self._batch += len(self._numbers)
        self._numbers = []

    def finish(self) -> int:
        """End the input at its newest event time, flush until nothing is relayed any more, and return that time."""
        self.flush(at_end=())
        at_ms = self.newest_ms
        for seat in self._seats:
            seat.send(End(at_ms))
        for _ in range(_LOOPS):
            self.flush(at_ms)
            if not _anything(self._hear()):
                break
        return at_ms

    def readings(self, dimensions: Sequence[Dimension]) -> Iterator[list[Reading]]:
        """Yield all quarter-hours and levels of some dimensions, some at a time."""
        for seat in self._seats:
            seat.send(Show(list(dimensions)))
        for number, seat in enumerate(self._seats):
            more = True
            while more:
                shown = _is(seat.receive(), Shown)
                more = shown.more
                yield [_reading(number, *reading) for reading in shown.readings]


def _anything(flushed: Sequence[Flushed]) -> bool:
    """Tell whether anything was relayed."""
    return any(lane for each in flushed for lane in each.relay)


def _is(answer: Answer, kind: type[Kind]) -> Kind:
    assert isinstance(answer, kind), answer
    return answer


def _reading(share: int, kind: str, dimension: str, name: str, channel: str, length: int, start: int, parts: dict[str, int],
             ahead: list[tuple[int, str, int]]) -> Reading:  # fmt: skip
    key = ReadingKey(kind, share, dimension, name, channel, length, start)  # type: ignore[arg-type]  # as the share had them
    return Reading(key, {"parts": parts, "ahead": ahead})


__all__ = ["FOR_EVER_MS", "Here", "Seat", "Shares"]
