"""Store of slices: what each partition last said about each slice, packed, and their sum on demand.

Theory. A slice's value is replaced as a whole by its partition, so its old value must be at hand to tell what
changed, for as long as the slice is kept: a late event may correct a slice that is days old. Most slices are
written a few times and then only kept, so each value stands as one small byte string (numbers of interned part
names and their values) of 100 to 200 bytes where a dict would take a kilobyte. A slice that is over, with newer ones behind it, is
closed: what its partitions said of a place becomes one byte string, since a dict and a string for each take as much again as what
they hold. A correction opens it until the next slice begins. Nothing is folded away before its retention ends, and so nothing
is lost to a correction.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from schemas.parts import SERIES
from schemas.sketch import BUCKETS

MAX_PART_NAMES: Final = 20_000
"""Distinct part names: some 150 names and three sketches of fewer than 2,000 buckets each; more is a foreign writer."""


class Place(NamedTuple):
    """What a cell is about: a queue on a channel, a group, an agent, the floor, or the slots of a queue."""

    dimension: str
    name: str
    channel: str


Parts = dict[str, int]
Stamp = tuple[int, int]
"""(epoch, seq) of a flush."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode
_decode_row = msgspec.msgpack.Decoder(dict[int, bytes]).decode
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OPEN: Final = 2
"""The newest slices stay open: the one that is being written, and the one before it."""


_NOBODY: Final[Mapping[int, bytes]] = {}


def _said(said: Mapping[int, bytes] | bytes) -> Mapping[int, bytes]:
    """Return what each partition said of a place, to be read."""
    return _decode_row(said) if isinstance(said, bytes) else said


def _changes(old: list[int], new: list[int]) -> dict[int, int]:
    """Return what was added to each part, by its number, between two packed values; nearly always they have the same parts."""
    numbers, values = new[2::2], new[3::2]
    if old[2::2] == numbers:
        return {number: value - was for number, value, was in zip(numbers, values, old[3::2], strict=True) if value != was}
    changes = dict(zip(numbers, values, strict=True))
    for number, was in zip(old[2::2], old[3::2], strict=True):
        changes[number] = changes.get(number, 0) - was
    return {number: change for number, change in changes.items() if change}


def is_part(name: str) -> bool:
    """Tell whether a part's name can be used: a word, or a sketch bucket that is one of ours."""
    series, tilde, bucket = name.partition("~")
    if not tilde:
        return _WORD.fullmatch(name) is not None
    return series in SERIES and bucket.isascii() and bucket.isdigit() and len(bucket) < 6 and int(bucket) < BUCKETS


