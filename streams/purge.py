"""One customer's id: where it still is, until when, and what can be deleted of it.

Theory of operation. Kafka cannot delete single records of these topics: it deletes a partition up to an offset, all that lies
before. So the command says where the id occurs and when retention takes it, and deletes only where nothing is lost for the
numbers: dead letters and late records are copies that nobody counts, relay records are done with once the workers have
committed them. Inputs belong to those who produce them, and the journal is the workers' state: what it knows of a customer
is over with his contacts, and its old records go with its snapshot cycles. Neither is touched.

The id is looked for where it can stand: as a string in the JSON of a record (or as a word in one that is no JSON), as the
target of a relay record, and in the bytes of the journal; its keyed hash, too, where `customers.hash_ids` is on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ReadPartition
from aiokafka.errors import KafkaError as ReadError
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from schemas.config import Config
from schemas.errors import JournalError, KafkaUnreachable, TopicError, UsageError
from schemas.instants import LATEST_MS, format_instant
from schemas.rules import Rules
from streams.connection import admin_options, aiokafka_options, open_admin
from streams.journal import unpack
from streams.letterview import safe
from streams.progress import no_progress, progress_bar
from streams.scan import Layout, Scan
from streams.topics import INPUTS

COPIES: Final = ("dead-letters", "late")
STATE: Final = ("relay", "journal")
DELETABLE: Final = (*COPIES, "relay")
_WORD: Final = rb"[0-9A-Za-z_\x80-\xff]"


class Needle:
    """What to look for: an id, and its hash where ids are hashed."""

    def __init__(self, customer: str, rules: Rules) -> None:
        if not customer:
            raise UsageError("--customer is empty")
        try:
            customer.encode()
        except UnicodeEncodeError:
            raise UsageError(f"--customer {customer!r} is not valid UTF-8, as every id in an event must be") from None
        self.texts = list(dict.fromkeys((customer, rules.customer(customer))))
        raw = [text.encode() for text in self.texts]
        self._words = [re.compile(rb"(?<!" + _WORD + rb")" + re.escape(each) + rb"(?!" + _WORD + rb")") for each in raw]
        self._packed = [part for each in raw for part in (msgspec.msgpack.encode(each.decode()), b"\x1f" + each + b"\x1f")]

    def in_json(self, data: bytes | None) -> bool:
        """Tell whether one of the strings in a record is the id; in one that is no JSON, whether it stands there as a word."""
        if not data or (b"\\" not in data and not any(text.encode() in data for text in self.texts)):
            return False
        try:
            return any(found in self.texts for found in _strings(msgspec.json.decode(data)))
        except (msgspec.MsgspecError, RecursionError):
            return any(word.search(data) for word in self._words)

    def in_state(self, data: bytes | None) -> bool:
        """Tell whether a relay record, or a journal record that is not packed, holds the id."""
        return data is not None and any(packed in data for packed in self._packed)

    def in_journal(self, data: bytes | None) -> bool:
        """Tell whether a journal record holds the id; in one that is damaged, whether its bytes do."""
        try:
            return self.in_state(unpack(data) if data else None)
        except JournalError:
            return self.in_state(data)

    def in_record(self, short: str, record: Any) -> bool:
        """Tell whether a record of a topic holds the id, in key or value."""
        if short in STATE:
            held = self.in_journal(record.value) if short == "journal" else self.in_state(record.value)
            return held or (record.key or b"") in [text.encode() for text in self.texts]
        return self.in_json(record.value) or (record.key or b"").decode(errors="replace") in self.texts


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _strings(each)


@dataclass
class Place:
    """A partition in which the id occurs: how often, from which offset to which, when the last record was sent.

    `before` is how many records lie up to that one, those of others included.
    """

    short: str
    topic: str
    partition: int
    records: int = 0
    first: int = -1
    last: int = -1
    newest_ms: int = 0
    before: int = 0

    def add(self, record: Any, before: int) -> None:
        """Count a record that holds the id."""
        self.records += 1
        self.first = record.offset if self.first < 0 else self.first
        self.last, self.newest_ms, self.before = record.offset, max(self.newest_ms, record.timestamp), before


async def find(config: Config, needle: Needle, shorts: Sequence[str],
               progress: Callable[[int], None] = no_progress) -> list[Place]:  # fmt: skip
    """Read topics from end to end, and return where the id occurs."""
    layout = Layout.of(config, shorts)
    found: list[Place] = []
    for short in shorts:
        scan = await Scan.of(config, layout.names[short], layout.counts[short])
        places = [Place(short, layout.names[short], number) for number in range(layout.counts[short])]
        read = [0] * layout.counts[short]
        async with aclosing(scan.records(progress)) as records:
            async for record in records:
                read[record.partition] += 1
                if needle.in_record(short, record):
                    places[record.partition].add(record, read[record.partition])
        found += [place for place in places if place.records]
    return found


def kept_for(config: Config, topics: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return (retention, longest time in one segment) in ms per topic; a retention of -1 is for ever."""
    with open_admin(admin_options(config.kafka)) as admin:
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        described = admin.describe_configs(resources, config_filter="all").get("topic", {}) if resources else {}
    return {
        topic: (int(entries["retention.ms"]["value"]), int(entries["segment.ms"]["value"]))
        for topic, entries in described.items()
        if "retention.ms" in entries and "segment.ms" in entries
    }


