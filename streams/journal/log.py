"""The journal's topic: append, claim and load, delete what is no longer needed.

Theory of operation. `append` returns the offset that the broker gave the record, and every append is awaited: the
offset tells the owner whether somebody else has written in between, and `claimed` whether that was a new owner. The producer
is idempotent and waits for all
replicas; it retries for as long as the broker is away, in order, so an append either ends with an offset, or its writer
gives up and the next load says what became of it.

A load reads up to the log's end first and claims then, so a journal that this program must not touch (a newer version,
another layout, a lost beginning) is refused before anything is written. The claim is the end marker: what another
writer had appended until then still counts. A predecessor may delete old records while we read; the hole that this
makes is answered by reading again.

Records are packed here, large ones in a thread beside the event loop, which has no core to spare on a backlog. Each
partition awaits its append before the next, so their order stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from kafka import TopicPartition as AdminTopicPartition
from kafka.errors import KafkaError as AdminKafkaError

from schemas.errors import FloorpulseError, JournalError, JournalTruncated, KafkaUnreachable
from streams.connection import open_admin
from streams.journal.fold import Fold, Folded
from streams.journal.record import Claim, decode, encode, pack

STALL_S: Final = 30.0
"""How long a load may see no record before it gives up."""
FIRST_PAUSE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 3600.0
"""Pauses before a broker that did not delete records is asked again."""
POLL_MS: Final = 200
"""How long one question for more records may take."""
LARGE_BYTES: Final = 32 << 10
"""A record from this size on is packed beside the event loop; below, it takes less than the way there and back (some 0.1 ms)."""
_ATTEMPTS: Final = 3
_FETCH_BYTES: Final = 4 << 20

_log = structlog.get_logger(__name__)


class Journal:
    """The journal topic, for all partitions that one worker owns; `start` before anything else."""

    def __init__(
        self,
        topic: str,
        connection: Mapping[str, Any],
        admin: Mapping[str, Any],
        *,
        owner: str,
        record_bytes: int,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.topic = topic
        self.record_bytes = record_bytes
        """The most that one record may take."""
        self.bytes_written = 0
        self.records_written = 0
        self.read_s = time.monotonic()
        """When a load has read the last records, or something was made of them."""
        self._connection = connection
        self._admin = admin
        self._owner = owner
        self._clock_ms = clock_ms
        self._producer: Any = None
        self._packer: ThreadPoolExecutor | None = None
        self._pause_s = FIRST_PAUSE_S
        self._asked_again_s = 0.0

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._connection,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=self.record_bytes + (64 << 10),
        )
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="pack")
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; appends under way are given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
        packer, self._packer = self._packer, None
        if packer is not None:
            packer.shutdown(wait=False)

    async def partitions(self) -> int:
        """Return the number of partitions of the topic."""
        return len(await self._producer.partitions_for(self.topic))

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Append a record and return its offset once all replicas have it (-1: it is there, but where is unknown)."""
        producer = self._producer
        if len(value) < LARGE_BYTES:
            packed = pack(value)
        else:
            packed = await asyncio.get_running_loop().run_in_executor(self._packer, pack, value)
        size = len(value)
        del value  # it may be megabytes, which are not needed while the broker writes
        future = await producer.send(self.topic, packed, partition=partition)
        offset: int = (await future).offset
        self.bytes_written += size
        self.records_written += 1
        return offset

    async def claim(self, partition: int) -> int:
        """Take a partition over and return the epoch."""
        return await self.append(partition, encode(Claim(self._owner, self._clock_ms())))

    async def claimed(self, partition: int, start: int, stop: int) -> bool:
        """Tell whether one of the records from `start` up to, without, `stop` is a claim.

        So it is where one of them has been deleted: only an owner deletes, and nothing that it has not written again itself.
        """
        async with reading(self._connection) as consumer:
            begins, _ = await span(consumer, self.topic, [partition])
            if begins[partition] > start:
                return True
            consumer.seek(TopicPartition(self.topic, partition), start)
            position = start
            while position < stop:
                for message in await _more(consumer, self.topic):
                    if position < stop and (message.offset > position or isinstance(decode(message.value), Claim)):
                        return True
                    position = message.offset + 1
        return False

    async def load(self, owned: Collection[int]) -> dict[int, Folded]:
        """Claim the partitions and fold what they hold; raises `JournalError`, `KafkaUnreachable`."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._load(owned)
            except JournalTruncated:
                _log.info("journal.read_again", topic=self.topic, partitions=sorted(owned))
        return await self._load(owned)

    async def forget(self, before: Mapping[int, int]) -> bool:
        """Delete the records below an offset, per partition; tell whether it was done.

        A broker that cannot delete, or cannot be reached, is asked again after pauses that get longer and longer.
        """
        if not before or time.monotonic() < self._asked_again_s:
            return False
        try:
            await asyncio.to_thread(self._delete, before)
        except (AdminKafkaError, FloorpulseError, NotImplementedError) as error:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._asked_again_s = time.monotonic() + self._pause_s
            _log.warning("journal.not_deleted", topic=self.topic, error=str(error) or repr(error), again_s=self._pause_s)
            return False
        self._pause_s = FIRST_PAUSE_S
        return True

    def _delete(self, before: Mapping[int, int]) -> None:
        with open_admin(self._admin) as admin:
            admin.delete_records({AdminTopicPartition(self.topic, p): offset for p, offset in before.items()})

    async def _load(self, owned: Collection[int]) -> dict[int, Folded]:
        total = await self.partitions()
        claims: dict[int, int] = {}
        async with reading(self._connection) as consumer:
            begins, ends = await span(consumer, self.topic, owned)
            folds = {partition: Fold(partition, total, begins[partition]) for partition in owned}
            for partition in owned:
                consumer.seek(TopicPartition(self.topic, partition), begins[partition])
            while True:
                for partition, fold in folds.items():
                    if partition not in claims and fold.next >= ends[partition]:
                        fold.check()
                        claims[partition] = await self.claim(partition)
                if all(partition in claims and fold.next >= claims[partition] for partition, fold in folds.items()):
                    return {partition: fold.result(claims[partition]) for partition, fold in folds.items()}
                messages = await _more(consumer, self.topic)
                self.read_s = time.monotonic()
                for message in messages:
                    if message.offset < claims.get(message.partition, message.offset + 1):
                        self._fold(folds[message.partition], message)

    def _fold(self, fold: Fold, message: Any) -> None:
        try:
            fold.add(message.offset, decode(message.value))
        except JournalError as error:
            where = f"topic {self.topic}, partition {message.partition}, offset {message.offset}"
            raise type(error)(f"{error} ({where})") from None


@asynccontextmanager
async def reading(connection: Mapping[str, Any]) -> AsyncIterator[Any]:
    """Open a consumer without a group that starts at the earliest record and sees no aborted transaction."""
    consumer = AIOKafkaConsumer(
        **connection,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def span(consumer: Any, topic: str, partitions: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Assign partitions and return the offsets at which they begin and end."""
    tps = [TopicPartition(topic, partition) for partition in partitions]
    consumer.assign(tps)
    begins = await consumer.beginning_offsets(tps)
    ends = await consumer.end_offsets(tps)
    return {tp.partition: begins[tp] for tp in tps}, {tp.partition: ends[tp] for tp in tps}