class Cells:
    """All slices of one length."""

    def __init__(self, length_ms: int) -> None:
        self.length_ms = length_ms
        self._starts: list[int] = []
        self._rows: dict[int, dict[Place, dict[int, bytes] | bytes]] = {}
        """By start and place: what each partition said, or all of it packed."""
        self._opened: set[int] = set()
        """Starts of the rows that are not closed."""
        self._number: dict[str, int] = {}
        self._names: list[str] = []
        self.refused_parts = 0

    def __len__(self) -> int:
        return sum(len(row) for row in self._rows.values())

    def copy(self) -> Cells:
        """Return a copy to read from in another thread: quick, since packed values and part names are shared."""
        twin = Cells(self.length_ms)
        twin._starts = list(self._starts)
        twin._names = self._names  # only ever grows
        twin._rows = {start: dict(row) for start, row in self._rows.items()}
        for start in self._opened:
            twin._rows[start] = {
                place: said if isinstance(said, bytes) else dict(said) for place, said in self._rows[start].items()
            }
        return twin

    def replace(self, place: Place, start: int, partition: int, stamp: Stamp, parts: Mapping[str, int]) -> Parts | None:
        """Set a partition's value of a slice; returns what changed, None where what it said was newer: that stands.

        Values must fit into 64 bits.
        """
        row = self._rows.get(start)
        said = _said(_NOBODY if row is None else row.get(place, _NOBODY)).get(partition)
        old = [] if said is None else _decode(said)
        if said is not None and stamp < (old[0], old[1]):
            return None
        if row is None:
            row = self._rows[start] = {}
            insort(self._starts, start)
            self._close()
        flat = self._flat(stamp, parts)
        self._open(row, start, place)[partition] = _encode(flat)
        names = self._names
        return {names[number]: change for number, change in _changes(old, flat).items()}

    def remove(self, place: Place, start: int, partition: int) -> Parts:
        """Forget a partition's value of a slice; returns what changed."""
        row = self._rows.get(start)
        if row is None or partition not in _said(row.get(place, _NOBODY)):
            return {}
        by_partition = self._open(row, start, place)
        packed = by_partition.pop(partition)
        if not by_partition:
            del row[place]
        if not row:
            del self._rows[start]
            del self._starts[bisect_left(self._starts, start)]
            self._opened.discard(start)
        return {part: -value for part, value in self._unpack(packed).items()}

    def expire(self, before: int) -> None:
        """Forget all slices that start before an instant."""
        count = bisect_left(self._starts, before)
        for start in self._starts[:count]:
            del self._rows[start]
        self._opened.difference_update(self._starts[:count])
        del self._starts[:count]

    def between(self, first: int, last: int, wants: Callable[[Place], bool] | None = None) -> Iterator[tuple[int, Place, Parts]]:
        """Yield (start, place, parts added over partitions) of the slices that start in first..last, by start."""
        for start in self._starts_between(first, last):
            for place, said in self._rows[start].items():
                if wants is None or wants(place):
                    yield start, place, self._sum(_said(said))

    def summed(self, first: int, last: int, wants: Callable[[Place], bool]) -> dict[Place, Parts]:
        """Return the sums over the slices that start in first..last; for each step also that of slice number x step (`_step#`).

        Adds up packed numbers, which takes a third of the time that adding up dicts of parts takes.
        """
        found: dict[Place, dict[int, int]] = {}
        weighted: dict[Place, dict[int, int]] = {}
        steps = {number for number, name in enumerate(self._names) if name.endswith("_step")}
        for start in self._starts_between(first, last):
            number = start // self.length_ms
            for place, said in self._rows[start].items():
                if wants(place):
                    sums = found.setdefault(place, {})
                    for packed in _said(said).values():
                        flat = _decode(packed)
                        for name, value in zip(flat[2::2], flat[3::2], strict=True):
                            sums[name] = sums.get(name, 0) + value
                        if not steps.isdisjoint(flat[2::2]):
                            by_number = weighted.setdefault(place, {})
                            for name, value in zip(flat[2::2], flat[3::2], strict=True):
                                if name in steps:
                                    by_number[name] = by_number.get(name, 0) + number * value
        names = self._names
        total = {place: {names[name]: value for name, value in sums.items() if value} for place, sums in found.items()}
        for place, sums in weighted.items():
            total[place].update({names[name] + "#": value for name, value in sums.items() if value})
        return total

    def of_place(self, place: Place, first: int, last: int) -> Iterator[tuple[int, dict[int, Parts]]]:
        """Yield (start, partition → parts) of one place's slices that start in first..last, by start."""
        for start in self._starts_between(first, last):
            said = self._rows[start].get(place)
            if said is not None:
                yield start, {partition: self._unpack(packed) for partition, packed in _said(said).items()}

    @property
    def names(self) -> list[str]:
        """The names of all parts that ever occurred."""
        return list(self._names)

    def places(self) -> set[Place]:
        """Return all places that have a slice."""
        return {place for row in self._rows.values() for place in row}

    def starts(self, first: int) -> list[int]:
        """Return the starts of all slices from an instant on, in order."""
        return self._starts[bisect_left(self._starts, first) :]

    def _starts_between(self, first: int, last: int) -> list[int]:
        return self._starts[bisect_left(self._starts, first) : bisect_left(self._starts, last + 1)]

    def _open(self, row: dict[Place, dict[int, bytes] | bytes], start: int, place: Place) -> dict[int, bytes]:
        """Return what each partition said of a place, to be changed."""
        said = row.get(place)
        if isinstance(said, dict):
            return said
        self._opened.add(start)
        opened = row[place] = {} if said is None else _decode_row(said)
        return opened

    def _close(self) -> None:
        """Pack the rows that are over."""
        for start in self._opened.difference(self._starts[-_OPEN:]):
            row = self._rows[start]
            row.update({place: _encode(said) for place, said in row.items() if isinstance(said, dict)})
            self._opened.remove(start)

    def _sum(self, by_partition: Mapping[int, bytes]) -> Parts:
        values = iter(by_partition.values())
        total = self._unpack(next(values))
        for packed in values:
            for part, value in self._unpack(packed).items():
                total[part] = total.get(part, 0) + value
        return total

    def _flat(self, stamp: Stamp, parts: Mapping[str, int]) -> list[int]:
        """Return stamp, and number and value of each part in turns, without those that are 0 or none of ours."""
        numbers = list(map(self._number.get, parts))
        if None in numbers or not all(parts.values()):
            parts = {part: value for part, value in parts.items() if self._intern(part) is not None and value}
            numbers = list(map(self._number.get, parts))
        flat: list[Any] = [*stamp, *numbers, *numbers]
        flat[2::2], flat[3::2] = numbers, parts.values()
        return flat

    def _intern(self, part: str) -> int | None:
        """Return the number of a part, None if it is none of ours, which is counted."""
        known = self._number.get(part)
        if known is None and (len(self._names) >= MAX_PART_NAMES or not is_part(part)):
            self.refused_parts += 1
        elif known is None:
            known = self._number[part] = len(self._names)
            self._names.append(part)
        return known

    def _unpack(self, packed: bytes) -> Parts:
        flat = _decode(packed)
        names = self._names
        return {names[number]: value for number, value in zip(flat[2::2], flat[3::2], strict=True)}


__all__ = ["Cells", "Parts", "Place", "Stamp"]
