"""What is checked of a record before it may count: topic, key, partition, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import xxhash

from schemas.codec import STRUCT_OF, Decoded
from schemas.errors import InvalidEvent
from schemas.events import KEY_OF, TOPIC_OF
from schemas.instants import LATEST_MS
from schemas.partitioner import PARTITIONERS
from schemas.rules import Rules

TOPIC_OF_STRUCT: Final[dict[type, str]] = {STRUCT_OF[kind]: topic for kind, topic in TOPIC_OF.items()}
KEY_OF_STRUCT: Final[dict[type, str]] = {STRUCT_OF[kind]: key for kind, key in KEY_OF.items()}
_STATUS: Final = STRUCT_OF["agent.status"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was set aside: its index in the batch, why (a label value), and words for people."""

    index: int
    outcome: Literal["invalid", "late"]
    reason: str
    detail: str


class Intake:
    """The checks of one partition."""

    def __init__(self, partition: int, partitions: int, rules: Rules) -> None:
        """Check for `partition` of `partitions`."""
        self._partition = partition
        self._partitions = partitions
        self._partition_of = PARTITIONERS[rules.partitioner]
        self._rules = rules

    def latest(self, now_ms: int) -> int:
        """Return the latest event time that is accepted."""
        return now_ms + self._rules.max_ahead_ms if self._rules.live else LATEST_MS

    def check(self, event: Decoded, key: bytes | None, latest: int, known: bool) -> None:
        """Raise `InvalidEvent` for an event of another key or partition, or from the future.

        `known`: the key has been seen here before, so its partition need not be looked at again.
        """
        kind = type(event)
        if event.at > latest:
            ahead_s = (event.at - latest + self._rules.max_ahead_ms) / 1000
            raise InvalidEvent("from_the_future", f"at is {ahead_s:.0f} s ahead of the clock")
        field = KEY_OF_STRUCT[kind]
        name: str | None = getattr(event, field)
        if key != (name.encode() if name is not None else None):
            if field == "queue" and not key:
                return
            raise InvalidEvent("wrong_key", f"record key {key!r:.140} is not {field} {name!r:.140}")
        if not known and key and self._partition_of(key, self._partitions) != self._partition:
            right = self._partition_of(key, self._partitions)
            raise InvalidEvent("wrong_partition", f"key {key!r:.140} belongs to partition {right}, not {self._partition}")


def check_topic(event: Decoded, topic: str) -> None:
    """Raise `InvalidEvent` for an event that belongs on another topic; nothing else may be looked at before."""
    right = TOPIC_OF_STRUCT[type(event)]
    if right != topic:
        raise InvalidEvent("wrong_topic", f"this type belongs on topic {right}, it came on {topic}")


def status_of(event: Decoded, rules: Rules) -> str | None:
    """Return the standard status of an `agent.status`, None of another type; raises `InvalidEvent` where nothing maps its name."""
    if type(event) is not _STATUS:
        return None
    status = rules.at(event.at).status(event.status)
    if status is None:
        raise InvalidEvent("status", f"status {event.status!r:.140} is not mapped (agents.statuses in the configuration)")
    return status


def kinds_of(topic: str) -> frozenset[type]:
    """Return the types of events that belong on a topic."""
    return frozenset(kind for kind, right in TOPIC_OF_STRUCT.items() if right == topic)


def digest_of(topic: str, key: str, event_id: str) -> int:
    """Return the 64-bit hash under which an event id is remembered; control characters never occur inside the three."""
    return xxhash.xxh3_64_intdigest(f"{topic}\0{key}\0{event_id}".encode())


__all__ = ["Intake", "Reject", "check_topic", "digest_of", "kinds_of", "status_of"]
