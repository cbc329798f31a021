"""What the spans of fetched records rely on inside aiokafka 0.14, and that its records are handed out as they are.

The library is pinned. When a new version fails here, read its code at the named place before changing a test.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecord, LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.fetches import Batch, Fetches, batch_of
from streams.journal import Span
from streams.journal.letters import letter
from streams.transport import BatchConsumer

# ------------------------------------------------------------------ what the client read across

PRODUCER = 77
COMMIT, ABORT = b"\x00\x00\x00\x01", b"\x00\x00\x00\x00"
BROKERS_TIME, CONTROL = 0x08, 0x20


def log_batch(base: int, deltas: list[int], *, marker: bytes | None = None, transactional: bool = False,
              last: int | None = None) -> bytes:  # fmt: skip
    """A record batch as it lies in the log; `deltas` are the offsets that compaction has left of it, `last` the end that it had."""
    builder = DefaultRecordBatchBuilder(2, 0, int(transactional), PRODUCER if transactional else -1, 0, 0, 1 << 20)
    for delta in deltas:
        builder.append(delta, 1_000, marker or b"k", b"v", [])
    return placed(builder, base, CONTROL if marker is not None else 0, last)


def placed(builder: Any, base: int, attributes: int = 0, last: int | None = None) -> bytes:
    """The batch at an offset, with what only a broker sets."""
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    data[22] |= attributes
    if last is not None:
        data[23:27] = last.to_bytes(4, "big")
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


class Fetching:
    """aiokafka's side: one partition, whose fetched data are put into the map and taken out of it."""

    def __init__(self, position: int) -> None:
        self.fetches = Fetches()
        self.tp = TopicPartition("a", 0)
        self.state = SimpleNamespace(paused=False, position=position, consumed_to=self.seek)
        self.assignment = SimpleNamespace(active=True, state_value=lambda _: self.state)

    def seek(self, position: int) -> None:
        """Move."""
        self.state.position = position

    def answer(self, *batches: bytes, aborted: list[tuple[int, int]] | None = None) -> FetchResult:
        """The answer of a broker, as aiokafka has it."""
        records = PartitionRecords(
            self.tp, MemoryRecords(b"".join(batches)), aborted, self.state.position, None, None, True, READ_COMMITTED
        )
        return FetchResult(self.tp, assignment=self.assignment, partition_records=records, backoff=0)

    def fetch(self, *batches: bytes, aborted: list[tuple[int, int]] | None = None) -> None:
        """Put the answer of a broker there."""
        self.fetches[self.tp] = self.answer(*batches, aborted=aborted)

    def batch(self, most: int | None = None) -> Batch:
        """Take records as `fetched_records` does."""
        result = self.fetches[self.tp]
        records = result.getall(most)
        if not result.has_more():
            del self.fetches[self.tp]
        return self.fetches.spanned({self.tp: records} if records else {}).get(self.tp, batch_of([]))

    def take(self, most: int | None = None) -> tuple[list[int], Span | None]:
        """Take records; returns their offsets and what they cover."""
        batch = self.batch(most)
        return [each.offset for each in batch], batch.span


def test_a_batch_covers_what_the_client_went_through() -> None:
    """Two parts of one fetch meet."""
    client = Fetching(5)
    client.fetch(log_batch(5, [0, 1, 2, 3]))
    assert client.take(3) == ([5, 6, 7], Span(5, 8))
    assert client.take(3) == ([8], Span(8, 9))


def test_markers_and_aborted_records_are_known_by_cause() -> None:
    """The next batch covers them; at the log's end `idle` tells that nothing more is there."""
    client = Fetching(0)
    committed, aborted = log_batch(0, [0, 1], transactional=True), log_batch(3, [0, 1, 2], transactional=True)
    client.fetch(committed, log_batch(2, [0], marker=COMMIT, transactional=True))
    assert client.take() == ([0, 1], Span(0, 3, {"marker": 1}))
    client.fetch(aborted, log_batch(6, [0], marker=ABORT, transactional=True), aborted=[(PRODUCER, 3)])
    assert client.take() == ([], None)
    assert client.fetches.idle == {client.tp: (3, 7)}
    client.fetch(log_batch(7, [0]))
    assert client.take() == ([7], Span(3, 8, {"marker": 1, "aborted": 3}))
    assert client.fetches.idle == {client.tp: (8, 8)}


