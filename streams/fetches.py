"""What the client has fetched: batches of records that know which offsets they cover.

Theory of operation. Transactions' markers, aborted records and compaction leave holes in the offsets. aiokafka knows what
stood there, since it goes through the record batches as they lie in the log. `Fetches` is put in the place of its map of
fetched data and notes per partition from where to where it went without a jump (a seek, a reset after retention). What is
handed out then says which offsets it covers (`Span`), and `idle` how far the log holds nothing more behind it.

The records handed out are those that aiokafka reads from the log, with offset, timestamp and its type, key, value and headers.
Of each it would make another object, of eleven fields, which takes as long as to check and unpack it.

For the compiled core not even those are made: it reads the bytes of the answer itself (`Slab`). aiokafka does not keep them where
one can reach them, so `Tap` stands before its client and notes what the broker answered. What aiokafka decides stays with it (which
answers are for us, where reading goes on, how much is taken at a time); only what a record batch holds is read by
`streams/native/src/log.rs`, which leaves the formats of before 2017 to aiokafka.

What this relies on inside aiokafka 0.14 is held by `tests/unit/test_fetches_contract.py`.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast, overload

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from streams.journal.contiguity import Span
from streams.native import reader

_CODECS: Final[Mapping[int, Callable[[bytes], bytes]]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}


class Batch(list[Any]):
    """Raw records of one partition in offset order; `span` tells which offsets they cover, if that is known."""

    __slots__ = ("span",)

    span: Span | None

    def piece(self, begin: int, end: int) -> Batch:
        """Return a part; what was skipped is told with the last one."""
        made = Batch(self[begin:end])
        made.span = _span_of(self, made, begin, end)
        return made


class Fetched(NamedTuple):
    """A record of a slab."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Slab(Sequence[Fetched]):
    """Records of one partition in offset order, as they lie in the log; `span` as in `Batch`.

    `held` is for the compiled core. Who asks for a single record has it made, for letters and the like.
    """

    __slots__ = ("held", "span")

    def __init__(self, held: Any, span: Span | None = None) -> None:
        self.held = held
        self.span = span

    def __len__(self) -> int:
        return len(self.held)

    @overload
    def __getitem__(self, index: int) -> Fetched: ...

    @overload
    def __getitem__(self, index: slice) -> Slab: ...

    def __getitem__(self, index: int | slice) -> Fetched | Slab:
        if isinstance(index, slice):
            begin, end, _ = index.indices(len(self))
            return Slab(self.held.piece(begin, end))
        return Fetched(*self.held.record(index if index >= 0 else len(self) + index))

    @property
    def offsets(self) -> Sequence[int]:
        """The offset of each record."""
        if self.held.is_dense():
            first = self.held.offset(0) if len(self) else 0
            return range(first, first + len(self))
        return cast(list[int], self.held.offsets())

    def piece(self, begin: int, end: int) -> Slab:
        """Return a part; what was skipped is told with the last one."""
        made = self[begin:end]
        made.span = _span_of(self, made, begin, end)
        return made


def _span_of(whole: Batch | Slab, part: Sequence[Any], begin: int, end: int) -> Span | None:
    span = whole.span
    if span is None or not part:
        return span
    first = span.begin if begin == 0 else whole[begin - 1].offset + 1
    last = end >= len(whole)
    return Span(first, span.end if last else part[-1].offset + 1, span.skipped if last else {})


def batch_of(records: list[Any], span: Span | None = None) -> Batch:
    """Return records as a batch."""
    made = Batch(records)
    made.span = span
    return made


class _Read:
    """How far one partition was read without a jump: `origin` is the end of what was handed out."""

    __slots__ = ("aborted", "markers", "origin", "records", "stopped")

    def __init__(self, origin: int) -> None:
        self.origin = self.stopped = origin
        self.records: Any = None
        self.markers = 0
        self.aborted = False

    @property
    def reached(self) -> int:
        """Up to where the client has read."""
        return self.stopped if self.records is None else cast(int, self.records.next_fetch_offset)

    def take(self, count: int) -> Span:
        """Hand out what was read since the last time, which held so many records."""
        begin, self.origin = self.origin, self.reached
        gone = self.origin - begin - count - self.markers
        skipped = {"marker": self.markers, "aborted" if self.aborted else "compaction": gone}
        self.markers = 0
        if self.records is None:  # else the rest of the same fetch may hold more of them
            self.aborted = False
        return Span(begin, self.origin, {cause: offsets for cause, offsets in skipped.items() if offsets})


class _Watched:
    """The record batches of one fetch, noting the transaction markers among them."""

    __slots__ = ("_batches", "_read")

    def __init__(self, batches: Any, read: _Read) -> None:
        self._batches = batches
        self._read = read

    def has_next(self) -> bool:
        return cast(bool, self._batches.has_next())

    def next_batch(self) -> Any:
        batch = self._batches.next_batch()
        if batch.is_control_batch:
            self._read.markers += batch.next_offset - batch.base_offset
        return batch


