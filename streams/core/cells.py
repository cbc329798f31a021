"""Cells: counts, sums, sketches and levels per address and slice of time.

Theory of operation. An address is (dimension, name, channel). A fact of instant `at` goes into two slices of its address, the
10 s one and the quarter-hour one, each a flat map from part to integer that merges by addition. What a part does follows from
its name (`schemas.parts`): a series takes a duration and fills count, sum and sketch bucket, the bucket also in the slice of the
local date; a level takes a step (see `schemas.levels`); headcount and leavings go into slices of an hour instead; anything
else is added. Booking with `times = -1` undoes a fact exactly, so zeros are removed and two floors that saw the
same events hold equal maps whatever the order.

Booking is two steps, since many facts of a flush fall into the same 10 s. `book` only adds to a small map per slice and address;
`settle`, once a flush, brings each sum to where it belongs: both slices, the sketch of the date, the present levels, the running
totals. Steps of levels come as one object for a whole transition of an agent (`Steps`), counted as one number: n transitions
whose distances to the end of the slice add up to d ms are n * 2**44 + d, which one addition keeps.

Slices before `first[length]` are over: facts are then neither added to nor taken from them, the value published last stands.
The bounds only move in `expire`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from schemas.parts import HISTOGRAM_LIMITS_MS, LEVELS, PEAK_LEVELS, ROSTER_LEVEL, SERIES, TOTALS, bucket_part
from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS
from schemas.sketch import BUCKETS, bucket_of

Address = tuple[str, str, str]
Cell = dict[str, int]
CellId = tuple[int, int, Address]
"""(length in ms, slice number, address)."""

_ONE: Final = 1 << 44
"""Weight of the number of transitions; distances add up to far less than half of it."""
_BUCKET_PARTS: Final = {series: tuple(bucket_part(series, b) for b in range(BUCKETS)) for series in SERIES}
_LEVEL_PARTS: Final = {level: (f"{level}_step", f"{level}_ms") for level in (*LEVELS, *PEAK_LEVELS, ROSTER_LEVEL)}
_HISTOGRAM_PARTS: Final = {
    series: tuple(f"{series}_hist~{limit}" for limit in (*HISTOGRAM_LIMITS_MS, "inf")) for series in SERIES
}
_SERIES_OF_BUCKET: Final = {part: series for series, parts in _BUCKET_PARTS.items() for part in parts}
_SUM_OF_HISTOGRAM: Final = {sum_part: f"{series}_hist_ms" for series, (_, sum_part) in SERIES.items()}
_HISTOGRAM: Final = frozenset(part for parts in _HISTOGRAM_PARTS.values() for part in parts)
_COUNTED: Final = frozenset(TOTALS) | _HISTOGRAM | frozenset(_SUM_OF_HISTOGRAM.values())
"""Parts of the running totals."""
_ROSTER: Final = frozenset({ROSTER_LEVEL, "agents_left"})
_SPECIAL: Final = frozenset(SERIES) | _ROSTER


class Steps:
    """The steps of levels in one transition: (level, step) each. Compared by identity: whoever makes them keeps them."""

    __slots__ = ("all", "in_slices")

    def __init__(self, steps: Iterable[tuple[str, int]]) -> None:
        """Look up the parts of each level; some are gauges only."""
        self.all = tuple(steps)
        self.in_slices = tuple((*_LEVEL_PARTS[level], step) for level, step in self.all if level in _LEVEL_PARTS)


Part = str | Steps
Fact = tuple[Address, int, Part, int]
"""(address, at, part, amount); the amount of steps is 1."""


def histogram_part(series: str, value_ms: int) -> str:
    """Return the part of the running histogram that counts a value: the one of the least limit not below it."""
    return _HISTOGRAM_PARTS[series][bisect_left(HISTOGRAM_LIMITS_MS, value_ms)]


class Cells:
    """All cells of one partition, what changed in them, the levels' present values and the steps still to come."""

    def __init__(self, *, live: bool = True, date_of: Callable[[Address, int], int] = lambda _, at: at // DATE_MS) -> None:
        """Start empty; without `live` nothing but quarter-hours is kept (a report needs no more).

        `date_of`: the number of the local date of an instant at an address.
        """
        self.slices: dict[int, dict[int, dict[Address, Cell]]] = {SLICE_MS: {}, QUARTER_MS: {}, ROSTER_MS: {}, DATE_MS: {}}
        never = 0 if live else 1 << 62
        self.first: dict[int, int] = {SLICE_MS: never, QUARTER_MS: 0, ROSTER_MS: never, DATE_MS: never}
        self._date_of = date_of if live else None
        self.fixed: dict[Address, Cell] = {}
        """What readings of levels say beside them."""
        self.first_sketch = 0
        self.levels: dict[Address, Cell] = {}
        self.ahead: dict[Address, dict[tuple[int, str], int]] = {}
        self.changed: set[CellId] = set()
        self.changed_levels: set[Address] = set()
        self.now = 0
        self._booked: dict[tuple[int, Address], dict[Part, int]] = {}
        self.place: Callable[[Address], Address] = lambda address: address
        """Gives the address under which an address is kept."""

    def book(self, facts: Iterable[Fact], times: int = 1) -> None:
        """Add facts `times` times each (negative: take them back).

        Facts of one place and slice mostly follow each other, so their map is looked up once.
        """
        here: Address | None = None
        number = -1
        booked: dict[Part, int] = {}
        for address, at, part, amount in facts:
            if at // SLICE_MS != number or address is not here:
                here, number = address, at // SLICE_MS
                known = self._booked.get((number, address))
                if known is None:
                    known = self._booked[number, address] = defaultdict(int)
                booked = known
            if type(part) is Steps:
                booked[part] += times * (_ONE + SLICE_MS - at % SLICE_MS)
                if at > self.now:
                    self._note_ahead(address, at, part.all, times)
            elif part in _SPECIAL:
                self._special(booked, address, at, part, amount, times)
            else:
                booked[part] += amount * times

    def _special(self, booked: dict[Part, int], address: Address, at: int, part: str, amount: int, times: int) -> None:
        """Book a duration that has a sketch, or what belongs to the roster."""
        if part in SERIES:
            booked[SERIES[part][1]] += amount * times
            booked[_BUCKET_PARTS[part][bucket_of(amount)]] += times
            booked[histogram_part(part, amount)] += times
            return
        address = self.place(address)
        hour = self._cell(ROSTER_MS, at // ROSTER_MS, address)
        if part != ROSTER_LEVEL:
            _add(hour, part, amount * times)
            return
        step_part, ms_part = _LEVEL_PARTS[part]
        _add(hour, step_part, amount * times)
        _add(hour, ms_part, amount * times * (ROSTER_MS - at % ROSTER_MS))
        _add(self.levels.setdefault(address, {}), part, amount * times)
        self.changed_levels.add(address)
        if at > self.now:
            self._note_ahead(address, at, ((part, amount),), times)

    def settle(self, totals: Callable[[Address], Cell]) -> None:
        """Bring everything booked to where it belongs; `totals`: the running totals of an address, about to change."""
        booked, self._booked = self._booked, {}
        for (number, address), parts in booked.items():
            if any(parts.values()):
                self._settle(number, self.place(address), parts, totals)

    def _settle(self, number: int, address: Address, parts: Mapping[Part, int], totals: Callable[[Address], Cell]) -> None:
        short = self._cell(SLICE_MS, number, address)
        quarter = self._cell(QUARTER_MS, number * SLICE_MS // QUARTER_MS, address)
        cells = [cell for cell in (short, quarter) if cell is not None]
        counted: dict[str, int] = {}
        for part, value in parts.items():
            if not value:
                continue
            if type(part) is Steps:
                self._settle_steps(short, quarter, number, address, part, value)
                continue
            assert type(part) is str
            series = _SERIES_OF_BUCKET.get(part)
            if series is not None:
                self._settle_bucket(short, quarter, number, address, part, series, value)
                part = SERIES[series][0]
            elif part not in _HISTOGRAM:
                for cell in cells:
                    if part not in cell:
                        cell[part] = value
                    elif total := cell[part] + value:
                        cell[part] = total
                    else:
                        del cell[part]
                part = _SUM_OF_HISTOGRAM.get(part, part)
            if part in _COUNTED:
                counted[part] = counted.get(part, 0) + value
        if counted:
            running = totals(address)
            for part, value in counted.items():
                _add(running, part, value)

    def _settle_steps(self, short: Cell | None, quarter: Cell | None, number: int, address: Address, steps: Steps,
                      value: int) -> None:  # fmt: skip
        count = (value + (_ONE >> 1)) // _ONE
        to_end = value - count * _ONE
        to_quarter_end = to_end + count * (QUARTER_MS - SLICE_MS - number * SLICE_MS % QUARTER_MS)
        for step_part, ms_part, step in steps.in_slices:
            _add(short, step_part, count * step)
            _add(short, ms_part, to_end * step)
            _add(quarter, step_part, count * step)
            _add(quarter, ms_part, to_quarter_end * step)
        if count:
            levels = self.levels.setdefault(address, {})
            for level, step in steps.all:
                _add(levels, level, count * step)
        self.changed_levels.add(address)

    def _settle_bucket(self, short: Cell | None, quarter: Cell | None, number: int, address: Address, bucket: str, series: str,
                       count: int) -> None:  # fmt: skip
        for cell in (short, quarter):
            _add(cell, SERIES[series][0], count)
        _add(short, bucket, count)
        if number * SLICE_MS // QUARTER_MS >= self.first_sketch:
            _add(quarter, bucket, count)
        if self._date_of is not None:
            _add(self._cell(DATE_MS, self._date_of(address, number * SLICE_MS), address), bucket, count)

    def _cell(self, length: int, number: int, address: Address) -> Cell | None:
        """Return a cell that is about to change; None if its slice is over."""
        if number < self.first[length]:
            return None
        slices = self.slices[length]
        by_address = slices.get(number)
        if by_address is None:
            by_address = slices[number] = {}
        cell = by_address.get(address)
        if cell is None:
            cell = by_address[address] = {}
        self.changed.add((length, number, address))
        return cell

    def _note_ahead(self, address: Address, at: int, steps: Iterable[tuple[str, int]], times: int) -> None:
        """Remember steps whose instant is still to come."""
        address = self.place(address)
        ahead = self.ahead.setdefault(address, {})
        for level, step in steps:
            left = ahead.get((at, level), 0) + step * times
            if left:
                ahead[at, level] = left
            else:
                ahead.pop((at, level), None)
        self.changed_levels.add(address)

    def advance(self, now: int) -> None:
        """Move the present on: steps that were still to come and now are not leave `ahead`."""
        if now <= self.now:
            return
        self.now = now
        for address in list(self.ahead):
            ahead = self.ahead[address]
            past = [key for key in ahead if key[0] <= now]
            for key in past:
                del ahead[key]
            if past:
                self.changed_levels.add(address)
            if not ahead:
                del self.ahead[address]

    def expire(self, length: int, first: int) -> list[CellId]:
        """Drop the slices before number `first`; return the ids of the cells that are gone."""
        if first <= self.first[length]:
            return []
        self.first[length] = first
        slices = self.slices[length]
        gone = [(length, number, address) for number in slices if number < first for address in slices[number]]
        for number in {cell_id[1] for cell_id in gone}:
            del slices[number]
        self.changed.difference_update(gone)
        return gone

    def expire_sketches(self, first: int) -> None:
        """Take the sketches out of the quarter-hours before number `first`."""
        quarters = self.slices[QUARTER_MS]
        for number in [n for n in quarters if self.first_sketch <= n < first]:
            for address, cell in quarters[number].items():
                buckets = [part for part in cell if "~" in part]
                for part in buckets:
                    del cell[part]
                if buckets:
                    self.changed.add((QUARTER_MS, number, address))
        self.first_sketch = max(self.first_sketch, first)

    def drop(self, address: Address) -> list[CellId]:
        """Forget everything of an address; return the ids of its cells."""
        gone: list[CellId] = []
        for length, slices in self.slices.items():
            for number, by_address in slices.items():
                if by_address.pop(address, None) is not None:
                    gone.append((length, number, address))
        self.levels.pop(address, None)
        self.ahead.pop(address, None)
        self.changed.difference_update(gone)
        self.changed_levels.discard(address)
        return gone

    def get(self, cell_id: CellId) -> Cell | None:
        """Return a cell, None where there is none (any more) or all of it was taken back."""
        length, number, address = cell_id
        return self.slices[length].get(number, {}).get(address) or None

    def ids(self) -> Iterator[CellId]:
        """Yield the ids of all cells that hold something."""
        for length, slices in self.slices.items():
            for number, by_address in slices.items():
                for address, cell in by_address.items():
                    if cell:
                        yield length, number, address

    def put(self, cell_id: CellId, cell: Cell) -> None:
        """Restore a cell."""
        length, number, address = cell_id
        self.slices[length].setdefault(number, {})[address] = cell

    def levels_body(self, address: Address) -> dict[str, Any]:
        """Return the reading of an address's levels: their values, and the steps that are still to come."""
        body: dict[str, Any] = {"parts": self.levels.get(address, {}) | self.fixed.get(address, {})}
        ahead = self.ahead.get(address)
        if ahead:
            body["ahead"] = sorted((at, level, step) for (at, level), step in ahead.items())
        return body


def _add(cell: Cell | None, part: str, amount: int) -> None:
    if cell is None:
        return
    total = cell.get(part, 0) + amount
    if total:
        cell[part] = total
    else:
        cell.pop(part, None)


__all__ = ["Address", "Cell", "CellId", "Cells", "Fact", "Steps", "histogram_part"]
