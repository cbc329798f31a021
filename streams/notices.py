"""What a worker tells of its input without being asked: rejected events, a silent source, a clock that is wrong.

Theory of operation. Every batch is noted where it is taken (`Seen.took`), by counts and places only: what an event says is
personal and never kept here. `Watch.due` is asked once a second and returns what is to be told, each kind at most once in
`EVERY_S`: rejected events by reason with one place to look at, as soon as the first one comes; a topic whose events were all too
far ahead during a minute; and once per silence that nothing comes though Kafka answers, and later that it does again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from prometheus_client import Histogram

from schemas.durations import spoken
from schemas.instants import format_second
from streams.journal.ports import Record, Reject

EVERY_S: Final = 60.0
SILENT_S: Final = 60.0
"""Without an event for so long a source is silent."""
LEAST_AHEAD: Final = 3
"""So few events of a topic say nothing about a clock."""
BATCH_BUCKETS: Final = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
AHEAD: Final = "from_the_future"
"""The reason of an event that is too far ahead of the clock."""
RELAY: Final = "relay"
_AHEAD_S: Final = re.compile(r"(\d+) s ahead")


class Notice(NamedTuple):
    """One line of the log: level, name, words for people, and the same as fields."""

    level: str
    event: str
    message: str
    fields: Mapping[str, Any] = {}


@dataclass(slots=True)
class Ahead:
    """Of one topic since the last look: how many events came, how many were too far ahead, and by how much."""

    taken: int = 0
    ahead: int = 0
    ahead_ms: int = 0


@dataclass
class Seen:
    """What came in since it was last told: by outcome of its target topic and reason, with the first one's place."""

    batches: Histogram = field(
        default_factory=lambda: Histogram(
            "floorpulse_worker_batch_records",
            "Records of one topic and partition that were counted together",
            buckets=BATCH_BUCKETS,
            registry=None,
        )
    )
    events: int = 0
    """Events taken from all inputs, the relay left out."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], tuple[str, int, int]] = field(default_factory=dict)
    topics: dict[str, Ahead] = field(default_factory=dict)

    def took(self, topic: str, partition: int, records: Sequence[Record], rejects: Sequence[Reject]) -> None:
        """Note a batch of an input: topic by its short name, and what of it was set aside."""
        self.batches.observe(len(records))
        if topic == RELAY:
            return
        self.events += len(records)
        ahead = self.topics.setdefault(topic, Ahead())
        ahead.taken += len(records)
        for reject in rejects:
            key = ("late" if reject.outcome == "late" else "dead-letters", reject.reason)
            self.rejected[key] += 1
            self.examples.setdefault(key, (topic, partition, records[reject.index].offset))
            if reject.reason == AHEAD:
                ahead.ahead += 1
                ahead.ahead_ms = _ahead_ms(reject.detail)


class Input(NamedTuple):
    """How the inputs are at one moment: partitions owned, records not read yet, the newest event's time."""

    partitions: int
    lag: int
    newest_ms: int | None


class Watch:
    """Says what is to be told of what was seen; times are of any clock that only goes forward."""

    def __init__(self, seen: Seen, names: Mapping[str, str], prefix: str, max_ahead_ms: int, *, live: bool) -> None:
        self._seen = seen
        self._names = names
        self._prefix = prefix
        self._max_ahead_ms = max_ahead_ms
        self._live = live
        self._told_s: float | None = None
        self._looked_s: float | None = None
        self._heard = -1
        self._heard_s = 0.0
        self._silent = False

    def due(self, now_s: float, now_ms: int, state: Input | None) -> list[Notice]:
        """Return what is to be told now; `state` is None while the worker has not joined and loaded."""
        return [*self._rejected(now_s), *self._clocks(now_s, now_ms), *self._silence(now_s, state)]

    def last(self) -> list[Notice]:
        """Return what was rejected and has not been told yet, at the end."""
        return list(self._rejected(None))

    def _rejected(self, now_s: float | None) -> Iterator[Notice]:
        seen = self._seen
        if not seen.rejected or (now_s is not None and self._told_s is not None and now_s < self._told_s + EVERY_S):
            return
        self._told_s = now_s
        for (target, reason), count in seen.rejected.items():
            topic, partition, offset = seen.examples[target, reason]
            place = f"{self._names[topic]}[{partition}]@{offset}"
            text = f"{count} event{'s' * (count != 1)} to {self._names[target]}: {reason}, e.g. {place}"
            fields = {"count": count, "topic": self._names[target], "reason": reason, "example": place}
            yield Notice("warning", "events.rejected", text, fields)
        seen.rejected.clear()
        seen.examples.clear()

    def _clocks(self, now_s: float, now_ms: int) -> Iterator[Notice]:
        if self._looked_s is None:
            self._looked_s = now_s
        if now_s < self._looked_s + EVERY_S:
            return
        self._looked_s = now_s
        topics, self._seen.topics = self._seen.topics, {}
        for topic, each in topics.items():
            if each.ahead >= LEAST_AHEAD and each.ahead == each.taken:
                name, ahead, limit = self._names[topic], spoken(each.ahead_ms), spoken(self._max_ahead_ms)
                text = (
                    f"{each.ahead} of {each.taken} events of {name} in the last minute are {ahead} ahead of this clock (limit "
                    f"time.max_ahead {limit}), sent to {self._names['dead-letters']}: {AHEAD}. One clock is wrong (here "
                    f"{format_second(now_ms)}): check NTP on both"
                )
                yield Notice("error", "clock.ahead", text, {"topic": name, "count": each.ahead, "ahead_ms": each.ahead_ms})

    def _silence(self, now_s: float, state: Input | None) -> Iterator[Notice]:
        if self._seen.events != self._heard or state is None or not state.partitions:
            if self._silent and self._seen.events != self._heard:
                text = f"events come again, after {spoken(round((now_s - self._heard_s) * 1000))} without one"
                yield Notice("info", "input.heard", text, {"silent_s": round(now_s - self._heard_s)})
                self._silent = False
            self._heard, self._heard_s = self._seen.events, now_s if not self._silent else self._heard_s
        elif self._live and not self._silent and state.lag == 0 and now_s >= self._heard_s + SILENT_S:
            self._silent = True
            newest = "none" if state.newest_ms is None else format_second(state.newest_ms)
            text = (
                f"no event for {SILENT_S:.0f} s ({state.partitions} partitions, lag 0, newest event {newest}). Kafka answers, so "
                f'the source is silent: check the producer and kafka.topic_prefix (now "{self._prefix}"). To see something move: '
                "floorpulse simulate --rate 5"
            )
            yield Notice("warning", "input.silent", text, {"partitions": state.partitions})


def _ahead_ms(detail: str) -> int:
    """Return how far ahead an event was, which the core says in words."""
    found = _AHEAD_S.search(detail)
    return int(found[1]) * 1000 if found else 0


def newest_of(heartbeats: Collection[Mapping[str, Any]]) -> int | None:
    """Return the newest event time that heartbeats name."""
    return max((each["clock"]["newest"] for each in heartbeats if each.get("clock", {}).get("newest") is not None), default=None)


__all__ = ["EVERY_S", "SILENT_S", "Ahead", "Input", "Notice", "Seen", "Watch", "newest_of"]
