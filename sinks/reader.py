"""The reader: all of the readings topic, from its beginning, into a merge.

Theory. There is no consumer group and no committed offset: every board reads everything, since the topic is
compacted. What stood there when the reader started has been read once each partition's position has reached the end
offset of that moment; then the merge is settled and the board is ready. After a failure the reader starts again
from where it was: readings are absolute, so reading one twice is harmless.

Records that were read already come again where the topic was made anew or cut, or where the client assigned its partitions
anew and went back to their beginnings. Which of these it is the log's ends tell: where each partition still reaches
to where the reader was, it goes on from there; else the merge is made anew, everything is read from its beginning, and until then
the board is not ready.

A partition has been heard of now if its record was waited for and nothing stands behind it. What had to be read to get there was
sent when its time says: a board that comes back shows old data as such, and judges nothing by it.

Whatever takes long runs in a thread, so that the event loop always answers; `alone` lets one at a time have the merge.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.readings import ReadingKey
from schemas.rules import Rules
from sinks.delays import Delays
from sinks.merge import Merge

log = structlog.get_logger()

RETRY_S: Final = (1.0, 10.0)
"""First and longest pause between two attempts to reach Kafka."""
POLL_MS: Final = 200
MAX_RECORDS: Final = 2000
"""Records per turn: some 40 ms of work in a thread, for which whoever else wants the merge waits."""
QUIET_S: Final = 10.0
"""Without a record for so long everything counts as read, if the brokers answer: the last offsets may have been compacted away."""
SLOW_S: Final = 1.0
"""A broker that takes longer to say where the log ends may have been silent before: the quiet begins anew."""
ASK_TIMEOUT_S: Final = 10.0
METADATA_AGE_MS: Final = 60_000
SAY_S: Final = 60.0
"""Least time between two lines of the log about readings that cannot be read."""
_Found = TypeVar("_Found")
_NO_ENDS: Final[Mapping[int, int | None]] = {}


def wall_ms() -> int:
    """Return the wall clock in ms."""
    return time.time_ns() // 1_000_000


def _why(error: Exception) -> str:
    """Return why Kafka cannot be read, without what aiokafka writes around it."""
    text = str(error).removeprefix("KafkaConnectionError: ")
    return "no broker answers" if text.startswith("Unable to bootstrap") else text or type(error).__name__


class _WentBack(Exception):
    """Offsets come again that were read already."""


class Reader:
    """Reads readings; `merge` is replaced when the topic was made anew, and `on_new_merge` told."""

    def __init__(self, rules: Rules, kafka: Mapping[str, Any], topic: str) -> None:
        self.rules, self.topic = rules, topic
        self.merge = Merge(rules, settled=False)
        self.on_new_merge: Callable[[Merge], None] = lambda _: None
        self.ready = False
        self.connected = False
        self.flushed = asyncio.Event()
        """Set when there is something to show: all that stood there has been read, or a worker's flush has come in since."""
        self.delays = Delays()
        self._kafka = dict(kafka)
        self._heard: dict[int, float] = {}
        self._positions: dict[int, int] = {}
        self._at_end: set[int] = set()
        """Partitions of which all was read, so that what comes next has just been sent."""
        self._ends: dict[int, int] | None = None
        self._reached = 0.0
        self._last_record = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._said: float | None = None
        self._using = asyncio.Lock()

    async def alone(self, work: Callable[[], _Found]) -> _Found:
        """Run something in a thread while nobody else changes or reads the merge; once begun it is waited for, come what may."""
        async with self._using:
            thread = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                await asyncio.wait([thread])
                raise

    def ages_ms(self) -> dict[int, int]:
        """Return per partition the ms since its last reading or heartbeat."""
        now = time.monotonic()
        return {partition: int((now - heard) * 1000) for partition, heard in sorted(self._heard.items())}

    def start(self) -> None:
        """Begin to read in the background."""
        self._task = asyncio.create_task(self._run(), name="floorpulse-reader")

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        pause = RETRY_S[0]
        while True:
            try:
                await self._read()
            except _WentBack:
                log.warning("readings.went_back", topic=self.topic)
            except (KafkaError, OSError, TimeoutError) as error:
                self._say_unreachable(error)
            except Exception:  # the boundary of this sink: a board outlives whatever a reading does
                log.exception("readings.failed", topic=self.topic)
            if self.connected:
                pause = RETRY_S[0]
            self.connected = False
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, RETRY_S[1])

    def _say_unreachable(self, error: Exception) -> None:
        """Say once in `SAY_S` that the readings cannot be read; it is tried again all the time."""
        now = time.monotonic()
        if self._said is None or now >= self._said + SAY_S:
            self._said = now
            servers = self._kafka.get("bootstrap_servers", "")
            where = servers if isinstance(servers, str) else ",".join(servers)
            text = f"cannot read {self.topic} from Kafka at {where} (kafka.bootstrap: {_why(error)}); trying again until it can"
            log.warning("readings.unreachable", message=text, topic=self.topic)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            self.topic,
            **{**self._kafka, "client_id": "floorpulse-board"},
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        try:
            await consumer.start()
            await self._begin(consumer)
            while True:
                await self._turn(consumer)
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    async def _begin(self, consumer: Any) -> None:
        """Wait for the partitions, go to where the last attempt was, and note where what there is ends."""
        while not (partitions := consumer.assignment()):  # noqa: ASYNC110  aiokafka tells nobody when it has assigned
            await asyncio.sleep(POLL_MS / 1000)
        ends = _by_number(await asyncio.wait_for(consumer.end_offsets(partitions), ASK_TIMEOUT_S))
        if self._positions:
            begins = _by_number(await asyncio.wait_for(consumer.beginning_offsets(partitions), ASK_TIMEOUT_S))
            reached = self._positions.items()
            if not all(begins.get(number, 1) <= position <= ends.get(number, 0) for number, position in reached):
                await self.alone(self._begin_anew)
        for partition in partitions:
            if partition.partition in self._positions:
                consumer.seek(partition, self._positions[partition.partition])
        if self._ends is None:
            self._ends = ends
        self._at_end.clear()
        self.connected, self._last_record = True, time.monotonic()
        log.info("readings.begun", topic=self.topic, partitions=len(partitions))

    async def _turn(self, consumer: Any) -> None:
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        if batches:
            before = self.delays
            ends = {partition.partition: consumer.highwater(partition) for partition in batches}
            await self.alone(lambda: self._take_all(batches, ends))
            self._last_record = time.monotonic()
            if self.delays is not before:
                self.flushed.set()
        if not self.ready:
            await self._look_whether_ready(consumer, idle=not batches)

    def _take_all(
        self,
        batches: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]],
        ends: Mapping[int, int | None] = _NO_ENDS,
    ) -> None:
        """Take batches; `ends`: where the log of each partition ended when they were fetched, None if that is unknown."""
        for partition, records in batches.items():
            number = partition.partition
            heard = {whose for record in records if (whose := self._take(number, record)) is not None}
            at_end = self._positions.get(number, 0) >= (ends.get(number) or 0)
            if at_end and number in self._at_end:
                self._heard.update(dict.fromkeys(heard, time.monotonic()))
            (self._at_end.add if at_end else self._at_end.discard)(number)

    def _take(self, partition: int, record: ConsumerRecord[bytes, bytes]) -> int | None:
        """Take a record; returns the partition that it is news of, if any. Raises `_WentBack` for what was read already."""
        if record.offset < self._positions.get(partition, 0):
            raise _WentBack
        self._positions[partition] = record.offset + 1
        key = self.merge.put_record(record.key, record.value)
        if key is None:
            return None
        self._note(key, record.timestamp)
        return key.partition

    def _note(self, key: ReadingKey, sent_ms: int) -> None:
        """Note when a reading was sent, and how long a flush took."""
        heard = time.monotonic() - max(0, wall_ms() - sent_ms) / 1000
        self._heard[key.partition] = max(heard, self._heard.get(key.partition, heard))
        if self.ready and key.kind == "heartbeat":
            beat = self.merge.heartbeats.get(key.partition)
            live = self.rules.live and beat is not None and beat.clock is not None
            flushed = beat.clock.now if live and beat is not None and beat.clock is not None else sent_ms
            self.delays = self.delays.with_one(wall_ms() - flushed)

    async def _look_whether_ready(self, consumer: Any, *, idle: bool) -> None:
        assert self._ends is not None
        behind = False
        for partition, end in self._ends.items():
            if self._positions.get(partition, 0) < end:
                position = await asyncio.wait_for(consumer.position(TopicPartition(self.topic, partition)), ASK_TIMEOUT_S)
                behind = behind or position < end
        if behind and not (idle and await self._is_quiet(consumer)):
            return
        self._reached = self._reached or time.monotonic()
        if self.merge.holds_back and time.monotonic() < self._reached + QUIET_S:
            return  # in the middle of a flush: its heartbeat is on the way, unless its owner has died
        await self.alone(self.merge.settle)
        self.ready = True
        self.flushed.set()
        log.info("board.ready", topic=self.topic, readings=sum(self._positions.values()))

    async def _is_quiet(self, consumer: Any) -> bool:
        """Tell whether nothing has come for a while from brokers that answered all the time."""
        asked = time.monotonic()
        await asyncio.wait_for(consumer.end_offsets(consumer.assignment()), ASK_TIMEOUT_S)
        now = time.monotonic()
        if now > asked + SLOW_S:
            self._last_record = now
        return now >= self._last_record + QUIET_S

    def _begin_anew(self) -> None:
        log.warning("readings.made_anew", topic=self.topic)
        self.ready, self._reached, self._ends = False, 0.0, None
        self._positions.clear()
        self._heard.clear()
        self.merge = Merge(self.rules, settled=False)
        self.on_new_merge(self.merge)


def _by_number(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {partition.partition: offset for partition, offset in offsets.items()}


__all__ = ["Reader", "wall_ms"]
