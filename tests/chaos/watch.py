"""The witness: reads readings and journal from their beginning while the chaos lasts, and says in the end what is wrong.

It keeps three views: what a board that was always there has (the highest epoch and sequence of each key), what
compaction would leave (the last record of each key), and which flushes the journal holds as valid. A reading of a flush
that the journal does not hold was published ahead of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.readings import ReadingKey, decode_key, decode_value, encode_key
from streams.journal import Claim, decode
from streams.partition import RECEIVED
from tests.chaos.load import Load, Parts, cells_of

TRAIL: Final = 5
"""So many of the last readings of each key are remembered, to explain what differs."""
Outcomes = dict[tuple[str, int], Counter[str]]


class Witness:
    """Follows one floorpulse; `names` has the full names of the topics `readings` and `journal`."""

    def __init__(self, connection: Mapping[str, Any], names: Mapping[str, str], partitions: int) -> None:
        self.read = 0
        self.stale = 0
        """Readings of an older epoch behind those of a newer one: what compaction would have kept for ever."""
        self._connection = connection
        self._names = names
        self._partitions = partitions
        self._newest: dict[bytes, tuple[int, int, bytes | None]] = {}
        self._last: dict[bytes, bytes | None] = {}
        self._trail: dict[bytes, list[tuple[int, ...]]] = {}
        self._flushes: set[tuple[int, int, int]] = set()
        self._valid: set[tuple[int, int, int]] = set()
        self._epochs: dict[int, int] = {}

    async def run(self) -> None:
        """Read for ever."""
        consumer = AIOKafkaConsumer(**self._connection, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self._names[t], p) for t in ("readings", "journal") for p in range(self._partitions)])
            while True:
                for tp, messages in (await consumer.getmany(timeout_ms=200, max_records=5_000)).items():
                    take = self._reading if tp.topic == self._names["readings"] else self._journalled
                    for message in messages:
                        take(message)
                await asyncio.sleep(0)
        finally:
            await consumer.stop()

    def _reading(self, message: Any) -> None:
        self.read += 1
        key, value = message.key, decode_value(message.value)
        if value is None:
            self._newest[key] = (1 << 62, 0, None)
        else:
            known = self._newest.get(key, (-1, -1, None))
            if (value.epoch, value.seq) >= known[:2]:
                self._newest[key] = (value.epoch, value.seq, message.value)
            else:
                self.stale += 1
            self._flushes.add((message.partition, value.epoch, value.seq))
        self._last[key] = message.value
        self._trail[key] = [*self._trail.get(key, ())[-TRAIL + 1 :], () if value is None else (value.epoch, value.seq)]

    def _journalled(self, message: Any) -> None:
        record = decode(message.value)
        if isinstance(record, Claim):
            self._epochs[message.partition] = message.offset
        elif record.epoch == self._epochs.get(message.partition) and record.part == record.parts - 1:
            self._valid.add((message.partition, record.epoch, record.seq))

    def outcomes(self) -> tuple[Outcomes, list[str]]:
        """Return what the newest heartbeats say became of the events, and where that is not what was received."""
        found: Outcomes = {}
        wrong: list[str] = []
        for partition in range(self._partitions):
            value = decode_value(self._newest.get(f'["heartbeat",{partition}]'.encode(), (0, 0, None))[2])
            if value is None:
                continue
            for topic, outcomes in value.events.items():
                found[topic, partition] = Counter(outcomes)
            received = {name.removeprefix(RECEIVED): n for name, n in value.counters.items() if name.startswith(RECEIVED)}
            counted = {topic: sum(outcomes.values()) for topic, outcomes in value.events.items()}
            if received != counted:
                wrong.append(f"partition {partition}: received {received}, counted {counted}")
        return found, wrong

    def cells(self) -> dict[ReadingKey, Parts]:
        """Return the cells as a board has them that was always there."""
        return _cells({key: value for key, (_, _, value) in self._newest.items()})

    def left_by_compaction(self) -> dict[ReadingKey, Parts]:
        """Return the cells as a board has them that starts from nothing after compaction."""
        return _cells(self._last)

    def trail(self, key: ReadingKey) -> list[tuple[int, ...]]:
        """Return (epoch, sequence) of what was published last under a key, in the order of the log; () for a tombstone."""
        return self._trail.get(encode_key(key), [])

    def unjournalled(self) -> int:
        """Return how many published flushes the journal does not hold."""
        return len(self._flushes - self._valid)

    def tell(self, load: Load) -> list[str]:
        """Say where the accounting differs from what was sent."""
        found, wrong = self.outcomes()
        for place in load.fates.keys() | found.keys():
            want, got = +load.fates.get(place, Counter()), +found.get(place, Counter())
            if want != got:
                wrong.append(f"{place}: sent {dict(want)}, counted {dict(got)}")
        return wrong


def _cells(values: Mapping[bytes, bytes | None]) -> dict[ReadingKey, Parts]:
    decoded = ((decode_key(key), decode_value(value)) for key, value in values.items())
    return dict(cells_of((key, value.parts) for key, value in decoded if value is not None))


__all__ = ["Witness"]
