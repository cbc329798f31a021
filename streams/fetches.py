"""What the client has fetched: batches of records that know which offsets they cover.

Theory of operation. Transactions' markers, aborted records and compaction leave holes in the offsets. aiokafka knows what
stood there, since it goes through the record batches as they lie in the log. `Fetches` is put in the place of its map of
fetched data and notes per partition from where to where it went without a jump (a seek, a reset after retention). What is
handed out then says which offsets it covers (`Span`), and `idle` how far the log holds nothing more behind it.

The records handed out are those that aiokafka reads from the log, with offset, timestamp and its type, key, value and headers.
Of each it would make another object, of eleven fields, which takes as long as to check and unpack it.

What this relies on inside aiokafka 0.14 is held by `tests/unit/test_fetches_contract.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

from streams.journal.contiguity import Span


class Batch(list[Any]):
    """Raw records of one partition in offset order; `span` tells which offsets they cover, if that is known."""

    __slots__ = ("span",)

    span: Span | None

    def piece(self, begin: int, end: int) -> Batch:
        """Return a part; what was skipped is told with the last one."""
        made = Batch(self[begin:end])
        made.span = self.span
        if self.span is not None and made:
            first = self.span.begin if begin == 0 else self[begin - 1].offset + 1
            last = end >= len(self)
            made.span = Span(first, self.span.end if last else made[-1].offset + 1, self.span.skipped if last else {})
        return made


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


def _as_it_is(_tp: Any, record: Any) -> Any:
    """Take the place of the method that makes a `ConsumerRecord` of a record."""
    return record


class Fetches(OrderedDict[Any, Any]):
    """aiokafka's fetched data by partition, noting how far each was read without a jump."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: dict[Any, tuple[int, int]] = {}
        """By partition: the end of what was handed out, and how far the log held nothing more. Read by other threads."""
        self._reads: dict[Any, _Read] = {}

    def __setitem__(self, tp: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)  # an error has none
        if records is not None:
            read = self._reads.get(tp)
            if read is None or read.reached != records.next_fetch_offset:
                read = self._reads[tp] = _Read(records.next_fetch_offset)
            read.records = records
            read.aborted = read.aborted or bool(records._aborted_transactions)  # noqa: SLF001  # no public way
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

    def spanned(self, drained: Mapping[Any, list[Any]]) -> dict[Any, Batch]:
        """Return what aiokafka has just handed out as batches that know what they cover."""
        made = {}
        for tp, records in drained.items():
            read = self._reads.get(tp)
            made[tp] = batch_of(records, None if read is None else read.take(len(records)))
        self.idle = {tp: (read.origin, read.reached) for tp, read in self._reads.items()}
        return made


__all__ = ["Batch", "Fetches", "batch_of"]