def test_what_compaction_took_is_known() -> None:
    """Inputs should not be compacted, but somebody may have."""
    client = Fetching(0)
    client.fetch(log_batch(0, [0, 2]), log_batch(6, [1]))
    assert client.take() == ([0, 2, 7], Span(0, 8, {"compaction": 5}))


def test_what_compaction_took_of_a_batchs_end_is_known() -> None:
    """The batch keeps its end, and reading goes on behind it; of another nothing is left."""
    client = Fetching(0)
    client.fetch(log_batch(0, [0, 1], last=4), log_batch(5, [], last=2))
    assert client.take() == ([0, 1], Span(0, 8, {"compaction": 6}))
    assert client.state.position == 8
    client.fetch(log_batch(8, [0]))
    assert client.take() == ([8], Span(8, 9))


def test_a_broken_batch_is_an_error_and_is_read_again() -> None:
    """Nothing of that answer is handed out, and its span neither."""
    client = Fetching(0)
    good, broken = log_batch(0, [0, 1]), bytearray(log_batch(2, [0]))
    broken[-2] ^= 1  # in the value, which only the checksum tells
    client.fetch(good, bytes(broken))
    with pytest.raises(CorruptRecordException):
        client.take()
    assert client.take() == ([], None)
    assert client.state.position == 0
    client.fetch(good, log_batch(2, [0]))
    assert client.take() == ([0, 1, 2], Span(0, 3))


def test_a_jump_begins_a_new_span() -> None:
    """A seek, or a reset after retention: nobody has looked at what lies between."""
    client = Fetching(0)
    client.fetch(log_batch(0, [0, 1, 2]))
    assert client.take(1) == ([0], Span(0, 1))
    client.seek(40)
    del client.fetches[client.tp]
    client.fetch(log_batch(40, [0]))
    assert client.take() == ([40], Span(40, 41))
    client.fetches.clear()
    client.seek(41)
    client.fetch(log_batch(41, [0]))
    assert client.take() == ([41], Span(41, 42))


def test_aiokafka_keeps_what_it_fetched_in_one_map() -> None:
    """And hands records out without waiting in between, so that the spans are those of exactly these records."""
    source = inspect.getsource(Fetcher)
    assert "self._records = collections.OrderedDict()" in source
    assert source.count("self._records[tp] = ") == 2
    drain = inspect.getsource(Fetcher.fetched_records)
    taking = drain[drain.index("for tp in list") : drain.index("if drained or not timeout")]
    assert "await" not in taking
    unpack = inspect.getsource(PartitionRecords._unpack_records)
    assert "records = self._records" in unpack
    assert unpack.count("consumer_record") == 3  # made by the method of that name, and only handed out


# ------------------------------------------------------------------ the records handed out


def old_batch(magic: int, base: int, count: int, codec: int = 0) -> bytes:
    """Messages of the formats before record batches; compressed ones lie in one message that has the last offset."""
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    relative = 0 if codec and magic else base
    for index in range(count):
        builder.append(relative + index, 900 + index, None if index else b"k", b"v%d" % (base + index))
    data = bytearray(builder.build())
    if codec:
        data[:8] = (base + count - 1).to_bytes(8, "big")
    return bytes(data)


