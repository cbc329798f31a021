"""Following the readings: what a former owner published behind the present one's back.

Theory of operation. Only the owner writes its readings partition, so its own records lie there one after the other, and
the broker tells for each batch where. If more offsets have gone by than records of ours, somebody else has written: a
former owner that was stopped between its journal and its readings, or the last flush of the predecessor. The stretch is
read; each record of an older epoch is *stale*, and its key is published again with its present value. In steady state
nothing is read at all, and since a heartbeat is sent every few seconds, nothing stays unnoticed for longer.

`looked` is up to where the partition was looked at, `followed` up to where what was found is answered and acknowledged.
The journal keeps `followed`, so that an owner which dies in between leaves the rest to its successor. A tombstone has no
epoch and needs none: a slice that was over once is over for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS, ReadingKey, decode_key, decode_value, encode_key
from streams.journal.ports import Landed, Record

MOST_STALE: Final = 50_000
"""The most stale readings that are answered with one flush; the rest is looked at after it."""
_LENGTHS: Final = frozenset({SLICE_MS, QUARTER_MS, ROSTER_MS, DATE_MS})


class Follow:
    """What is known about one readings partition; `followed` is up to where stale records are answered."""

    def __init__(self, partition: int, followed: int) -> None:
        self.followed = followed
        self.looked = followed
        self.stale: dict[ReadingKey, None] = {}
        """Keys to publish again, in the order in which they were found."""
        self._partition = partition

    def must_look(self, landed: Landed) -> bool:
        """Tell whether records of somebody else lie before the end of ours."""
        if landed.end - self.looked != landed.records:
            return True
        self._move(landed.end)
        return False

    def see(self, record: Record, epoch: int, landed: Landed) -> bool:
        """Take the next record of the partition; tell whether to go on."""
        if 0 < landed.end <= record.offset or len(self.stale) >= MOST_STALE:
            return False
        self.looked = record.offset + 1
        try:
            key, value = decode_key(record.key or b""), decode_value(record.value)
        except ValueError:
            return True  # nobody's reading: readers pass it over too
        ours = key.partition == self._partition and (key.kind != "slice" or key.length_ms in _LENGTHS)
        if ours and key.kind != "heartbeat" and value is not None and value.epoch < epoch:
            self.stale[key] = None
        return True

    def seen(self, landed: Landed) -> None:
        """Note that all was seen that there was to see."""
        if len(self.stale) < MOST_STALE:
            self._move(max(landed.end, self.looked))

    def take(self, published: Iterable[tuple[bytes, bytes | None]]) -> list[ReadingKey]:
        """Return the keys to publish again with a flush that publishes these records anyway."""
        if not self.stale:
            return []
        stale, self.stale = self.stale, {}
        keys = {key for key, _ in published}
        return [key for key in stale if encode_key(key) not in keys]

    def answered(self, up_to: int) -> None:
        """Note that a flush is out that answered all that was found below an offset."""
        self.followed = max(self.followed, up_to)

    def _move(self, looked: int) -> None:
        self.looked = looked
        if not self.stale:
            self.followed = looked


__all__ = ["MOST_STALE", "Follow"]
