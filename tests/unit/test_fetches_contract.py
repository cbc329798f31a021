"""What the spans of fetched records rely on inside aiokafka 0.14, and that its records are handed out as they are.

The library is pinned. When a new version fails here, read its code at the named place before changing a test.
"""

from __future__ import annotations

import gc
import inspect
import random
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecord, LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.fetches import Batch, Fetches, Slab, Tap, batch_of
from streams.journal import Span
from streams.journal.letters import letter
from streams.native import is_made
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
    """aiokafka's side: one partition, whose fetched data are put into the map and taken out of it.

    With `slabs` the bytes of the answer are noted, as `Tap` does for the compiled core.
    """

    def __init__(self, position: int, *, slabs: bool = False) -> None:
        if slabs and not is_made():
            pytest.skip("the compiled core is not made")
        self.slabs = slabs
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
        if self.slabs:
            self.fetches.answers = {self.tp: b"".join(batches)}
        self.fetches[self.tp] = self.answer(*batches, aborted=aborted)

    def batch(self, most: int | None = None) -> Batch | Slab:
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


@pytest.mark.parametrize("slabs", [False, True])
def test_a_batch_covers_what_the_client_went_through(slabs: bool) -> None:
    """Two parts of one fetch meet."""
    client = Fetching(5, slabs=slabs)
    client.fetch(log_batch(5, [0, 1, 2, 3]))
    assert client.take(3) == ([5, 6, 7], Span(5, 8))
    assert client.take(3) == ([8], Span(8, 9))


@pytest.mark.parametrize("most", [None, 2])
@pytest.mark.parametrize("slabs", [False, True])
def test_an_answer_goes_with_its_last_record(slabs: bool, most: int | None) -> None:
    """Without the collector, which would leave hundreds of answers lie: nothing that hangs together in circles holds it."""
    client = Fetching(5, slabs=slabs)
    answer = log_batch(5, [0, 1, 2, 3])
    free = sys.getrefcount(answer)
    gc.disable()
    try:
        client.fetch(answer)
        assert sys.getrefcount(answer) > free
        while client.tp in client.fetches:
            client.take(most)
        assert sys.getrefcount(answer) == free
    finally:
        gc.enable()


@pytest.mark.parametrize("slabs", [False, True])
def test_markers_and_aborted_records_are_known_by_cause(slabs: bool) -> None:
    """The next batch covers them; at the log's end `idle` tells that nothing more is there."""
    client = Fetching(0, slabs=slabs)
    committed, aborted = log_batch(0, [0, 1], transactional=True), log_batch(3, [0, 1, 2], transactional=True)
    client.fetch(committed, log_batch(2, [0], marker=COMMIT, transactional=True))
    assert client.take() == ([0, 1], Span(0, 3, {"marker": 1}))
    client.fetch(aborted, log_batch(6, [0], marker=ABORT, transactional=True), aborted=[(PRODUCER, 3)])
    assert client.take() == ([], None)
    assert client.fetches.idle == {client.tp: (3, 7)}
    client.fetch(log_batch(7, [0]))
    assert client.take() == ([7], Span(3, 8, {"marker": 1, "aborted": 3}))
    assert client.fetches.idle == {client.tp: (8, 8)}


