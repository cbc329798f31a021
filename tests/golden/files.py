"""Golden files, read; and the same computed by today's program."""

from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from schemas.readings import ReadingKey, decode_key, decode_value
from schemas.rules import Rules
from streams.core.floor import Floor
from streams.journal import Claim, Fold, Folded, Outgoing, decode, encode, pack
from streams.journal.ports import Ports
from streams.partition import Limits, Partition

FOLDER: Final = Path(__file__).parent
PARTITIONS: Final = 2
TOPICS: Final = ("sessions", "queues", "status", "business", "relay")
RECORD_BYTES: Final = 12_000
"""Small, so that flushes in several parts are among the records."""
CYCLE_FLUSHES: Final = 4
EVENTS_PER_FLUSH: Final = 40


class Input(NamedTuple):
    """A record of an input: `part` 1 is fed before the load, 2 after it."""

    part: int
    partition: int
    topic: str
    key: bytes
    value: bytes


class Rec(NamedTuple):
    """A record as the client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0


def read(name: str, what: str) -> list[Any]:
    """Return the rows of a golden file."""
    with gzip.open(FOLDER / name / f"{what}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(folder: Path, what: str, rows: Iterable[Any]) -> None:
    """Write rows; the same rows give the same bytes."""
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n" for row in rows)
    (folder / f"{what}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def names() -> list[str]:
    """Return the golden folders, oldest first."""
    return sorted(path.parent.name for path in FOLDER.glob("*/meta.json"))


def meta(name: str) -> dict[str, Any]:
    """Return what wrote a folder."""
    found: dict[str, Any] = json.loads((FOLDER / name / "meta.json").read_text(encoding="utf-8"))
    return found


def inputs(name: str) -> list[Input]:
    """Return the inputs of a folder."""
    rows = read(name, "events")
    return [Input(part, number, topic, b64decode(key), b64decode(value)) for part, number, topic, key, value in rows]


def plain(value: Any) -> Any:
    """Return a value as JSON has it, so that what was thawed and what was read can be compared."""
    return json.loads(msgspec.json.encode(value))


def state_of(folded: Folded) -> dict[str, Any]:
    """Return what a journal folds to, for JSON."""
    return {
        "epoch": folded.epoch,
        "seq": folded.seq,
        "published": folded.published,
        "offsets": dict(folded.offsets),
        "unpublished": sorted(folded.unpublished),
        "outbox": [plain(record) for record in folded.outbox],
        "received": folded.received,
        "cycles": list(folded.cycles),
        "ignored": folded.ignored,
        "entries": {key: plain(value) for key, value in sorted(folded.entries.items())},
    }


def fold(partition: int, records: Iterable[bytes]) -> Folded:
    """Fold a partition's journal with a claim behind it."""
    folding = Fold(partition, PARTITIONS, 0)
    for offset, record in enumerate(records):
        folding.add(offset, decode(record))
    return folding.result(folding.next)


def go_on(folded: Mapping[int, Folded], more: Iterable[Input]) -> dict[ReadingKey, dict[str, int]]:
    """Load the floors, feed them what was not sent and the second part, and return all slices and totals that come of it."""
    rules = Rules()
    floors = [Floor.thaw(p, PARTITIONS, rules, folded[p].entries, folded[p].entries) for p in range(PARTITIONS)]
    for each in folded.values():
        for record in each.outbox:
            if record.topic == "relay":
                floors[record.partition].apply("relay", [record.key], [record.value], 0)
    for number, topic, key, value in (each[1:] for each in more):
        floors[number].apply(topic, [key], [value], 0)
    found: dict[ReadingKey, dict[str, int]] = {}
    for seq in range(1, 6):
        relayed = []
        for number, floor in enumerate(floors):
            flush = floor.flush(folded[number].seq + seq, 0, frozenset())
            relayed += flush.relay
            found |= {r.key: r.body["parts"] for r in flush.readings if r.body is not None and r.key.kind in ("slice", "total")}
        for told in relayed:
            floors[told.partition].apply("relay", [None], [told.value], 0)
    return {key: {part: value for part, value in parts.items() if value} for key, parts in found.items() if any(parts.values())}


class Broken(Exception):  # as everywhere
    """Kafka is gone."""


