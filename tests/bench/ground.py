"""The ground that everybody runs on: one real Kafka, with the same inputs filled in beforehand."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.topics import INPUTS
from tests.bench.recount import Sums, Window, recount
from tests.bench.running import fill
from tests.kafka import RealKafka

PARTITIONS: Final = 4
OURS: Final = ("relay", "readings", "journal", "dead-letters", "late")
_TIMEOUT_S: Final = 20.0
_BETWEEN: Final = re.compile(r"repartition__|.*-repartition$|.*-facts$")
"""Topics that a contestant puts between its own steps: of Quix Streams, Kafka Streams, Faust."""


@dataclass(frozen=True)
class Filled:
    """One input: topics under a prefix, the number of events in them, and what the job comes to."""

    prefix: str
    events: int
    expected: dict[Window, Sums] = field(repr=False)

    @property
    def topics(self) -> list[str]:
        """Return the full names of its topics."""
        return [self.prefix + topic for topic in INPUTS]


class Ground:
    """A broker and its inputs."""

    def __init__(self, kafka: RealKafka, folder: Path) -> None:
        self.bootstrap = kafka.bootstrap
        self.folder = folder
        self.broker_pid = kafka.pid
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def config(self, prefix: str, group: str = "floorpulse") -> Path:
        """Return a floorpulse configuration for a prefix."""
        file = self.folder / f"{prefix}{group}.yaml"
        file.write_text(f'kafka: {{bootstrap: ["{self.bootstrap}"], topic_prefix: "{prefix}", group: "{group}"}}\n')
        return file

    def floorpulse(self, *arguments: str) -> None:
        """Run a command of floorpulse to its end."""
        subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def fill(self, prefix: str, file: Path) -> Filled:
        """Make the topics and send the events of a file."""
        config = str(self.config(prefix))
        self.floorpulse("topics", "--create", "--partitions", str(PARTITIONS), "--config", config)
        events = fill(self.bootstrap, prefix, file, PARTITIONS)
        with file.open("rb") as lines:
            return Filled(prefix, events, recount(lines))

    def made_anew(self, filled: Filled) -> None:
        """Take floorpulse's own topics away and make them again, so that a run begins with nothing but the inputs."""
        self.delete([filled.prefix + topic for topic in OURS])
        self.floorpulse("topics", "--create", "--partitions", str(PARTITIONS), "--config", str(self.config(filled.prefix)))

    def topics(self) -> list[str]:
        """Return the names of all topics."""
        return list(self._admin.list_topics(timeout=_TIMEOUT_S).topics)

    def delete(self, topics: list[str]) -> None:
        """Delete topics and wait until they are gone."""
        for done in self._admin.delete_topics(topics, operation_timeout=_TIMEOUT_S).values() if topics else ():
            with suppress(Exception):
                done.result(_TIMEOUT_S)
        deadline = time.monotonic() + _TIMEOUT_S
        while set(topics) & set(self.topics()) and time.monotonic() < deadline:
            time.sleep(0.1)


class Progress:
    """Tells how far a consumer group has committed its inputs and whatever it has put between its own steps."""

    def __init__(self, ground: Ground, group: str, topics: list[str], *, slack: int = 0) -> None:
        """Watch a group; `slack` is what a transaction's marker may leave uncommitted at the end of a topic between steps."""
        self._ground = ground
        self._group = group
        self._slack = slack
        self._consumer = Consumer({"bootstrap.servers": ground.bootstrap, "group.id": group, "enable.auto.commit": False})
        self._ends = {place: self._end(place) for topic in topics for place in self._places(topic)}

    @staticmethod
    def _places(topic: str) -> list[tuple[str, int]]:
        return [(topic, partition) for partition in range(PARTITIONS)]

    def _end(self, place: tuple[str, int]) -> int:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S)
        return high if high > low else 0

    def done(self) -> bool:
        """Tell whether everything is committed; no where the broker does not say, as while a topic is being made."""
        try:
            return self._all_committed()
        except KafkaException:
            return False

    def _all_committed(self) -> bool:
        between = [t for t in self._ground.topics() if self._group in t and _BETWEEN.match(t)]
        steps = [place for topic in between for place in self._places(topic)]
        asked = [TopicPartition(*place) for place in (*self._ends, *steps)]
        committed = self._consumer.committed(asked, timeout=_TIMEOUT_S)
        offsets = {(known.topic, known.partition): known.offset for known in committed}
        # asked behind: what a step hands on before it commits its own input must be seen
        ends = self._ends | {place: self._end(place) - self._slack for place in steps}
        return all(end <= 0 or offsets[place] >= end for place, end in ends.items())

    def close(self) -> None:
        """End watching."""
        self._consumer.close()


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Start the broker."""
    with RealKafka() as kafka:
        yield Ground(kafka, folder)


__all__ = ["PARTITIONS", "Filled", "Ground", "Progress", "ground"]
