"""The outlet: everything that a worker publishes, sent in batches, every batch's acknowledgement awaited.

All records of a flush for one partition of one topic travel as a few large batches, in order, instead of as single
records with a future each. The producer is another one than the journal's, so that an append never waits behind
readings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from streams.connection import COMPRESSION
from streams.journal.letters import LETTER_TOPICS, SMALL_LETTER_BYTES, cut
from streams.journal.ports import Landed
from streams.journal.record import Outgoing

BATCH_BYTES: Final = 512 << 10
"""The size of a batch before compression; brokers take 1 MiB unless told otherwise."""
MAX_REQUEST_BYTES: Final = 8 << 20
"""The size of a batch that holds a single large letter."""


class _Sent(NamedTuple):
    """A batch on its way: how many records it holds, and the future of its place."""

    records: int
    future: asyncio.Future[Any]


class Outlet:
    """Send records to the topics of `names` (short name to full name); `start` before anything else.

    `compression` is one of aiokafka's: `gzip`, `snappy`, `lz4`, `zstd`, or None.
    """

    def __init__(self, names: Mapping[str, str], connection: Mapping[str, Any], compression: str | None = COMPRESSION) -> None:
        self._names = names
        self._connection = connection
        self._compression = compression
        self._counts: dict[str, int] = {}
        self._producer: Any = None

    async def start(self) -> None:
        """Connect, and learn how many partitions the topics have."""
        self._producer = AIOKafkaProducer(
            **self._connection,
            acks="all",
            enable_idempotence=True,
            compression_type=self._compression,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        await self._producer.start()
        for short, name in self._names.items():
            self._counts[short] = len(await self._producer.partitions_for(name))

    async def stop(self) -> None:
        """Disconnect; what is under way is given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], Landed]:
        """Send records, return once all replicas have all of them, and tell where they lie (large letters excepted).

        Per topic and partition the order stays. A partition beyond a topic's last one wraps around, for topics that are
        laid out otherwise.
        """
        by_target: dict[tuple[str, int], list[Outgoing]] = {}
        for record in records:
            target = record.topic, record.partition % self._counts[record.topic]
            by_target.setdefault(target, []).append(record)
        sending = []
        for (topic, number), group in by_target.items():
            large = [record for record in group if _is_large(record)] if topic in LETTER_TOPICS else []
            small = [record for record in group if not _is_large(record)] if large else group
            sending.append(self._send_to(self._names[topic], number, small))
            sending += [self._send_large(self._names[topic], number, record) for record in large]
        batches = [batch for sent in await asyncio.gather(*sending) for batch in sent]
        places = await asyncio.gather(*(batch.future for batch in batches))
        short = {name: short for short, name in self._names.items()}
        landed: dict[tuple[str, int], Landed] = {}
        for place, batch in zip(places, batches, strict=True):
            end, count = landed.get((target := (short[place.topic], place.partition)), Landed(1, 0))
            end = max(end, place.offset + batch.records) if end > 0 and place.offset >= 0 else 0
            landed[target] = Landed(end, count + batch.records)
        return landed

    async def _send_large(self, topic: str, partition: int, record: Outgoing) -> list[_Sent]:
        """Send a large letter whole, or cut where the topic's limit asks for it: it must never end the worker."""
        (sent,) = await self._send_to(topic, partition, [record])
        try:
            await sent.future
        except MessageSizeTooLargeError:
            return await self._send_to(topic, partition, [cut(record, SMALL_LETTER_BYTES)])
        return []

    async def _send_to(self, topic: str, partition: int, records: Sequence[Outgoing]) -> list[_Sent]:
        if not records:
            return []
        batch = self._producer.create_batch()
        sent = []
        for record in records:
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is None:  # full
                sent.append(_Sent(batch.record_count(), await self._producer.send_batch(batch, topic, partition=partition)))
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
        sent.append(_Sent(batch.record_count(), await self._producer.send_batch(batch, topic, partition=partition)))
        return sent


def _is_large(record: Outgoing) -> bool:
    return record.value is not None and len(record.value) > SMALL_LETTER_BYTES


__all__ = ["Outlet"]
