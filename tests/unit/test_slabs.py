"""The compiled core counts the same whether it is handed records or the bytes of the log they lie in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from schemas.events import INPUT_TOPICS
from schemas.markers import end_of_input
from schemas.rules import Rules
from streams.core.driver import record_of
from streams.fetches import Slab, batch_of
from streams.journal import Span, decode
from streams.journal.fold import Folded
from streams.journal.ports import Ports
from streams.native import CompiledFloor, is_made, reader
from streams.partition import Limits, Partition, Tally
from tests import centres
from tests.bench.stages import Nowhere, asyncio_free

pytestmark = pytest.mark.skipif(not is_made(), reason="the compiled core is not made (make native)")
TOPICS = (*INPUT_TOPICS, "relay")


def log_of(records: Sequence[tuple[bytes | None, bytes | None]], base: int) -> bytes:
    """Records in batches of ten, every third offset of the second batch taken by compaction."""
    log = bytearray()
    for begin in range(0, len(records), 10):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
        for index, (key, value) in enumerate(records[begin : begin + 10]):
            if begin != 10 or index % 3:
                builder.append(index, 1_000 + index, key, value, [("replayed", b"3")] if index == 4 else [])
        data = builder.build()
        data[:8] = (base + begin).to_bytes(8, "big")
        log += data  # the checksum begins behind the offset
    return bytes(log)


def fed(seed: int) -> list[tuple[str, list[tuple[bytes | None, bytes | None]]]]:
    """A centre's events by topic, with garbage, tombstones, duplicates and markers among them."""
    rng = random.Random(seed)
    lanes: dict[str, list[tuple[bytes | None, bytes | None]]] = {topic: [] for topic in TOPICS}
    for event in centres.with_duplicates(centres.centre(seed, sessions=40, queues=3, agents=4), seed, 0.1):
        topic, key, value = record_of(event, centres.to_jsonl_bytes(event))
        lanes[topic].append((key or None, value))
        if rng.random() < 0.1:
            lanes[topic].append((key, rng.choice([None, b"", b"{nope", value[: len(value) // 2], b"\xff\xfe", end_of_input(1)])))
    lanes["relay"] += [(None, None), (b"x", b"no relay record")]
    return [*lanes.items()]


class Owned:
    """A partition, which keeps what it hands out."""

    def __init__(self) -> None:
        nowhere: Any = Nowhere()
        self.tally = Tally()
        ports = Ports(nowhere, nowhere, nowhere, {topic: f"prefix.{topic}" for topic in TOPICS}, lambda: centres.START_MS)
        floor = CompiledFloor(0, 1, Rules())
        limits = Limits(flush_events=1 << 30, backlog_events=1 << 30)
        self.partition = Partition(0, 1, floor, Folded(0), dict.fromkeys(TOPICS, 0), ports, limits=limits, tally=self.tally)

    def taken(self) -> tuple[Any, ...]:
        """What one flush hands out, and what was counted on the way."""
        captured, partition = self.partition._capture(), self.partition
        records = [decode(record) for record in captured.records]
        told = sorted((each.topic, each.key or b"", each.value or b"", [*each.headers]) for each in captured.outgoing)
        seen = self.tally.seen
        skipped = dict(self.tally.skipped)
        return records, told, partition.received, partition.next, skipped, seen.rejected, seen.examples, seen.topics


@pytest.mark.parametrize("seed", range(12))
def test_a_slab_is_counted_like_its_records(seed: int) -> None:
    """Entries, readings, relay, letters with key, time and headers, offsets, and what is counted beside."""
    listed, slabbed = Owned(), Owned()
    rng = random.Random(seed)
    for _ in range(2):
        for topic, lane in fed(seed):
            begin = listed.partition.next[topic]
            log = log_of(lane, begin)
            end = begin + len(lane)
            raw = [record for batch in batches_of(log) for record in batch]
            held = reader(log, begin, [], lambda *_: b"")
            assert held is not None
            slab = Slab(held.read(1 << 30))
            span = Span(begin, end, {"compaction": len(lane) - len(raw)} if len(raw) < len(lane) else {})
            batch = batch_of(raw, span)
            slab.span = span
            at = 0
            while at < len(raw):
                size = rng.randint(1, 25)
                for owned, whole in ((listed, batch), (slabbed, slab)):
                    piece = whole.piece(at, at + size)
                    asyncio_free(owned.partition.receive(topic, piece, piece.span))
                at += size
        assert listed.partition.pending == slabbed.partition.pending
        assert listed.taken() == slabbed.taken()


def batches_of(log: bytes) -> list[Any]:
    """The batches of a log as aiokafka reads them."""
    records, found = MemoryRecords(log), []
    while records.has_next():
        found.append(records.next_batch())
    return found


def test_a_slab_that_was_taken_before_is_left_out() -> None:
    """As after a seek back: from the offset that comes next."""
    owned = Owned()
    lane = [(b"k", b"{nope")] * 10
    held = reader(log_of(lane, 0), 0, [], lambda *_: b"")
    assert held is not None
    slab = Slab(held.read(100), Span(0, 10))
    asyncio_free(owned.partition.receive("sessions", slab.piece(0, 6), Span(0, 6)))
    asyncio_free(owned.partition.receive("sessions", slab, Span(0, 10)))
    assert (owned.partition.next["sessions"], owned.partition.received) == (10, {"sessions": 10})
    letters = [dict(each.headers)["offset"] for each in owned.partition._capture().outgoing if each.topic == "dead-letters"]
    assert letters == [b"%d" % offset for offset in range(10)]
