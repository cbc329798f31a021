"""Send canonical events to Kafka: right topic, right partition, acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config import Config, Kafka
from schemas.errors import FloorpulseError, KafkaUnreachable, TopicError
from schemas.events import INPUT_TOPICS
from schemas.markers import end_of_input
from schemas.partitioner import PARTITIONERS
from streams.connection import admin_options, aiokafka_options, bootstrap_servers, open_admin, unreachable
from streams.topics import DEFAULT_PARTITIONS, missing_topics

MAX_IN_FLIGHT: Final = 20_000
"""Records sent and not yet acknowledged; then the sender waits."""
DELIVERY_S: Final = 120.0
"""After so long without any answer to what is in flight it has failed, as with Java's producer; aiokafka would try for ever."""
METADATA_TIMEOUT_S: Final = 10.0
GIVE_UP_S: Final = 1.0
"""So long it takes at most to disconnect: aiokafka waits for what is in flight, and that until its broker is back."""
PROBE_S: Final = 3.0


def _say_why(kafka: Kafka, servers: str, error: Exception) -> None:
    """Raise `KafkaUnreachable` with the reason, which aiokafka keeps to its log: ask once more, by another client."""
    with open_admin(admin_options(kafka), timeout_s=PROBE_S):
        raise KafkaUnreachable(unreachable(servers, "1 try", str(error))) from None


class Sender:
    """A producer of events; use as an async context manager.

    `sent` counts acknowledged records. A record that the broker does not take raises `FloorpulseError` at the next call, with the
    place from which to go on if records were sent with theirs.
    """

    def __init__(self, config: Config) -> None:
        """Prepare to send as the configuration says."""
        self.sent = 0
        self._config = config
        self._partition_of = PARTITIONERS[config.kafka.partitioner]
        self._partitions: dict[str, int] = {}
        self._waiting: dict[asyncio.Future[Any], str] = {}
        """What is in flight, in the order in which it was sent, and where it came from."""
        self._failure: BaseException | None = None
        self._failed_at: str | None = None
        self._answered = 0
        self._ending = False
        self._turn = 0

    async def __aenter__(self) -> Self:
        """Connect, and look the topics up; raises `KafkaUnreachable` or `TopicError`."""
        servers = ",".join(bootstrap_servers(self._config.kafka))
        self._producer = AIOKafkaProducer(
            **aiokafka_options(self._config.kafka), acks="all", enable_idempotence=True, linger_ms=20,
            max_batch_size=512 * 1024, metadata_max_age_ms=60_000,
        )  # fmt: skip
        try:
            try:
                await self._producer.start()
            except (KafkaError, OSError) as error:
                await asyncio.to_thread(_say_why, self._config.kafka, servers, error)
            for topic in INPUT_TOPICS:
                self._partitions[topic] = await self._count(topic, servers)
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def _count(self, topic: str, servers: str) -> int:
        name = self._config.kafka.topic_prefix + topic
        try:
            found = await asyncio.wait_for(self._producer.partitions_for(name), METADATA_TIMEOUT_S)
        except (KafkaError, TimeoutError):
            found = None
        if not found:
            raise TopicError(missing_topics([name], servers, DEFAULT_PARTITIONS, self._config.kafka.topic_prefix))
        return len(found)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is in flight unless Kafka did not take a record or somebody interrupts, then disconnect."""
        try:
            if self._failure is None and not isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
                await self.flush()
        finally:
            for future in self._waiting:
                future.cancel()
            try:
                await asyncio.wait_for(self._producer.stop(), GIVE_UP_S)
            except TimeoutError:
                await self._producer.client.close()

    @property
    def first_open(self) -> str | None:
        """The place of the first record that is not acknowledged; None: all are."""
        return self._failed_at if self._failure is not None else next(iter(self._waiting.values()), None)

    async def send(self, topic: str, key: bytes, value: bytes, place: str = "") -> None:
        """Send one record of a logical topic; one without a key goes to the partitions in turn.

        `place`: where it comes from, in words from which a person can go on.
        """
        if len(self._waiting) >= MAX_IN_FLIGHT:
            await self._answers(asyncio.FIRST_COMPLETED)
        if self._failure is not None:
            raise self._not_taken(f"a record on {topic}") from self._failure
        count = self._partitions[topic]
        if key:
            partition = self._partition_of(key, count)
        else:
            self._turn += 1
            partition = self._turn % count
        await self._track(self._producer.send(self._config.kafka.topic_prefix + topic, value, key=key, partition=partition), place)

    async def _track(self, sending: Awaitable[asyncio.Future[Any]], place: str) -> None:
        try:
            future = await sending
        except KafkaError as error:  # its buffer was full for too long
            self._fail(error, place)
            raise self._not_taken("a record") from error
        self._waiting[future] = place
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            error = future.exception()
            if error is None:
                self.sent += not self._ending  # all events are acknowledged by then, and markers are none
            else:
                self._fail(error, self._waiting[future])
        del self._waiting[future]
        self._answered += 1

    async def _answers(self, return_when: str) -> bool:
        """Wait for what is in flight, `DELIVERY_S` at most; tell whether anything of it was answered, which else is a failure."""
        before = self._answered
        await asyncio.wait(self._waiting, return_when=return_when, timeout=DELIVERY_S)
        if self._answered == before:
            self._fail(TimeoutError(f"no answer for {DELIVERY_S:g} s"), "")
        return self._answered > before

    def _fail(self, error: BaseException, place: str) -> None:
        """Keep the first failure, and what was the first record in flight then, the failed one among them."""
        if self._failure is None:
            self._failed_at = next(iter(self._waiting.values()), place)
            self._failure = error

    def _not_taken(self, what: str) -> FloorpulseError:
        go_on = f". {self.sent} events were sent; go on from {self._failed_at}" if self._failed_at else ""
        return FloorpulseError(f"Kafka did not take {what}: {self._failure!r}{go_on}")

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged."""
        while self._waiting and await self._answers(asyncio.ALL_COMPLETED):
            pass
        if self._failure is not None:
            raise self._not_taken("a record") from self._failure

    async def end_input(self, at_ms: int, place: str = "") -> None:
        """Put an end-of-input marker on every partition of every input topic; `place` as for records."""
        await self.flush()
        self._ending = True
        marker = end_of_input(at_ms)
        for topic, count in self._partitions.items():
            for partition in range(count):
                name = self._config.kafka.topic_prefix + topic
                await self._track(self._producer.send(name, marker, key=b"", partition=partition), place)
        await self.flush()
        self._ending = False


__all__ = ["Sender"]
