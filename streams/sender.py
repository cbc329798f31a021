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
METADATA_TIMEOUT_S: Final = 10.0
PROBE_S: Final = 3.0


def _say_why(kafka: Kafka, servers: str, error: Exception) -> None:
    """Raise `KafkaUnreachable` with the reason, which aiokafka keeps to its log: ask once more, by another client."""
    with open_admin(admin_options(kafka), timeout_s=PROBE_S):
        raise KafkaUnreachable(unreachable(servers, "1 try", str(error))) from None


class Sender:
    """A producer of events; use as an async context manager.

    `sent` counts acknowledged records. A record that the broker refuses raises `FloorpulseError` at the next call.
    """

    def __init__(self, config: Config) -> None:
        """Prepare to send as the configuration says."""
        self.sent = 0
        self._config = config
        self._partition_of = PARTITIONERS[config.kafka.partitioner]
        self._partitions: dict[str, int] = {}
        self._waiting: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None
        self._turn = 0

    async def __aenter__(self) -> Self:
        """Connect, and look the topics up; raises `KafkaUnreachable` or `TopicError`."""
        servers = ",".join(bootstrap_servers(self._config.kafka))
        self._producer = AIOKafkaProducer(
            **aiokafka_options(self._config.kafka), acks="all", enable_idempotence=True, linger_ms=20,
            max_batch_size=512 * 1024, metadata_max_age_ms=60_000,
        )  # fmt: skip
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            await asyncio.to_thread(_say_why, self._config.kafka, servers, error)
        try:
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
        """Wait for what is in flight unless something failed, then disconnect."""
        try:
            if error is None:
                await self.flush()
        finally:
            for future in self._waiting:
                future.cancel()
            await self._producer.stop()

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Send one record of a logical topic; one without a key goes to the partitions in turn."""
        if self._failure is not None:
            raise FloorpulseError(f"Kafka refused a record on {topic}: {self._failure!r}") from self._failure
        count = self._partitions[topic]
        if key:
            partition = self._partition_of(key, count)
        else:
            self._turn += 1
            partition = self._turn % count
        if len(self._waiting) >= MAX_IN_FLIGHT:
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
        await self._track(self._producer.send(self._config.kafka.topic_prefix + topic, value, key=key, partition=partition))

    async def _track(self, sending: Awaitable[asyncio.Future[Any]]) -> None:
        future = await sending
        self._waiting.add(future)
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._waiting.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.sent += 1
        elif self._failure is None:
            self._failure = error

    async def flush(self) -> None:
        """Wait until everything sent is acknowledged."""
        await self._producer.flush()
        while self._waiting:
            await asyncio.wait(self._waiting)
        if self._failure is not None:
            raise FloorpulseError(f"Kafka refused a record: {self._failure!r}") from self._failure

    async def end_input(self, at_ms: int) -> None:
        """Put an end-of-input marker on every partition of every input topic."""
        await self.flush()
        marker = end_of_input(at_ms)
        for topic, count in self._partitions.items():
            for partition in range(count):
                name = self._config.kafka.topic_prefix + topic
                await self._track(self._producer.send(name, marker, key=b"", partition=partition))
        await self.flush()
        self.sent -= sum(self._partitions.values())


__all__ = ["Sender"]
