"""Read topics from end to end, for commands: what they hold now, every record once, without a consumer group.

`Scan` fixes the ends when it begins, so that a command which makes new records does not follow itself for ever.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.config import Config
from schemas.errors import KafkaUnreachable, TopicError
from streams.connection import admin_options, aiokafka_options, open_admin
from streams.journal.log import POLL_MS, STALL_S, reading
from streams.progress import no_progress
from streams.topics import plan


@dataclass(frozen=True)
class Layout:
    """The topics that a command was asked about: full names and partition counts by short name."""

    names: Mapping[str, str]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, config: Config, shorts: Sequence[str]) -> Self:
        """Ask the brokers; raises `KafkaUnreachable`, or `TopicError` for one that does not exist."""
        whole = plan(config.kafka.topic_prefix)
        names = {short: whole.name(short) for short in shorts}
        with open_admin(admin_options(config.kafka)) as admin:
            found = {each["name"]: len(each["partitions"]) for each in admin.describe_topics(list(names.values()))}
        missing = [name for name in names.values() if not found.get(name)]
        if missing:
            raise TopicError(
                f"topic {missing[0]} does not exist, or may not be seen; floorpulse topics says what is missing. "
                f'kafka.topic_prefix is "{config.kafka.topic_prefix}"'
            )
        return cls(names, {short: found[name] for short, name in names.items()})


@dataclass(frozen=True)
class Scan:
    """A stretch of one topic: for each partition the offsets from `begins` up to, without, `ends`."""

    connection: Mapping[str, Any]
    topic: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]

    @classmethod
    async def of(cls, config: Config, topic: str, partitions: int, since_ms: int | None = None) -> Self:
        """Fix the stretch: from the first record sent at `since_ms` or later (None: the first there is) to the present end."""
        connection = aiokafka_options(config.kafka)
        tps = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            async with reading(connection) as consumer:
                consumer.assign(tps)
                begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
                if since_ms is not None:
                    found = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))
                    begins = {tp: ends[tp] if found[tp] is None else max(begins[tp], found[tp].offset) for tp in tps}
        except KafkaError as error:
            raise KafkaUnreachable(f"cannot read topic {topic}: {error!r}") from error
        return cls(connection, topic, {tp.partition: begins[tp] for tp in tps}, {tp.partition: ends[tp] for tp in tps})

    @property
    def offsets(self) -> int:
        """How many offsets the stretch has, for a progress bar."""
        return sum(max(0, end - self.begins[number]) for number, end in self.ends.items())

    async def records(self, progress: Callable[[int], None] = no_progress) -> AsyncGenerator[Any]:
        """Read every record of the stretch, in order per partition; raises `KafkaUnreachable`."""
        left = {TopicPartition(self.topic, number): end for number, end in self.ends.items() if end > self.begins[number]}
        if not left:
            return
        at = {tp: self.begins[tp.partition] for tp in left}
        try:
            async with reading(self.connection) as consumer:
                consumer.assign(list(left))
                for tp, offset in at.items():
                    consumer.seek(tp, offset)
                moved_s = time.monotonic()
                while left:
                    for tp, messages in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
                        for message in messages:
                            if message.offset < left[tp]:
                                yield message
                    for tp in list(left):
                        position = await consumer.position(tp)  # the last offsets may hold no record
                        if position > at[tp]:
                            progress(min(position, left[tp]) - at[tp])
                            at[tp], moved_s = min(position, left[tp]), time.monotonic()
                        if position >= left[tp]:
                            del left[tp]
                    if time.monotonic() > moved_s + STALL_S:
                        raise KafkaUnreachable(f"no record of topic {self.topic} came within {STALL_S:.0f} s, though it has more")
        except KafkaError as error:
            raise KafkaUnreachable(f"cannot read topic {self.topic}: {error!r}") from error


__all__ = ["Layout", "Scan"]
