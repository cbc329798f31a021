"""A partition's clock: newest event times, watermark, the present.

Theory. The watermark is the least, over the source topics, of the newest event time seen, less the allowed lateness. It only
decides when state is forgotten; it delays nothing. `live`: the present is the wall clock, and a topic that has been read to
its end and had nothing for the idle timeout does not hold the watermark back. `replay`: the present is the watermark; a topic
without a record to its end does not count, and an end-of-input marker releases the watermark to the marker's time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from schemas.events import INPUT_TOPICS
from schemas.rules import Rules


class PartitionClock:
    """Times in ms; `watermark` is None until it can be known, and never goes back."""

    def __init__(self, rules: Rules) -> None:
        """Start without any time."""
        self._rules = rules
        self.newest: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self.watermark: int | None = None

    def saw(self, topic: str, newest: int, now_ms: int) -> None:
        """Take note of a batch of a topic: its newest event time, and when it came."""
        if newest > self.newest.get(topic, -1):
            self.newest[topic] = newest
        self.heard[topic] = now_ms

    def end(self, topic: str, at: int) -> None:
        """Take note of an end-of-input marker."""
        self.ended[topic] = max(at, self.ended.get(topic, at))

    def advance(self, now_ms: int, at_end: Collection[str]) -> None:
        """Move the watermark on. `at_end`: topics that have been read to the end of their log."""
        mark = self._live(now_ms, at_end) if self._rules.live else self._replay(at_end)
        if mark is not None and (self.watermark is None or mark > self.watermark):
            self.watermark = mark

    def _live(self, now_ms: int, at_end: Collection[str]) -> int | None:
        idle_ms = self._rules.idle_ms
        marks = []
        for topic in INPUT_TOPICS:
            self.heard.setdefault(topic, now_ms)
        for topic in INPUT_TOPICS:
            if topic in at_end and now_ms - self.heard[topic] >= idle_ms:
                marks.append(now_ms - idle_ms)
            elif topic in self.newest:
                marks.append(min(self.newest[topic], now_ms))
            else:
                return None
        return min(marks) - self._rules.lateness_ms

    def _replay(self, at_end: Collection[str]) -> int | None:
        marks = []
        for topic in INPUT_TOPICS:
            if topic in self.ended:
                marks.append(max(self.ended[topic], self.newest.get(topic, 0)))
            elif topic in self.newest:
                marks.append(self.newest[topic] - self._rules.lateness_ms)
            elif topic not in at_end:
                return None
        return min(marks, default=None)

    def present(self, now_ms: int) -> int:
        """Return what counts as now: the wall clock, or in replay the watermark (0 before there is one)."""
        return now_ms if self._rules.live else self.watermark or 0

    @property
    def all_ended(self) -> bool:
        """Whether every topic's input has ended."""
        return len(self.ended) == len(INPUT_TOPICS)

    @property
    def newest_event(self) -> int | None:
        """Return the newest event time of all topics, None before the first."""
        return max(self.newest.values(), default=None)

    def freeze(self) -> list[Any]:
        """Return a msgpack-able form."""
        return [dict(self.newest), dict(self.ended), self.watermark]

    def thaw(self, frozen: list[Any]) -> None:
        """Restore what `freeze` returned."""
        self.newest, self.ended, self.watermark = dict(frozen[0]), dict(frozen[1]), frozen[2]


__all__ = ["PartitionClock"]
