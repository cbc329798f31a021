"""The board's reader on a real Kafka: a broker that goes away, a topic that is not there yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from schemas.config import Kafka
from schemas.readings import SLICE_MS
from schemas.rules import Rules
from sinks.cells import Place
from sinks.reader import Reader
from streams.connection import admin_options
from streams.topics import create, plan
from tests.builders import Publisher
from tests.kafka import RealKafka

ORDERS = Place("queue", "orders", "voice")


async def until(what: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110  it comes to be so on the broker
            await asyncio.sleep(0.05)


async def send(kafka: RealKafka, topic: str, publisher: Publisher) -> None:
    """Flush a publisher to Kafka."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for key, value in publisher.flush(time.time_ns() // 1_000_000):
            await producer.send_and_wait(topic, value, key, partition=publisher.partition)


async def test_a_reader_survives_what_kafka_does(kafka: RealKafka, prefix: str) -> None:
    """It waits for the topic, reads what is there, and goes on by itself after the broker was away."""
    topic = f"{prefix}readings"
    reader = Reader(Rules(live=True), {"bootstrap_servers": kafka.bootstrap}, topic)
    reader.start()
    try:
        await asyncio.sleep(1)
        assert not reader.ready
        create(admin_options(Kafka(bootstrap=[kafka.bootstrap])), plan(prefix, 2))
        await until(lambda: reader.ready)
        worker = Publisher(1).now("queue", "orders", "voice", waiting=3)
        await send(kafka, topic, worker)
        await until(lambda: reader.merge.gauge(ORDERS).parts.get("waiting") == 3)
        await asyncio.to_thread(kafka.restart)
        await send(kafka, topic, worker.now("queue", "orders", "voice", waiting=8))
        await until(lambda: reader.merge.gauge(ORDERS).parts.get("waiting") == 8)
        assert reader.ready
    finally:
        await reader.stop()


async def test_a_late_board_reads_tombstones_as_gone(kafka: RealKafka, prefix: str) -> None:
    """What was buried before the start is not there, the rest is, with ages from the time of sending."""
    create(admin_options(Kafka(bootstrap=[kafka.bootstrap])), plan(prefix, 2))
    topic, at = f"{prefix}readings", time.time_ns() // 1_000_000
    worker = Publisher(0).count("orders", at, offered=2).count("returns", at, offered=1)
    await send(kafka, topic, worker)
    start = at // SLICE_MS * SLICE_MS
    await send(kafka, topic, worker.bury("queue", "returns", "voice", SLICE_MS, start))
    await asyncio.sleep(1.5)
    reader = Reader(Rules(live=True), {"bootstrap_servers": kafka.bootstrap}, topic)
    reader.start()
    try:
        await until(lambda: reader.ready)
        found = {place.name: parts for _, place, parts in reader.merge.short.between(0, 1 << 50)}
        assert found == {"orders": {"offered": 2}}
        assert 1000 <= reader.ages_ms()[0] < 60_000
    finally:
        await reader.stop()
