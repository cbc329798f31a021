"""One real Kafka for all integration tests; each test has topics of its own by their prefix."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.kafka import RealKafka, available, required


def skip_without_kafka() -> None:
    """Skip where none can run, or fail where one must."""
    reason = available()
    if reason is not None:
        (pytest.fail if required() else pytest.skip)(reason)


@pytest.fixture(scope="session")
def kafka() -> Iterator[RealKafka]:
    """A running broker; a test that stops it starts it again."""
    skip_without_kafka()
    with RealKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[RealKafka]:
    """A running broker that also listens with TLS and SASL."""
    skip_without_kafka()
    with RealKafka(secure=True) as broker:
        yield broker


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}."
