"""Partitioners: the same partition as the clients that producers use."""

from __future__ import annotations

import random

import pytest
from kafka.partitioner.default import murmur2 as java_murmur2

from schemas.partitioner import PARTITIONERS, murmur2
from streams.embedded import EMBEDDED_PARTITIONS, EmbeddedBroker

KEYS = [random.Random(n).randbytes(n % 40) for n in range(200)] + ["Zürich-7".encode(), "订单-12".encode(), b"s"]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_murmur2_is_the_java_clients(key: bytes) -> None:
    """kafka-python carries a port of the Java client's hash."""
    assert murmur2(key) == java_murmur2(key) & 0xFFFFFFFF


@pytest.mark.parametrize(("name", "librdkafkas"), [("murmur2", "murmur2"), ("crc32", "consistent")])
def test_partitions_are_those_that_librdkafka_chooses(name: str, librdkafkas: str) -> None:
    """A real producer says where it put each key."""
    confluent = pytest.importorskip("confluent_kafka", reason="librdkafka comes with the extra demo")
    chosen: dict[bytes, int] = {}
    with EmbeddedBroker() as broker:
        producer = confluent.Producer({"bootstrap.servers": broker.bootstrap, "partitioner": librdkafkas})
        for key in KEYS:
            if key:  # an empty key has no place of its own
                producer.produce("t", b"x", key, callback=lambda _, message: chosen.update({message.key(): message.partition()}))
        producer.flush(20)
    assert len(chosen) == len({key for key in KEYS if key})
    assert chosen == {key: PARTITIONERS[name](key, EMBEDDED_PARTITIONS) for key in chosen}