def _decompress(codec: int, data: bytes) -> bytes:
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise ValueError(f"unknown codec {codec}")
    return bytes(unpack(data))


class _Native:
    """Stands for aiokafka's `PartitionRecords`, and hands out slabs."""

    __slots__ = ("_read", "_reader", "_result", "_tp")

    def __init__(self, tp: Any, result: Any, read: _Read, native: Any) -> None:
        self._tp = tp
        self._result = result
        self._read = read
        self._reader = native

    @property
    def next_fetch_offset(self) -> int:
        return cast(int, self._reader.next_fetch_offset)

    def getall(self, max_records: int | None = None) -> Sequence[Any]:
        """Stand for aiokafka's `FetchResult.getall`."""
        result = self._result
        records = self._taken(result, max_records) if result.check_assignment(self._tp) and result.has_more() else []
        if not result.has_more():
            del result.getall, self._result  # they hold each other, and the answer
        return records

    def _taken(self, result: Any, max_records: int | None) -> Slab:
        try:
            records = self._reader.read(sys.maxsize if max_records is None else max_records)
        except ValueError as error:
            raise CorruptRecordException(f"{self._tp.topic} {self._tp.partition} at {self.next_fetch_offset}: {error}") from None
        finally:
            self._read.markers += self._reader.take_markers()
        result._update_position()  # noqa: SLF001  # as aiokafka's own does
        if self._reader.is_done():
            result._partition_records = None  # noqa: SLF001  # the same
        return Slab(records)


class Tap:
    """Stands before aiokafka's client, and notes the bytes that a broker has answered for each partition."""

    def __init__(self, client: Any, fetches: Fetches) -> None:
        self._client = client
        self._fetches = fetches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: Any, request: Any, **options: Any) -> Any:
        """Send, and note the answer: it is put into `Fetches`, or dropped, before anybody else has a turn."""
        response = await self._client.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            self._fetches.answers = {
                TopicPartition(topic, partition): data[-1]
                for topic, partitions in response.topics
                for partition, _, _, *data in partitions
            }
        return response


def _as_it_is(_tp: Any, record: Any) -> Any:
    """Take the place of the method that makes a `ConsumerRecord` of a record."""
    return record


class Fetches(OrderedDict[Any, Any]):
    """aiokafka's fetched data by partition, noting how far each was read without a jump."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[Any, bytes] = {}
        """The bytes of the newest answer, where a `Tap` notes them."""
        self.idle: dict[Any, tuple[int, int]] = {}
        """By partition: the end of what was handed out, and how far the log held nothing more. Read by other threads."""
        self._reads: dict[Any, _Read] = {}

    def __setitem__(self, tp: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)  # an error has none
        if records is not None:
            read = self._reads.get(tp)
            if read is None or read.reached != records.next_fetch_offset:
                read = self._reads[tp] = _Read(records.next_fetch_offset)
            aborted = records._aborted_transactions  # noqa: SLF001  # no public way
            read.aborted = read.aborted or bool(aborted)
            answer = self.answers.pop(tp, None)
            native = None if answer is None else reader(answer, records.next_fetch_offset, aborted, _decompress)
            if native is not None:
                records._records_iterator = None  # noqa: SLF001  # they hold each other, and the answer
                read.records = result._partition_records = _Native(tp, result, read, native)  # noqa: SLF001  # the same
                result.getall = read.records.getall
            else:
                read.records = records
                records._records = _Watched(records._records, read)  # noqa: SLF001  # the same
                records._consumer_record = _as_it_is  # noqa: SLF001  # the same
        super().__setitem__(tp, result)

    def __delitem__(self, tp: Any) -> None:
        super().__delitem__(tp)
        read = self._reads.get(tp)
        if read is not None:
            read.stopped, read.records = read.reached, None

    def clear(self) -> None:
        """Forget everything, as after a rebalance."""
        super().clear()
        self._reads.clear()

    def spanned(self, drained: Mapping[Any, Any]) -> dict[Any, Batch | Slab]:
        """Return what aiokafka has just handed out as batches that know what they cover."""
        made: dict[Any, Batch | Slab] = {}
        for tp, records in drained.items():
            read = self._reads.get(tp)
            span = None if read is None else read.take(len(records))
            made[tp] = Slab(records.held, span) if isinstance(records, Slab) else batch_of(records, span)
        self.idle = {tp: (read.origin, read.reached) for tp, read in self._reads.items()}
        return made


__all__ = ["Batch", "Fetched", "Fetches", "Slab", "Tap", "batch_of"]
