"""Spans of slices with their running sums, kept up by differences.

Theory. A span is a range of slices with the running sum of each part per place. A change of a slice inside the
range is added; when the range moves, what leaves is taken off and what enters is added: the cost is the changes,
not the length. For levels (`schemas.levels`) a span also keeps the sum of slice number x step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from schemas.levels import cut_ms, integral_ms
from schemas.parts import LEVELS, is_bucket
from sinks.cells import Cells, Parts, Place
from sinks.gauges import Gauge

FOR_EVER: Final = 1 << 40
"""Number of a slice that never comes."""
_BY_NUMBER: Final = "_step#"
"""Suffix of the sum of slice number x step beside each `_step`."""
_PEAK: Final = "in_hand_"
Only = Literal["all", "steps", "no sketches"]


class Span:
    """Running sums over the slices number first..last of one length."""

    def __init__(self, cells: Cells, *, only: Only = "all", wants: Callable[[Place], bool] | None = None) -> None:
        self._cells = cells
        self._length = cells.length_ms
        self._only = only
        self._wants = wants or (lambda _: True)
        self.first, self.last = 0, -1
        self.sums: dict[Place, Parts] = {}
        self.changed: set[Place] = set()
        """Places whose sums changed since the owner last cleared it."""
        self.version = 0
        """Grows with each change."""

    def add(self, place: Place, start: int, parts: Mapping[str, int]) -> None:
        """Add what changed in a slice, if it lies inside."""
        number = start // self._length
        if self.first <= number <= self.last and self._wants(place):
            self.add_sums(place, with_numbers(parts, number))

    def add_sums(self, place: Place, parts: Mapping[str, int], sign: int = 1) -> None:
        """Add sums of slices inside; beside each `_step` stands that of slice number x step."""
        sums = self.sums.setdefault(place, {})
        only = self._only
        for part, value in parts.items():
            if only == "all" or (_is_step(part) if only == "steps" else not is_bucket(part)):
                _put(sums, part, sign * value)
        if not sums:
            del self.sums[place]
        self.changed.add(place)
        self.version += 1

    def move(self, first: int, last: int) -> None:
        """Let the range become first..last."""
        if (first, last) == (self.first, self.last):
            return
        if first > self.last or last < self.first:
            self.clear(first, last)
            self._take(first, last, 1)
        else:
            self._take(self.first, first - 1, -1)
            self._take(last + 1, self.last, -1)
            self._take(first, self.first - 1, 1)
            self._take(self.last + 1, last, 1)
            self.first, self.last = first, last

    def clear(self, first: int, last: int) -> None:
        """Let the range become first..last, without anything in it yet."""
        self.changed.update(self.sums)
        self.sums.clear()
        self.first, self.last = first, last
        self.version += 1

    def _take(self, first: int, last: int, sign: int) -> None:
        if first > last:
            return
        self.version += 1
        for place, parts in self._read(first, last).items():
            self.add_sums(place, parts, sign)

    def _read(self, first: int, last: int) -> dict[Place, Parts]:
        """Return the sums over the slices number first..last."""
        return self._cells.summed(first * self._length, last * self._length, self._wants)


def with_numbers(parts: Mapping[str, int], number: int) -> Mapping[str, int]:
    """Return a slice's parts with the product of its number and each step beside the step."""
    steps = {part + "#": number * value for part, value in parts.items() if part.endswith("_step")}
    return {**parts, **steps} if steps else parts


def _is_step(part: str) -> bool:
    return part.endswith(("_step", _BY_NUMBER))


def _put(sums: Parts, part: str, value: int) -> None:
    total = sums.get(part, 0) + value
    if total:
        sums[part] = total
    else:
        sums.pop(part, None)


class Stretch(NamedTuple):
    """A range of slices, number first..last, of which only what lies before `now` counts."""

    first: int
    last: int
    length_ms: int
    now: int

    @property
    def start_ms(self) -> int:
        """When it begins."""
        return self.first * self.length_ms

    @property
    def end_ms(self) -> int:
        """When its last slice ends."""
        return (self.last + 1) * self.length_ms


_NO_PARTS: Final[Mapping[str, int]] = {}


def integrate(
    sums: Mapping[str, int], gauge: Gauge, stretch: Stretch, beyond: Mapping[str, int] = _NO_PARTS, levels: Iterable[str] = ()
) -> Parts:
    """Return the parts of a stretch with each level's integral up to now as its `_ms` part.

    `sums`: of a span over the stretch; `beyond`: the sums of steps after it; `levels`: those wanted, by default all there are.
    """
    parts = dict(sums)
    for level in levels or levels_of(sums, beyond, gauge.parts):
        found = (parts.pop(level + "_ms", 0), parts.pop(level + "_step", 0), parts.pop(level + _BY_NUMBER, 0))
        after = gauge.parts.get(level, 0) - beyond.get(level + "_step", 0)
        if not after and found == (0, 0, 0):
            ahead = gauge.steps_of(level) if gauge.ahead else ()
            if not ahead:
                continue
        total = integral_ms(*found, stretch.first, stretch.last, after, stretch.length_ms)
        if stretch.now < stretch.end_ms:
            total -= cut_ms(stretch.now, stretch.end_ms, after, gauge.steps_of(level))
        if total:
            parts[level + "_ms"] = total
    return parts


def levels_of(*cells: Mapping[str, int]) -> list[str]:
    """Return the levels that there may be in some sums or gauges: the fixed ones, and the peak levels that occur."""
    found = {part[len(_PEAK) :].partition("_")[0] for parts in cells for part in parts if part.startswith(_PEAK)}
    return [*LEVELS, *(_PEAK + number for number in sorted(found) if number.isascii() and number.isdigit())]


__all__ = ["FOR_EVER", "Only", "Span", "Stretch", "integrate", "levels_of", "with_numbers"]