@pytest.mark.parametrize("most", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("slabs", [False, True])
def test_markers_are_told_with_what_comes_before_them(slabs: bool, most: int) -> None:
    """However few records are taken at a time: spans meet, and each covers its records and what it says was skipped."""
    client = Fetching(0, slabs=slabs)
    lot = [log_batch(0, [0, 1, 2]), log_batch(3, [0], marker=COMMIT, transactional=True)]
    client.fetch(*lot, log_batch(4, [0, 2]), log_batch(7, [0], marker=COMMIT, transactional=True), log_batch(8, [0]))
    offsets, reached, skipped = [], 0, Counter[str]()
    while client.tp in client.fetches:
        found, span = client.take(most)
        if span is not None:
            assert span.begin == reached
            assert span.end - span.begin == len(found) + sum(span.skipped.values())
            assert all(count > 0 for count in span.skipped.values())
            reached, skipped = span.end, skipped + Counter(span.skipped)
        offsets += found
    assert (offsets, reached, skipped) == ([0, 1, 2, 4, 6, 8], 9, Counter(marker=2, compaction=1))


@pytest.mark.parametrize("slabs", [False, True])
def test_what_compaction_took_is_known(slabs: bool) -> None:
    """Inputs should not be compacted, but somebody may have."""
    client = Fetching(0, slabs=slabs)
    client.fetch(log_batch(0, [0, 2]), log_batch(6, [1]))
    assert client.take() == ([0, 2, 7], Span(0, 8, {"compaction": 5}))


@pytest.mark.parametrize("slabs", [False, True])
def test_what_compaction_took_of_a_batchs_end_is_known(slabs: bool) -> None:
    """The batch keeps its end, and reading goes on behind it; of another nothing is left."""
    client = Fetching(0, slabs=slabs)
    client.fetch(log_batch(0, [0, 1], last=4), log_batch(5, [], last=2))
    assert client.take() == ([0, 1], Span(0, 8, {"compaction": 6}))
    assert client.state.position == 8
    client.fetch(log_batch(8, [0]))
    assert client.take() == ([8], Span(8, 9))


@pytest.mark.parametrize("slabs", [False, True])
def test_a_broken_batch_is_an_error_and_is_read_again(slabs: bool) -> None:
    """Nothing of that answer is handed out, and its span neither."""
    client = Fetching(0, slabs=slabs)
    good, broken = log_batch(0, [0, 1]), bytearray(log_batch(2, [0]))
    broken[-2] ^= 1  # in the value, which only the checksum tells
    client.fetch(good, bytes(broken))
    with pytest.raises(CorruptRecordException):
        client.take()
    assert client.take() == ([], None)
    assert client.state.position == 0
    client.fetch(good, log_batch(2, [0]))
    assert client.take() == ([0, 1, 2], Span(0, 3))


@pytest.mark.parametrize("slabs", [False, True])
def test_a_jump_begins_a_new_span(slabs: bool) -> None:
    """A seek, or a reset after retention: nobody has looked at what lies between."""
    client = Fetching(0, slabs=slabs)
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
    source = inspect.getsource(fetcher)  # of the module: for a class Python parses it, and may fail in the midst of it (gh-106905)
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


@pytest.mark.parametrize("slabs", [False, True])
def test_a_message_has_the_time_of_its_last_record(slabs: bool) -> None:
    """Messages of the oldest format have none; of others it is the producer's or the broker's."""
    consumer: Any = SimpleNamespace(app=SimpleNamespace(consumer_generation_id=1))
    found = []
    for log, position in ((OLDEST, 0), (OLD, 4), (NEW[:1], 8), (NEW[1:2], 10)):
        client = Fetching(position, slabs=slabs)
        client.fetch(*log)
        message = BatchConsumer._to_message(consumer, TP("a", 0), client.batch())
        found.append((message.offset, message.timestamp, message.timestamp_type))
    assert found == [(3, 0.0, None), (7, 0.902, 0), (9, 1.003, 0), (11, 1.003, 1)]


@pytest.mark.parametrize("slabs", [False, True])
def test_a_letter_is_made_of_what_is_handed_out(slabs: bool) -> None:
    """With place, time and how often it was replayed."""
    client = Fetching(8, slabs=slabs)
    client.fetch(new_batch(8))
    reject: Any = SimpleNamespace(index=0, outcome="invalid", reason="empty", detail="no value")
    made = letter(client.batch()[0], reject, "prefix.a", 3)
    told = dict(made.headers)
    assert (made.key, made.value) == (b"k", None)
    assert (told["offset"], told["timestamp"], told["replayed"]) == (b"8", b"1000", b"2")


# ------------------------------------------------------------------ the same for the compiled core


SNAPPY, LZ4 = 2, 3
PACKED = tuple(new_batch(base, codec) for base, codec in ((25, GZIP), (27, SNAPPY), (29, LZ4), (31, ZSTD)))


@pytest.mark.parametrize(("log", "position", "end"), [
    (NEW, 8, 25), (NEW[1:], 11, 25), (NEW[2:], 13, 25), (NEW[2:], 15, 25), (NEW + PACKED, 8, 33), (PACKED, 26, 33),
])  # fmt: skip
@pytest.mark.parametrize("most", [None, 1, 3, 4])
def test_a_slab_says_what_aiokafkas_own_records_say(log: tuple[bytes, ...], position: int, end: int, most: int | None) -> None:
    """Record by record, in all codecs, wherever reading begins and however much is taken at a time."""
    ours, theirs = Fetching(position, slabs=True), Fetching(position)
    ours.fetch(*log, aborted=ABORTED)
    expected = theirs.answer(*log, aborted=ABORTED).getall(None)
    result, found = ours.fetches[ours.tp], []
    while result.has_more():
        slab = result.getall(most)
        assert isinstance(slab, Slab)
        assert len(slab) <= (most or 100)
        assert [*slab.offsets] == [each.offset for each in slab]
        assert slab.held.value_bytes() == sum(len(each.value or b"") for each in slab)
        found += said([*slab])
    assert found == said(expected)
    assert ours.state.position == theirs.state.position == end


@pytest.mark.parametrize(("log", "position"), [(OLDEST, 0), (OLD, 4), ((*NEW, *OLD), 8)])
def test_what_is_older_than_record_batches_is_left_to_aiokafka(log: tuple[bytes, ...], position: int) -> None:
    """Wherever it stands."""
    client = Fetching(position, slabs=True)
    client.fetch(*log, aborted=ABORTED)
    assert isinstance(client.batch(2), Batch)


def test_pieces_of_a_slab_cover_what_it_covers() -> None:
    """The last one tells what was skipped."""
    client = Fetching(0, slabs=True)
    client.fetch(log_batch(0, [0, 1, 3]), log_batch(4, [0], marker=COMMIT))
    slab = client.batch()
    assert isinstance(slab, Slab)
    pieces = [slab.piece(begin, begin + 2) for begin in (0, 2)]
    assert [([each.offset for each in piece], piece.span) for piece in pieces] == [
        ([0, 1], Span(0, 2)), ([3], Span(2, 5, {"marker": 1, "compaction": 1})),
    ]  # fmt: skip
    assert [*slab[1:].offsets] == [1, 3]
    assert slab[-1].offset == 3


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_an_answer_that_is_cut_off_ends_with_its_last_whole_batch(cut: int) -> None:
    """Brokers cut where the answer is full."""
    ours, theirs = Fetching(8, slabs=True), Fetching(8)
    data = b"".join(NEW)[: 1 + cut]
    ours.fetch(data, aborted=ABORTED)
    expected = theirs.answer(data, aborted=ABORTED).getall(None)
    assert said([*ours.batch()]) == said(expected)
    assert ours.state.position == theirs.state.position


@pytest.mark.parametrize("seed", range(300))
def test_damage_within_a_right_checksum_is_an_error(seed: int) -> None:
    """As in aiokafka: never a crash, and whatever both can read they read alike."""
    rng = random.Random(seed)
    data = bytearray(b"".join(NEW[:1] if seed % 2 else NEW[1:2]))
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(57, len(data))] = rng.randrange(256)
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    found: list[Any] = []
    for slabs in (True, False):
        client = Fetching(8, slabs=slabs)
        client.fetch(bytes(data))
        try:
            found.append(said([*client.batch()]))
        except Exception as error:  # noqa: BLE001  # each codec has its own
            found.append(type(error))
    if isinstance(found[0], list) and isinstance(found[1], list):
        assert found[0] == found[1]