def new_batch(base: int, codec: int = 0, attributes: int = 0) -> bytes:
    """A batch with a tombstone, a record without a key, and headers."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, 0, 0, 1 << 20)
    builder.append(0, 1_000, b"k", None, [("replayed", b"2"), ("other", None)])
    builder.append(1, 1_003, None, b"v", [])
    return placed(builder, base, attributes)


GZIP, ZSTD = 1, 4
OLDEST = old_batch(0, 0, 2), old_batch(0, 2, 2, GZIP)
OLD = old_batch(1, 4, 1), old_batch(1, 5, 3, GZIP)
NEW = (
    new_batch(8),
    new_batch(10, ZSTD, BROKERS_TIME),
    log_batch(12, [0, 1], last=4),
    log_batch(17, [0, 1], transactional=True),
    log_batch(19, [0], marker=ABORT, transactional=True),
    log_batch(20, [], last=2),
    log_batch(23, [0], transactional=True),
    log_batch(24, [0], marker=COMMIT, transactional=True),
)
"""With compaction, an aborted transaction, and a committed one."""
ABORTED = [(PRODUCER, 17)]
HELD = [*range(14), 23]
"""The offsets of the records in the three of them."""


def said(records: list[Any]) -> list[tuple[Any, ...]]:
    """All that is asked of records."""
    return [(each.offset, each.timestamp, each.timestamp_type, each.key, each.value, [*each.headers]) for each in records]


@pytest.mark.parametrize(("log", "position", "end"), [
    (OLDEST, 0, 4), (OLDEST[1:], 3, 4), (OLD, 4, 8), (OLD[1:], 6, 8),
    (NEW, 8, 25), (NEW[1:], 11, 25), (NEW[2:], 13, 25), (NEW[2:], 15, 25),
])  # fmt: skip
@pytest.mark.parametrize("most", [None, 1, 4])
def test_what_is_handed_out_says_what_aiokafkas_own_records_say(
    log: tuple[bytes, ...], position: int, end: int, most: int | None
) -> None:
    """Record by record, with the positions in between, wherever in its first batch reading begins."""
    ours, theirs = Fetching(position), Fetching(position)
    ours.fetch(*log, aborted=ABORTED)
    watched, plain, offsets = ours.fetches[ours.tp], theirs.answer(*log, aborted=ABORTED), []
    while plain.has_more():
        records, expected = watched.getall(most), plain.getall(most)
        assert said(records) == said(expected)
        assert ours.state.position == theirs.state.position
        offsets += [each.offset for each in records]
    assert offsets == [offset for offset in HELD if position <= offset < end]
    assert (watched.has_more(), ours.state.position) == (False, end)


@pytest.mark.parametrize(("log", "position", "kind"), [(OLDEST, 0, LegacyRecord), (OLD, 4, LegacyRecord), (NEW, 8, DefaultRecord)])
def test_nothing_is_made_of_a_record(log: tuple[bytes, ...], position: int, kind: type) -> None:
    """A `ConsumerRecord` takes as long as all the rest of unpacking; no deserializer is lost with it, see the client below."""
    client = Fetching(position)
    client.fetch(*log, aborted=ABORTED)
    batch = client.batch()
    assert {type(each) for each in batch} == {kind}
    assert {type(each.key) for each in batch} | {type(each.value) for each in batch} == {bytes, type(None)}
    assert inspect.getsource(PartitionRecords._consumer_record).count("_deserializer(") == 2


def test_a_message_has_the_time_of_its_last_record() -> None:
    """Messages of the oldest format have none; of others it is the producer's or the broker's."""
    consumer: Any = SimpleNamespace(app=SimpleNamespace(consumer_generation_id=1))
    found = []
    for log, position in ((OLDEST, 0), (OLD, 4), (NEW[:1], 8), (NEW[1:2], 10)):
        client = Fetching(position)
        client.fetch(*log)
        message = BatchConsumer._to_message(consumer, TP("a", 0), client.batch())
        found.append((message.offset, message.timestamp, message.timestamp_type))
    assert found == [(3, 0.0, None), (7, 0.902, 0), (9, 1.003, 0), (11, 1.003, 1)]


def test_a_letter_is_made_of_what_is_handed_out() -> None:
    """With place, time and how often it was replayed."""
    client = Fetching(8)
    client.fetch(new_batch(8))
    reject: Any = SimpleNamespace(index=0, outcome="invalid", reason="empty", detail="no value")
    made = letter(client.batch()[0], reject, "prefix.a", 3)
    told = dict(made.headers)
    assert (made.key, made.value) == (b"k", None)
    assert (told["offset"], told["timestamp"], told["replayed"]) == (b"8", b"1000", b"2")
