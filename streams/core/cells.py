"""Cells: counts, sums, sketches and levels per address and slice of time.

Theory of operation. An address is (dimension, name, channel). A fact of instant `at` goes into two slices of its address, the
10 s one and the quarter-hour one, each a flat map from part to integer that merges by addition. What a part does follows from
its name (`schemas.parts`): a series takes a duration and fills count, sum and sketch bucket, the bucket also in the slice of the
local date; a level takes a step (see `schemas.levels`); headcount and leavings go into slices of an hour instead; anything
else is added. Booking with `times = -1` undoes a fact exactly, so zeros are removed and two
floors that saw the same events hold equal maps whatever the order.

Slices before `first[length]` are over: facts are then neither added to nor taken from them, the value published last stands.
The bounds only move in `expire`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from schemas.parts import GAUGE_LEVELS, HISTOGRAM_LIMITS_MS, LEVELS, PEAK_LEVELS, ROSTER_LEVEL, SERIES, bucket_part
from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS
from schemas.sketch import BUCKETS, bucket_of

Address = tuple[str, str, str]
Cell = dict[str, int]
CellId = tuple[int, int, Address]
"""(length in ms, slice number, address)."""

_BUCKET_PARTS: Final = {series: tuple(bucket_part(series, b) for b in range(BUCKETS)) for series in SERIES}
_LEVEL_PARTS: Final = {level: (f"{level}_step", f"{level}_ms") for level in (*LEVELS, *PEAK_LEVELS, ROSTER_LEVEL)}
_GAUGE_LEVELS: Final = frozenset(GAUGE_LEVELS)
_ROSTER_PARTS: Final = frozenset({ROSTER_LEVEL, "agents_left"})
_APART: Final = _GAUGE_LEVELS | _ROSTER_PARTS
"""Parts that do not go into the two slices."""


def histogram_part(series: str, value_ms: int) -> str:
    """Return the part of the running histogram that counts a value: the one of the least limit not below it."""
    for limit in HISTOGRAM_LIMITS_MS:
        if value_ms <= limit:
            return f"{series}_hist~{limit}"
    return f"{series}_hist~inf"


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

    def book(self, facts: Iterable[tuple[Address, int, str, int]], times: int = 1) -> None:
        """Add facts `times` times each (negative: take them back).

        Facts of one place and instant mostly follow each other, so their two cells are looked up once.
        """
        here: Address | None = None
        when = number = -1
        short: Cell | None = None
        quarter: Cell | None = None
        for address, at, part, amount in facts:
            if part in _APART:
                self._apart(address, at, part, amount * times)
                continue
            if at != when or address is not here:
                if at // QUARTER_MS != number or address is not here:
                    number = at // QUARTER_MS
                    quarter = self._cell(QUARTER_MS, number, address)
                here, when = address, at
                short = self._cell(SLICE_MS, at // SLICE_MS, address)
            if part in _LEVEL_PARTS:
                self._step(short, quarter, at, part, amount * times)
                self._level(address, at, part, amount * times)
                continue
            if part in SERIES:
                dated = None if self._date_of is None else self._cell(DATE_MS, self._date_of(address, at), address)
                self._sample(short, quarter, dated, at, part, amount, times)
                continue
            more = amount * times
            if more:
                for cell in (short, quarter):
                    if cell is not None:
                        total = cell.get(part, 0) + more
                        if total:
                            cell[part] = total
                        else:
                            del cell[part]

    def _apart(self, address: Address, at: int, part: str, amount: int) -> None:
        """Book what is a gauge only, or belongs to the roster."""
        if part in _ROSTER_PARTS:
            hour = self._cell(ROSTER_MS, at // ROSTER_MS, address)
            if hour is not None and part == ROSTER_LEVEL:
                step_part, ms_part = _LEVEL_PARTS[part]
                _add(hour, step_part, amount)
                _add(hour, ms_part, amount * (ROSTER_MS - at % ROSTER_MS))
            elif hour is not None:
                _add(hour, part, amount)
        if part != "agents_left":
            self._level(address, at, part, amount)

    def _sample(self, short: Cell | None, quarter: Cell | None, dated: Cell | None, at: int, series: str, value_ms: int,
                times: int) -> None:  # fmt: skip
        count_part, sum_part = SERIES[series]
        bucket = _BUCKET_PARTS[series][bucket_of(value_ms)]
        for cell in (short, quarter):
            if cell is None:
                continue
            _add(cell, count_part, times)
            _add(cell, sum_part, value_ms * times)
            if cell is short or at // QUARTER_MS >= self.first_sketch:
                _add(cell, bucket, times)
        if dated is not None:
            _add(dated, bucket, times)

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

    def _step(self, short: Cell | None, quarter: Cell | None, at: int, level: str, step: int) -> None:
        step_part, ms_part = _LEVEL_PARTS[level]
        if short is not None:
            _add(short, step_part, step)
            _add(short, ms_part, step * (SLICE_MS - at % SLICE_MS))
        if quarter is not None:
            _add(quarter, step_part, step)
            _add(quarter, ms_part, step * (QUARTER_MS - at % QUARTER_MS))

    def _level(self, address: Address, at: int, level: str, step: int) -> None:
        _add(self.levels.setdefault(address, {}), level, step)
        self.changed_levels.add(address)
        if at > self.now:
            ahead = self.ahead.setdefault(address, {})
            key = (at, level)
            left = ahead.get(key, 0) + step
            if left:
                ahead[key] = left
            else:
                ahead.pop(key, None)

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


def _add(cell: Cell, part: str, amount: int) -> None:
    total = cell.get(part, 0) + amount
    if total:
        cell[part] = total
    else:
        cell.pop(part, None)


__all__ = ["Address", "Cell", "CellId", "Cells", "histogram_part"]