async def test_a_tap_notes_answers_to_fetches_alone() -> None:
    """By partition; everything else passes through."""
    class Client:
        api_version = 7

        async def send(self, node: int, request: Any) -> Any:
            return SimpleNamespace(topics=[("a", [(0, 0, 9, 5, [], b"batches"), (1, 0, 9, b"more")])], node=node, request=request)

    fetches = Fetches()
    tap = Tap(Client(), fetches)
    assert tap.api_version == 7
    assert (await tap.send(3, "offsets")).node == 3
    assert fetches.answers == {}
    await tap.send(3, FetchRequest.__new__(FetchRequest))
    assert fetches.answers == {TopicPartition("a", 0): b"batches", TopicPartition("a", 1): b"more"}


def test_aiokafka_takes_a_fetch_to_pieces_as_slabs_expect() -> None:
    """The records are the last field of a partition; nothing waits between the answer and its place in the map."""
    source = inspect.getsource(Fetcher._proc_fetch_request)
    answered = source[source.index("for topic, partitions in response.topics") :]
    assert "records = MemoryRecords(part_data[-1])" in answered
    assert "for partition, error_code, highwater, *part_data in partitions" in answered
    assert "await " not in source[source.index("fetch_offsets = {}") :]
    assert "response = await self._client.send(node_id, request)" in source
    drain = inspect.getsource(Fetcher.fetched_records)
    assert "records = res_or_error.getall(max_records)" in drain
    assert "max_records -= len(drained[tp])" in drain