class Broker:
    """Two partitions' journal and outputs in memory; `broken` sends nothing."""

    record_bytes = RECORD_BYTES

    def __init__(self) -> None:
        self.journal: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
        self.sent: list[Outgoing] = []
        self.logs: dict[tuple[str, int], list[Rec]] = {(topic, p): [] for topic in TOPICS for p in range(PARTITIONS)}
        self.broken = False

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Keep it as it stands in the topic."""
        self.journal[partition].append(pack(value))
        return len(self.journal[partition]) - 1

    async def claimed(self, *_: int) -> bool:
        """Nobody else claims while somebody flushes."""
        return False

    async def send(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], Any]:
        """Keep what is sent, and relay."""
        if self.broken:
            raise Broken
        for record in records:
            self.sent.append(record)
            if record.topic == "relay":
                self.put("relay", record.partition, record.key or b"", record.value or b"")
        return {}

    def put(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Append to an input."""
        log = self.logs[topic, partition]
        log.append(Rec(len(log), key or None, value))

    def end(self, topic: str, partition: int) -> None:
        """Say nothing about the logs' ends."""

    def owner(self, number: int) -> Partition:
        """Claim a partition and load it, as a worker does."""
        claim = pack(encode(Claim(f"owner-{number}", 0)))
        folded = fold(number, self.journal[number])
        self.journal[number].append(claim)
        floor = Floor.thaw(number, PARTITIONS, Rules(), folded.entries, folded.unpublished)
        ports = Ports(self, self, self, {topic: topic for topic in TOPICS}, lambda: 0)  # type: ignore[arg-type]
        offsets = {topic: folded.offsets.get(topic, 0) for topic in TOPICS}
        return Partition(number, PARTITIONS, floor, folded, offsets, ports, followed=0, limits=Limits(cycle_flushes=CYCLE_FLUSHES))


async def feed(broker: Broker, owner: Partition, upto: Mapping[str, int]) -> None:
    """Deliver all that lies before some offsets."""
    for topic, end in upto.items():
        records = broker.logs[topic, owner.number][owner.next[topic] : end]
        if records:
            await owner.receive(topic, records)


async def run(first: Iterable[Input]) -> Broker:
    """Write a journal: two owners one after the other, a zombie's record between, and a last flush that was never sent."""
    broker, feeds = Broker(), list(first)
    owners = {number: broker.owner(number) for number in range(PARTITIONS)}
    for start in range(0, len(feeds), EVENTS_PER_FLUSH):
        if start // EVENTS_PER_FLUSH == len(feeds) // EVENTS_PER_FLUSH // 2:
            for number in range(PARTITIONS):
                zombies = broker.journal[number][-1]
                owners[number] = broker.owner(number)
                broker.journal[number].append(zombies)
        for each in feeds[start : start + EVENTS_PER_FLUSH]:
            broker.put(each.topic, each.partition, each.key, each.value)
        broker.broken = start + EVENTS_PER_FLUSH >= len(feeds)
        for owner in owners.values():
            await feed(broker, owner, {topic: len(broker.logs[topic, owner.number]) for topic in TOPICS})
            try:
                await owner._flush(final=False)
            except Broken:
                assert broker.broken
    return broker


def written(first: Iterable[Input]) -> Broker:
    """Return what today's program writes."""
    return asyncio.run(run(first))


def rows_of_journal(broker: Broker) -> list[Any]:
    """Return the journal's rows."""
    return [[p, n, b64encode(record).decode()] for p, log in broker.journal.items() for n, record in enumerate(log)]


def rows_of_published(broker: Broker) -> list[Any]:
    """Return the readings that were sent, as text: partition, key, value."""
    readings = [record for record in broker.sent if record.topic == "readings"]
    return [[r.partition, (r.key or b"").decode(), None if r.value is None else r.value.decode()] for r in readings]


def rows_of_readings(found: Mapping[ReadingKey, Mapping[str, int]]) -> list[Any]:
    """Return slices and totals in order."""
    return [[list(key), dict(parts)] for key, parts in sorted(found.items())]


def check_readable(rows: Iterable[Any]) -> int:
    """Decode published readings; return how many."""
    count = 0
    for _, key, value in rows:
        decode_key(key.encode())
        decode_value(None if value is None else value.encode())
        count += 1
    return count
