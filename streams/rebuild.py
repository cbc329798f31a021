"""Rebuild: copy the inputs of one prefix to those of another, so that new workers recompute everything from them.

Theory of operation. State and numbers follow from the inputs alone, so a floorpulse under a new prefix that reads the same records
has the same numbers: as far back as the inputs reach. Records are copied as they are, key and headers included, into the
same partition; where the new topics have another number of partitions, to where `kafka.partitioner` puts the key, which
is how a cluster grows. Each copy carries the header `copied` with the partition, offset and prefix that it came from: a
second run goes on behind the last one, for what has come in meanwhile or after an interruption. That is exact where the
numbers of partitions are equal, since an idempotent producer keeps a partition's order; otherwise the new topics must be
empty. A prefix that somebody else has filled, or that holds copies of another prefix, is refused: offsets of one history say
nothing of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config import Config
from schemas.errors import FloorpulseError, KafkaUnreachable, UsageError
from schemas.partitioner import PARTITIONERS
from streams.connection import COMPRESSION, aiokafka_options
from streams.progress import no_progress, progress_bar
from streams.scan import Layout, Scan
from streams.topics import INPUTS

COPIED: Final = "copied"
IN_FLIGHT: Final = 5000
"""Records sent and not acknowledged yet."""
_DIGITS: Final = 20  # more than an offset can have


class Origin(NamedTuple):
    """Where a copy came from; `prefix` None: a floorpulse made it that did not note the prefix yet."""

    partition: int
    offset: int
    prefix: str | None = None


def under(config: Config, prefix: str) -> Config:
    """Return the configuration with another topic prefix."""
    return config.model_copy(update={"kafka": config.kafka.model_copy(update={"topic_prefix": prefix})})


def origin_of(headers: Any) -> Origin | None:
    """Return where a copy came from, None for what is no copy."""
    said = next((value for name, value in headers if name == COPIED and value), b"")
    parts = said.split(b"@", 2)
    if len(parts) == 1 or not all(number.isdigit() and len(number) < _DIGITS for number in parts[:2]):
        return None
    return Origin(int(parts[0]), int(parts[1]), parts[2].decode(errors="backslashreplace") if len(parts) > 2 else None)


def mark_of(origin: Origin) -> bytes:
    """Return what the header of a copy says."""
    return f"{origin.partition}@{origin.offset}@{origin.prefix}".encode()


def check_source(topic: str, origin: Origin, source: str) -> None:
    """Raise `UsageError` for a copy in `topic` that is not one of the prefix `source`."""
    if origin.prefix is None:
        raise UsageError(
            f"topic {topic} holds copies of an older floorpulse, which did not note the prefix they came from: such a copy "
            "cannot go on. Take empty topics under another --prefix"
        )
    if origin.prefix != source:
        raise UsageError(
            f"topic {topic} holds copies of the prefix {origin.prefix!r}; those of {source!r} would be mixed with them. Take empty "
            f"topics under another --prefix, or go on with --from {origin.prefix!r}"
        )


async def copy(config: Config, source: str, progress: Callable[[int], None] = no_progress) -> dict[str, int]:
    """Copy the inputs of the prefix `source` to those of the configured one; return how many records of each were copied.

    Raises `UsageError` where that would mix two histories, `FloorpulseError` where the broker refuses a record.
    """
    target = config.kafka.topic_prefix
    if source == target:
        raise UsageError(f'--from "{source}" is the prefix to copy to, too; name a new one with --prefix')
    old, new = Layout.of(under(config, source), INPUTS), Layout.of(config, INPUTS)
    gone_before = {short: await _copied(config, source, old, new, short) for short in INPUTS}
    producer = AIOKafkaProducer(
        **aiokafka_options(config.kafka), acks="all", enable_idempotence=True, linger_ms=20, compression_type=COMPRESSION,
        max_request_size=8 << 20,
    )  # fmt: skip
    await _start(producer)
    try:
        return {
            short: await _copy_topic(config, source, old, new, short, gone_before[short], producer, progress) for short in INPUTS
        }
    except KafkaError as error:
        raise FloorpulseError(f"the copy broke off: {error!r}. The same command goes on from there") from error
    finally:
        await producer.stop()


async def _start(producer: AIOKafkaProducer) -> None:
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        await producer.stop()
        raise KafkaUnreachable(f"cannot write to Kafka (kafka.bootstrap): {error!r}. Nothing was copied") from error


async def _copied(config: Config, source: str, old: Layout, new: Layout, short: str) -> Mapping[int, int]:
    """Return up to which offset each old partition has been copied; raises `UsageError` where not all copies are of `source`."""
    scan = await Scan.of(config, new.names[short], new.counts[short])
    if scan.offsets == 0:
        return {}
    reached: dict[int, int] = {}
    async with aclosing(scan.records()) as records:
        async for record in records:
            if (origin := origin_of(record.headers)) is not None:
                check_source(scan.topic, origin, source)
                reached[origin.partition] = max(reached.get(origin.partition, 0), origin.offset + 1)
    if not reached:
        raise UsageError(f"topic {scan.topic} holds records that no rebuild has copied; choose a prefix that nobody uses")
    if old.counts[short] != new.counts[short]:
        raise UsageError(
            f"topic {scan.topic} has {new.counts[short]} partitions, {old.names[short]} {old.counts[short]}: such a copy cannot "
            "go on where it was. Take empty topics under another --prefix"
        )
    return reached


async def _copy_topic(config: Config, source: str, old: Layout, new: Layout, short: str, done: Mapping[int, int],
                      producer: Any, progress: Callable[[int], None]) -> int:  # fmt: skip
    topic, count = new.names[short], new.counts[short]
    scan = await Scan.of(config, old.names[short], old.counts[short])
    begins = {number: min(max(begin, done.get(number, 0)), scan.ends[number]) for number, begin in scan.begins.items()}
    partition_of = PARTITIONERS[config.kafka.partitioner]
    moved = count != old.counts[short]
    waiting: set[asyncio.Future[Any]] = set()
    copied = 0
    async with aclosing(replace(scan, begins=begins).records(progress)) as records:
        async for record in records:
            where = record.partition if not moved else partition_of(record.key, count) if record.key else record.partition % count
            headers = [header for header in record.headers if header[0] != COPIED]
            headers.append((COPIED, mark_of(Origin(record.partition, record.offset, source))))
            waiting.add(await producer.send(topic, record.value, key=record.key, partition=where, headers=headers))
            copied += 1
            if len(waiting) >= IN_FLIGHT:
                await asyncio.gather(*waiting)
                waiting.clear()
    await asyncio.gather(*waiting)
    return copied


def run_rebuild(config: Config, source: str) -> list[str]:
    """Copy, and return lines for a person: what was done and what comes next."""
    with progress_bar("copying", None) as advance:
        done = asyncio.run(copy(config, source, advance))
    target = config.kafka.topic_prefix
    lines = [f"{count:>10}  {source}{short} -> {target}{short}" for short, count in done.items()]
    group = f"{config.kafka.group}-{target.rstrip('.')}"
    return [
        *lines,
        f"Next: FLOORPULSE_KAFKA__TOPIC_PREFIX={target} FLOORPULSE_KAFKA__GROUP={group} floorpulse worker",
        "Then send the producers there, run this command once more for the rest, and start boards with the new prefix",
    ]


__all__ = ["Origin", "check_source", "copy", "mark_of", "origin_of", "run_rebuild", "under"]
