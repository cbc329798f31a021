"""Folding the journal: records in log order become the state, or the reason why not.

Theory of operation. The journal's partition p is a log with one valid writer at a time. A writer begins with a claim;
the claim's offset is its *epoch* and stands in each of its records. In log order a record counts only if no newer claim
lies before it: what a replaced writer (a *zombie*: stopped, then woken) appends after its successor's claim is
skipped, and the zombie sees from the offset of its append that somebody wrote in between. So the log alone decides who
owned the partition when, without clocks and without asking the group.

The state is a map from entry keys to values. Each flush brings the entries that changed and a piece of the whole state;
one round of pieces is a *cycle*. Whatever was written before a cycle's start is repeated in the cycle or was replaced
after it, so a log that begins at offset 0, or holds one whole cycle, is complete. The owner deletes what lies below the
third-last whole cycle. `published` in each record tells how far readings and outbox are known to be sent: entries
changed later are to be published again, outboxes to be sent again.

A flush in several parts counts when its last part is there; without it, it never happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from schemas.errors import JournalMismatch, JournalTruncated
from streams.journal.record import GONE, Claim, Delta, Outgoing, Values, Written, thaw_entries

KEPT_CYCLES: Final = 3
"""How many whole snapshot cycles the log keeps; one would do, two more are for accidents."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a journal's partition holds at a claim.

    `epoch` is the claim's offset. `seq` and `published` are the last flush and the last one known to be sent;
    `unpublished` are the entry keys changed after it, `outbox` the records to send again. `offsets` are the inputs'
    next offsets by short topic name. `cycles` are the start offsets of the whole snapshot cycles, oldest first, `unfinished`
    is how many were begun since the last of them.
    `followed` and `received` are those of the last flush (see `Delta`).
    """

    epoch: int
    seq: int = 0
    published: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    entries: Mapping[str, Any] = field(default_factory=dict)
    unpublished: frozenset[str] = frozenset()
    outbox: tuple[Outgoing, ...] = ()
    cycle: int = 0
    cycles: tuple[int, ...] = ()
    unfinished: int = 0
    counted: int = 0
    ignored: int = 0
    followed: int | None = None
    received: Mapping[str, int] | None = None


class Fold:
    """Fold one partition's journal, whose log begins at `begin`: feed every record in log order, then `result`."""

    def __init__(self, partition: int, partitions: int, begin: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._begin = begin
        self.next = begin
        """The offset that must come next."""
        self.counted = 0
        self.ignored = 0
        self._forget()

    def add(self, offset: int, record: Written) -> None:
        """Take the record at `offset`; raises `JournalTruncated` for a hole, `JournalMismatch` for another layout."""
        if offset != self.next:
            raise JournalTruncated(f"journal partition {self._partition} lacks the records {self.next} to {offset - 1}. {_REMEDY}")
        self.next = offset + 1
        if isinstance(record, Claim):
            self._epoch = offset
            self._parts.clear()
        elif self._valid(record):
            self._add_part(offset, record)
        else:
            self.ignored += 1

    def check(self) -> None:
        """Raise `JournalTruncated` if what was folded is not the whole state."""
        if self._begin > 0 and not self._cycles:
            raise JournalTruncated(
                f"journal partition {self._partition} begins at offset {self._begin} and holds no whole snapshot cycle. {_REMEDY}"
            )

    def result(self, claim: int) -> Folded:
        """Return the state as the claim at that offset finds it."""
        self.check()
        return Folded(
            epoch=claim,
            seq=self._seq,
            published=self._published,
            offsets=self._offsets,
            entries=thaw_entries(self._entries),
            unpublished=frozenset(key for _, keys, _ in self._unsent for key in keys),
            outbox=tuple(record for _, _, outbox in self._unsent for record in outbox),
            cycle=self._cycle,
            cycles=tuple(self._cycles),
            unfinished=self._unfinished,
            counted=self.counted,
            ignored=self.ignored,
            followed=self._followed,
            received=self._received,
        )

    def _forget(self) -> None:
        self._epoch = -1
        self._seq = self._published = 0
        self._offsets: dict[str, int] = {}
        self._entries: dict[str, bytes] = {}
        self._unsent: list[tuple[int, list[str], list[Outgoing]]] = []
        self._cycle = 0
        self._cycle_start: int | None = None
        self._cycles: list[int] = []
        self._unfinished = 0
        self._parts: list[tuple[int, Delta[Values]]] = []
        self._followed: int | None = None
        self._received: Mapping[str, int] | None = None

    def _valid(self, record: Delta[Values]) -> bool:
        if record.epoch > self._epoch:  # its claim is deleted, and what was folded so far was a zombie's
            self._forget()
            self._epoch = record.epoch
        if record.epoch < self._epoch:
            return False
        if record.partitions != self._partitions:
            raise JournalMismatch(
                f"journal partition {self._partition} was written with {record.partitions} partitions, the topics have "
                f"{self._partitions} now. Keys have moved; recompute under a new kafka.topic_prefix"
            )
        return True

    def _add_part(self, offset: int, record: Delta[Values]) -> None:
        if record.part != len(self._parts):
            self._parts.clear()
            self.ignored += 1
            return
        self._parts.append((offset, record))
        if record.part == record.parts - 1:
            parts, self._parts = self._parts, []
            self._apply(parts)

    def _apply(self, parts: list[tuple[int, Delta[Values]]]) -> None:
        start, first = parts[0]
        self.counted += len(parts)
        self._seq, self._published = first.seq, first.published
        self._offsets, self._cycle = first.offsets, first.cycle
        self._followed, self._received = first.followed, first.received
        self._unsent = [unsent for unsent in self._unsent if unsent[0] > self._published]
        if first.starts:
            self._cycle_start = start
            self._unfinished += 1
        for _, part in parts:
            self._put(part.piece)
        for _, part in parts:
            self._put(part.entries)
            self._unsent.append((part.seq, list(part.entries), part.outbox))
        if parts[-1][1].ends and self._cycle_start is not None:
            self._cycles.append(self._cycle_start)
            del self._cycles[:-KEPT_CYCLES]
            self._cycle_start, self._unfinished = None, 0

    def _put(self, entries: Mapping[str, msgspec.Raw]) -> None:
        state = self._entries
        for key, value in entries.items():
            if value == GONE:
                state.pop(key, None)
            else:
                state[key] = bytes(value)  # a copy: a Raw would keep its whole record in memory


_REMEDY: Final = (
    "State is lost and numbers would be wrong. Restore the topic, or recompute from the inputs under a new "
    "kafka.topic_prefix. (No retention may touch a journal: floorpulse topics checks its settings)"
)

__all__ = ["KEPT_CYCLES", "Fold", "Folded"]