async def records_from(connection: Mapping[str, Any], topic: str, partition: int, start: int) -> AsyncGenerator[Any]:
    """Read the records of a log from `start` on, up to its end; raises `KafkaUnreachable`.

    The last offsets may hold no record (a transaction's marker), so the client's position tells when the end is reached.
    """
    tp = TopicPartition(topic, partition)
    try:
        async with reading(connection) as consumer:
            begins, ends = await span(consumer, topic, [partition])
            position = max(start, begins[partition])
            consumer.seek(tp, position)
            moved_s = time.monotonic()
            while position < ends[partition]:
                for messages in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for message in messages:
                        yield message
                before, position = position, await consumer.position(tp)
                moved_s = moved_s if position == before else time.monotonic()
                if time.monotonic() > moved_s + STALL_S:
                    raise _stalled(topic)
    except KafkaError as error:
        raise KafkaUnreachable(f"cannot read topic {topic}, partition {partition}: {error!r}") from error


async def offsets_from(connection: Mapping[str, Any], topic: str, partition: int, start: int) -> AsyncGenerator[int]:
    """Read which offsets a log holds from `start` on, up to its end; raises `KafkaUnreachable`."""
    async with aclosing(records_from(connection, topic, partition, start)) as records:
        async for record in records:
            yield record.offset


async def begin_of(connection: Mapping[str, Any], topic: str, partition: int) -> int:
    """Ask for the first offset that a log still holds; raises `KafkaUnreachable`."""
    try:
        async with reading(connection) as consumer:
            return (await span(consumer, topic, [partition]))[0][partition]
    except KafkaError as error:
        raise KafkaUnreachable(f"cannot ask for topic {topic}, partition {partition}: {error!r}") from error


async def _more(consumer: Any, topic: str) -> list[Any]:
    """Wait for the next records; raises `KafkaUnreachable` when none come."""
    found = await consumer.getmany(timeout_ms=int(STALL_S * 1000))
    if not found:
        raise _stalled(topic)
    return [message for messages in found.values() for message in messages]


def _stalled(topic: str) -> KafkaUnreachable:
    return KafkaUnreachable(f"no record of topic {topic} came within {STALL_S:.0f} s, though the log has more")


__all__ = ["STALL_S", "Journal", "begin_of", "offsets_from", "reading", "records_from", "span"]
