"""A synchronous driver: P partitions with the relay looped back, no Kafka.

It runs the very core that a worker runs, on raw bytes. `report` and most tests use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from schemas.events import INPUT_TOPICS, KEY_OF, TOPIC_OF
from schemas.markers import end_of_input
from schemas.partitioner import PARTITIONERS
from schemas.readings import Reading
from schemas.rules import Rules
from streams.core.floor import RELAY, Floor, Reject

Record = tuple[str, bytes, bytes]
"""(logical topic, key, value)."""

_LOOPS: Final = 4
"""Flushes after the end of input at most: one books, one books what was relayed, one says that nothing is left."""


class Driver:
    """P floors side by side; what they publish is kept until it is taken."""

    def __init__(self, partitions: int, rules: Rules, floor: Callable[[int, int, Rules], Any] = Floor) -> None:
        """Start with `partitions` empty floors, made by `floor`."""
        self.floors = [floor(partition, partitions, rules) for partition in range(partitions)]
        self._flushes: list[Any] = []
        self.rejects: list[tuple[Record, Reject]] = []
        self._partition_of = PARTITIONERS[rules.partitioner]
        self._seq = 0
        self._relay: list[list[bytes]] = [[] for _ in range(partitions)]

    def apply(self, records: Sequence[Record], now_ms: int = 0) -> None:
        """Deliver records of any topics to their partitions, in order per topic and partition."""
        partitions = len(self.floors)
        lanes: dict[tuple[int, str], list[Record]] = {}
        for record in records:
            partition = self._partition_of(record[1], partitions) if record[1] and partitions > 1 else 0
            lanes.setdefault((partition, record[0]), []).append(record)
        for (partition, topic), lane in lanes.items():
            rejects = self.floors[partition].apply(topic, [r[1] for r in lane], [r[2] for r in lane], now_ms)
            self.rejects += [(lane[reject.index], reject) for reject in rejects]

    def flush(self, now_ms: int = 0, at_end: Iterable[str] = ()) -> bool:
        """Deliver what was relayed, then flush every floor; return whether anything was relayed again."""
        self._seq += 1
        relayed, self._relay = self._relay, [[] for _ in self.floors]
        for floor, lane in zip(self.floors, relayed, strict=True):
            if lane:
                floor.apply(RELAY, [None] * len(lane), lane, now_ms)
        for floor in self.floors:
            flush = floor.flush(self._seq, now_ms, frozenset(at_end))
            self._flushes.append(flush)
            for record in flush.relay:
                self._relay[record.partition].append(record.value)
        return any(self._relay)

    def finish(self, at_ms: int) -> None:
        """End the input: a marker on every topic and partition, then flushes until nothing is relayed any more."""
        marker = end_of_input(at_ms)
        self.flush()
        for floor in self.floors:
            for topic in INPUT_TOPICS:
                floor.apply(topic, [b""], [marker], at_ms)
        for _ in range(_LOOPS):
            if not self.flush(at_ms, INPUT_TOPICS):
                return

    def take(self) -> list[Reading]:
        """Return the readings published since the last call."""
        flushes, self._flushes = self._flushes, []
        return [reading for flush in flushes for reading in flush.readings]

    def throw_away(self) -> None:
        """Forget the readings published since the last call of `take`."""
        self._flushes.clear()


def record_of(event: dict[str, object], value: bytes) -> Record:
    """Return the record of a canonical event: topic by type, key by the field that the topic's row names."""
    kind = str(event.get("type"))
    key = event.get(KEY_OF.get(kind, ""), "")
    return TOPIC_OF.get(kind, "sessions"), str(key or "").encode(), value


__all__ = ["Driver", "Record", "record_of"]
