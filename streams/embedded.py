"""The embedded broker: a Kafka endpoint inside this process, for trying out and for tests of the shell.

It is librdkafka's mock cluster, a real TCP endpoint that Faust, aiokafka and confluent-kafka work with. What it is
not: nothing survives its end, each partition keeps about 5 MiB and then drops the oldest, nothing is compacted, and
there are no admin requests. A topic comes into being with `EMBEDDED_PARTITIONS` partitions when somebody first asks for
its metadata; librdkafka has no setting for their number.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from schemas.errors import UsageError

EMBEDDED_PARTITIONS: Final = 4
EMBEDDED_API_VERSION: Final = (2, 3)
"""What kafka-python must be told as `api_version`: it cannot find it out from the mock cluster."""

_ANSWER_TIMEOUT_S: Final = 10.0


class EmbeddedBroker:
    """A context manager that is a broker while it is open; `bootstrap` is its address."""

    def __init__(self, partitions: int = EMBEDDED_PARTITIONS) -> None:
        if partitions != EMBEDDED_PARTITIONS:
            raise UsageError(
                f"the embedded broker cannot have {partitions} partitions a topic, librdkafka always makes "
                f"{EMBEDDED_PARTITIONS}. For another number use a real Kafka: kafka.bootstrap"
            )
        self.partitions = partitions
        self.bootstrap = ""
        self._cluster: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Open the broker on a free loopback port."""
        if self._cluster is not None:
            return
        # A signal that reaches one of the cluster's threads ends the cluster, so they inherit that they get none.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # The cluster lives as long as this producer, which sends nothing. `log_level` silences "mock cluster enabled".
            self._cluster = _confluent_kafka().Producer({"test.mock.num.brokers": 1, "log_level": 2, "client.id": "embedded"})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        brokers = self._cluster.list_topics(timeout=_ANSWER_TIMEOUT_S).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def create(self, topics: Iterable[str]) -> None:
        """Create topics, so that a client that never creates any finds them."""
        if self._cluster is None:
            raise UsageError("the embedded broker is not open; use it in a `with` statement")
        for topic in topics:
            self._cluster.list_topics(topic, timeout=_ANSWER_TIMEOUT_S)

    def stop(self) -> None:
        """Close the broker; all its records are gone."""
        self._cluster = None
        self.bootstrap = ""


def _confluent_kafka() -> Any:
    try:
        return importlib.import_module("confluent_kafka")
    except ImportError as error:
        raise UsageError(
            f"the embedded broker needs confluent-kafka, which is not installed here ({error}). "
            "Install it: pip install 'floorpulse[demo]'"
        ) from error


__all__ = ["EMBEDDED_API_VERSION", "EMBEDDED_PARTITIONS", "EmbeddedBroker"]
