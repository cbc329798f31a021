"""The embedded broker takes and hands out records like a Kafka, and says what it needs."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.errors import UsageError
from streams.embedded import EMBEDDED_PARTITIONS, EmbeddedBroker


async def test_what_is_produced_can_be_consumed() -> None:
    """Records come back from every partition of a topic that was created beforehand."""
    with EmbeddedBroker() as broker:
        broker.create(["floorpulse.sessions"])
        sent = [(partition, f"{partition}".encode()) for partition in range(broker.partitions)]
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for partition, value in sent:
                await producer.send_and_wait("floorpulse.sessions", value, partition=partition)
        consumer = AIOKafkaConsumer(
            "floorpulse.sessions", bootstrap_servers=broker.bootstrap, group_id="g", auto_offset_reset="earliest"
        )
        async with consumer, asyncio.timeout(30):
            received = [await consumer.getone() for _ in sent]
    assert sorted((record.partition, record.value) for record in received) == sent


async def test_a_created_topic_has_the_partitions_of_the_broker() -> None:
    """The number that `EmbeddedBroker` states is the number that a client sees."""
    with EmbeddedBroker() as broker:
        broker.create(["one"])
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            assert await producer.partitions_for("one") == set(range(EMBEDDED_PARTITIONS))


def test_nothing_listens_once_it_is_closed() -> None:
    """Closing frees the port."""
    with EmbeddedBroker() as broker:
        host, port = broker.bootstrap.split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_another_number_of_partitions_is_refused() -> None:
    """There is no choice in librdkafka, so there is none here."""
    with pytest.raises(UsageError, match="cannot have 12 partitions"):
        EmbeddedBroker(partitions=12)


def test_creating_topics_needs_an_open_broker() -> None:
    """The message says how to open one."""
    with pytest.raises(UsageError, match="not open"):
        EmbeddedBroker().create(["one"])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without confluent-kafka the remedy is in the message."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(UsageError, match=r"pip install 'floorpulse\[demo\]'"):
        EmbeddedBroker().start()