async def delete(config: Config, places: Iterable[Place]) -> dict[tuple[str, int], int]:
    """Delete partitions up to the last record with the id, the relay no further than the workers are; return up to which offset."""
    wanted = {(place.topic, place.partition): place.last + 1 for place in places if place.short in DELETABLE}
    relay = [(place.topic, place.partition) for place in places if place.short == "relay"]
    for at, committed in (await _committed(config, relay)).items():
        wanted[at] = min(wanted[at], committed)
    wanted = {at: offset for at, offset in wanted.items() if offset > 0}
    if wanted:
        with open_admin(admin_options(config.kafka)) as admin:
            try:
                admin.delete_records({TopicPartition(*at): offset for at, offset in wanted.items()})
            except KafkaError as error:
                raise TopicError(f"the broker deleted nothing, or not all: {error!r}. Allow us to delete records there") from error
    return wanted


async def _committed(config: Config, at: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    if not at:
        return {}
    consumer = AIOKafkaConsumer(**aiokafka_options(config.kafka), group_id=config.kafka.group, enable_auto_commit=False)
    try:
        await consumer.start()
        return {each: await consumer.committed(ReadPartition(*each)) or 0 for each in at}
    except ReadError as error:
        raise KafkaUnreachable(f"cannot ask for the offsets of group {config.kafka.group}: {error!r}") from error
    finally:
        await consumer.stop()


def told(place: Place, kept: Mapping[str, tuple[int, int]]) -> str:
    """Say in one line where the id is and until when."""
    retention, segment = kept.get(place.topic, (-1, 0))
    if place.short == "journal":
        until = "until the customer's contacts are over and three snapshot cycles have passed"
    elif retention < 0 or place.newest_ms + retention + segment > LATEST_MS:
        until = "for ever, as the topic's retention.ms is"
    else:
        first = place.newest_ms + retention
        until = f"gone between {format_instant(first)} and {format_instant(first + segment)}"
    return f"{place.topic}[{place.partition}]  {place.records} records, offsets {place.first} to {place.last}; {until}"


def run_purge(config: Config, customer: str, *, really: bool, inputs: bool) -> list[str]:
    """Say where a customer's id is, and delete what may be deleted; return lines for a person."""
    needle = Needle(customer, config.rules())
    shorts = [*(INPUTS if inputs else ()), *COPIES, *STATE]
    with progress_bar("searching", None) as advance:
        places = asyncio.run(find(config, needle, shorts, advance))
    if not places:
        return [f"customer {safe(customer)} occurs in none of: {', '.join(shorts)}"]
    kept = kept_for(config, {place.topic for place in places})
    lines = [told(place, kept) for place in places]
    mine = [place for place in places if place.short in DELETABLE]
    others = sum(place.before - place.records for place in mine)
    if really:
        done = asyncio.run(delete(config, mine))
        lines += [f"deleted {topic}[{partition}] below offset {offset}" for (topic, partition), offset in sorted(done.items())]
    elif mine:
        lines.append(
            "Nothing was deleted. Dead letters, late and relay records can be deleted up to the last of these, "
            f"{others} records of others with them: --yes"
        )
    if any(place.short in INPUTS for place in places):
        lines.append("Inputs belong to their producers and are not touched here: they go by retention.ms")
    return lines


__all__ = ["DELETABLE", "Needle", "Place", "delete", "find", "kept_for", "run_purge", "told"]
