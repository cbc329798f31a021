"""Builders for tests: a publisher that makes readings as a worker would, and the floors that it publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.parts import COUNTS, FURTHER_COUNTS, FURTHER_SUMS, LEVELS, SERIES, SLOT_LEVELS, SUMS, bucket_part
from schemas.readings import (
    DATE_MS,
    QUARTER_MS,
    ROSTER_MS,
    SLICE_MS,
    ReadingKey,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from schemas.sketch import bucket_of
from schemas.zones import date_number, date_start
from sinks.merge import Merge

T0 = 1_795_269_600_000
"""2026-11-21T14:00:00Z, a quarter-hour boundary."""

Record = tuple[bytes, bytes | None]


def day_start(zone: str, at: int) -> int:
    """Return the local midnight at or before an instant."""
    return date_start(zone, date_number(zone, at))


def next_day(zone: str, at: int) -> int:
    """Return the first local midnight after an instant."""
    return date_start(zone, date_number(zone, at) + 1)


class Publisher:
    """One partition's worker: absolute values per key, a heartbeat that closes each flush.

    It keeps what it has published, so that `count` and `step` can be told as differences. Records are real bytes.
    """

    def __init__(self, partition: int = 0, *, epoch: int = 1, live: bool = True) -> None:
        self.partition, self.epoch, self.seq, self.live = partition, epoch, 0, live
        self.records: list[Record] = []
        self._values: dict[ReadingKey, dict[str, Any]] = {}
        self._changed: dict[ReadingKey, dict[str, Any] | None] = {}

    def count(self, queue: str, at: int, channel: str = "voice", /, **parts: int) -> Publisher:
        """Add parts to both slices of a queue that hold an instant."""
        return self.add("queue", queue, channel, at, parts)

    def add(self, dimension: str, name: str, channel: str, at: int, parts: Mapping[str, int]) -> Publisher:
        """Add parts to both slices of a place that hold an instant."""
        for length in (SLICE_MS, QUARTER_MS):
            self.put(dimension, name, channel, length, at, parts)
        return self

    def put(self, dimension: str, name: str, channel: str, length: int, at: int, parts: Mapping[str, int]) -> Publisher:
        """Add parts to the slice of one length that holds an instant."""
        body = self._of("slice", dimension, name, channel, length, at // length * length)
        for part, value in parts.items():
            body["parts"][part] = body["parts"].get(part, 0) + value
        return self

    def step(
        self, group: str, at: int, level: str, step: int = 1, *, ahead: bool = False, dimension: str = "group",
        lengths: Sequence[int] = (SLICE_MS, QUARTER_MS),
    ) -> Publisher:  # fmt: skip
        """Let a level of a group change at an instant; `ahead` says that the instant is still to come."""
        for length in lengths:
            start = at // length * length
            parts = self._of("slice", dimension, group, "", length, start)["parts"]
            parts[level + "_step"] = parts.get(level + "_step", 0) + step
            parts[level + "_ms"] = parts.get(level + "_ms", 0) + step * (start + length - at)
        now = self._of("now", dimension, group, "")
        now["parts"][level] = now["parts"].get(level, 0) + step
        if ahead:
            now.setdefault("ahead", []).append((at, level, step))
        return self

    def now(self, dimension: str, name: str, channel: str = "", **parts: int) -> Publisher:
        """Set the gauges of a place."""
        self._of("now", dimension, name, channel)["parts"] = parts
        return self

    def gauge(self, dimension: str, name: str, channel: str = "") -> dict[str, int]:
        """Return the gauges of a place as they stand."""
        return dict(self._of("now", dimension, name, channel)["parts"])

    def total(self, queue: str, channel: str = "voice", /, **parts: int) -> Publisher:
        """Set the running totals of a queue; parts with odd names by `**{"queue_time_hist~1000": 1}`."""
        self._of("total", "queue", queue, channel)["parts"] = parts
        return self

    def bury(self, dimension: str, name: str, channel: str, length: int, start: int) -> Publisher:
        """Write a tombstone for a slice."""
        key = ReadingKey("slice", self.partition, dimension, name, channel, length, start)  # type: ignore[arg-type]
        self._values.pop(key, None)
        self._changed[key] = None
        return self

    def flush(self, now: int, **heartbeat: Any) -> list[Record]:
        """Close the flush; returns its records, the heartbeat last."""
        self.seq += 1
        changed = {**self._changed}
        self._changed.clear()
        records = [(encode_key(key), encode_value(body, self.epoch, self.seq)) for key, body in changed.items()]
        clock = {"now": now, "watermark": now, "newest": now, "live": self.live}
        body = {"clock": clock | heartbeat.pop("clock", {}), **heartbeat}
        beat = (encode_key(ReadingKey("heartbeat", self.partition)), encode_value(body, self.epoch, self.seq))
        self.records += [*records, beat]
        return [*records, beat]

    def again(self) -> Publisher:
        """Mark everything as changed: a new owner that publishes all once more."""
        self._changed.update(self._values)
        return self

    def _of(
        self, kind: str, dimension: str, name: str, channel: str, length: int = 0, start: int = 0
    ) -> dict[str, Any]:
        key = ReadingKey(kind, self.partition, dimension, name, channel, length, start)  # type: ignore[arg-type]
        body = self._values.setdefault(key, {"parts": {}})
        self._changed[key] = body
        return body


def whole_centre(partitions: int = 3) -> list[Publisher]:
    """Return workers that together have a part of every indicator, for queue `orders` (voice) and group `north`.

    The numbers of partition p are those of the first, times p + 1; sketches hold waits of p + 1, 2(p + 1) … seconds.
    """
    workers = [Publisher(number) for number in range(partitions)]
    for worker in workers:
        times = worker.partition + 1
        counts = {part: times * (3 + number % 5) for number, part in enumerate((*COUNTS, *FURTHER_COUNTS))}
        sums = {part: times * (7_000 + 1_000 * number) for number, part in enumerate((*SUMS, *FURTHER_SUMS))}
        worker.count("orders", T0 - 60_000, **counts, **sums, reviewer_days=times)
        worker.count("orders", T0 - 60_000, "unassigned", cost_EUR_e6=times * 5_000_000, complaint_n=1, complaint_ms=9_000)
        for series in SERIES:
            buckets = Counter(bucket_part(series, bucket_of(1000 * times * n)) for n in range(1, 11))
            worker.add("queue", "orders", "voice", T0 - 60_000, buckets)
            worker.put("queue", "orders", "voice", DATE_MS, T0, buckets)
        worker.now("queue", "orders", "voice", waiting=times, waiting_late=1, active_sessions=2,
                   oldest_entered_at=T0 - 1000 * times)  # fmt: skip
        worker.now("queue", "orders", "unassigned", complaints_open=times)
        worker.now("slots", "orders", capacity=times, slots_used=times)
        for number, level in enumerate((*LEVELS, "in_hand_2", "status_offline", *SLOT_LEVELS)):
            for group in ("north", "all"):
                worker.step(group, T0 - 100_000 + 1_000 * number, level, times)
        for group in ("north", "all"):
            worker.step(group, T0 - 86_400_000, "roster", 4 * times, lengths=(ROSTER_MS,))
            worker.put("group", group, "", ROSTER_MS, T0 - 1, {"agents_left": 1})
            worker.add("group", group, "", T0 - 90_000, {"taken": 5 * times, "agent_days": 2 * times})
        worker.now("group", "all", "", **worker.gauge("group", "all"), roster_since=T0 - 86_400_000)
        worker.add("floor", "all", "", T0 - 60_000, {"reviewer_days": times})
    return workers


def feed(merge: Merge, records: Sequence[Record]) -> Merge:
    """Put records into a merge."""
    for key, value in records:
        merge.put_record(key, value)
    return merge


def slices_of(records: Sequence[Record]) -> dict[ReadingKey, dict[str, int]]:
    """Return the last value of each slice in records, read naively."""
    latest: dict[ReadingKey, dict[str, int]] = {}
    for raw_key, raw_value in records:
        key, value = decode_key(raw_key), decode_value(raw_value)
        if key.kind == "slice":
            latest.pop(key, None)
            if value is not None:
                latest[key] = value.parts
    return latest


def level_integral(steps: Sequence[tuple[int, int]], start: int, end: int) -> int:
    """Integrate a step function naively over [start, end): each step counts from its instant on."""
    return sum(step * (end - max(start, instant)) for instant, step in steps if instant < end)


__all__ = ["T0", "Publisher", "Record", "day_start", "feed", "level_integral", "next_day", "slices_of", "whole_centre"]
